"""Crashes at random moments: ``python -m benchmarks.crash --points 10000 --out FILE.json``.

Event logic, store and delivery are run to their end again and again, with a crash or an error at random SQL
statements, commits, messages and steps (:mod:`benchmarks.crash_world`), and with a real ``kill -9`` at random times.
After each round the store and the notified places are compared with a run that nothing disturbed. Then a storm
(:mod:`benchmarks.storm`).
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import structlog

from benchmarks.crash_scenario import PLACES, Scenario, make_scenario
from benchmarks.crash_world import DATABASE, CrashError, Faults, digest, live
from benchmarks.storm import storm
from tsdiff_monitor.errors import StoreError, TsdiffError
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.atomic_files import atomic_path, check_writable
from tsdiff_monitor.testing import FakeClock

__all__ = ["Audit", "audit", "main"]

_FAILED = 3
_HOUR = 3600.0
_LIFETIME = 0.3
"""Seconds: a child is killed within them; a whole life takes about as long."""


@dataclass
class Audit:
    """Faults after a round, and what is none: ``sent_again`` counts messages that came with a key seen before.

    ``needless``: messages of what an incident says already.
    """

    changes: int = 0
    incidents: int = 0
    lost: int = 0
    needless: int = 0
    doubled_keys: int = 0
    out_of_order: int = 0
    sent_again: int = 0

    def __iadd__(self, other: Audit) -> Audit:
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)
        return self

    @property
    def good(self) -> bool:
        return not (self.lost or self.needless or self.doubled_keys or self.out_of_order)


def main(arguments: Sequence[str] | None = None) -> int:
    """Crash, compare and print; the exit status is 3 when anything was lost or doubled, 2 for wrong input."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crash", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="result file")
    parser.add_argument(
        "--points", type=int, default=10_000, metavar="N", help="crash points, those by kill among them"
    )
    parser.add_argument("--kill", type=int, default=200, metavar="N", help="how many of them are a kill -9")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="other scores, other points")
    parser.add_argument("--events", type=int, default=1000, metavar="N", help="events of the storm")
    given = parser.parse_args(arguments)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        check_writable(given.out)
        with tempfile.TemporaryDirectory() as folder:
            result = _crashes(Path(folder), given.points, min(given.kill, given.points), given.seed)
            result["storm"] = asdict(storm(Path(folder) / "storm", given.events))
        with atomic_path(given.out) as part:
            part.write_text(json.dumps(result, indent=1) + "\n")
    except TsdiffError as error:
        print(f"benchmarks.crash: {error}", file=sys.stderr)
        return 2
    finally:
        structlog.reset_defaults()
    print(_table(result))
    good = not any(result[name] for name in ("lost", "needless", "doubled_keys", "out_of_order"))
    return 0 if good and not result["storm"]["lost"] and not result["storm"]["too_soon"] else _FAILED


def audit(scenario: Scenario, folder: Path, inboxes: Path) -> Audit:
    """Compare the stored history and what each place was sent with a run that nothing disturbed."""
    undisturbed, to_send = scenario.undisturbed()
    wanted = {key: digest(change) for key, change in undisturbed.items()}
    openings = [change for change in undisturbed.values() if change.sequence == 1]
    found = Audit(changes=len(wanted), incidents=sum(bool(change.event.members) for change in openings))
    with Store(folder / DATABASE) as store:
        history = {change.key: digest(change) for event in store.events() for change in store.changes(event.id)}
        counts = store.counts()
        last_sent = sorted((undisturbed[key] for key in to_send), key=lambda change: change.sequence)
        newest = {change.event.id: change.sequence for change in last_sent}
        receipts = {(event, place): store.receipt(event, place) for event in newest for place in PLACES}
    found.lost += len(wanted.keys() - history.keys()) + counts["pending"] + counts["dead"]
    found.lost += sum(receipts[event, place] != {"sequence": str(newest[event])} for event, place in receipts)
    found.doubled_keys += sum(wanted.get(key) != meaning for key, meaning in history.items())
    for place in PLACES:
        sent = [line.split() for line in (inboxes / place).read_text().splitlines()]
        firsts = dict.fromkeys(key for key, _ in sent)
        found.lost += len(to_send - firsts.keys())
        found.needless += len(firsts.keys() - to_send)
        found.doubled_keys += sum(wanted.get(key) != meaning for key, meaning in {(key, said) for key, said in sent})
        found.sent_again += len(sent) - len(firsts)
        last: Counter[str] = Counter()
        for key in firsts:
            event, _, sequence = key.partition("/")
            found.out_of_order += int(sequence) <= last[event]
            last[event] = int(sequence)
    return found


def _crashes(folder: Path, points: int, kills: int, seed: int) -> dict[str, Any]:
    found, by_kind, rounds, began = Audit(), Counter[str](), 0, time.perf_counter()
    source = random.Random(seed)  # noqa: S311
    while by_kind.total() < points:
        scenario = make_scenario(seed * 1_000_000 + rounds)
        place, inboxes = folder / f"round{rounds}", folder / f"sent{rounds}"
        place.mkdir()
        inboxes.mkdir()
        left = points - by_kind.total()
        if left > kills - by_kind["kill -9"]:
            faults = Faults(source, place, left - (kills - by_kind["kill -9"]))
            _live_on(scenario, inboxes, faults)
            place = faults.folder
            by_kind += faults.points
        else:
            by_kind["kill -9"] += _kill(scenario, place, inboxes, source, left)
        found += audit(scenario, place, inboxes)
        rounds += 1
        if rounds % 50 == 0:
            print(f"{by_kind.total():,} of {points:,} points", file=sys.stderr)
    return {
        "points": by_kind.total(),
        "rounds": rounds,
        "seconds": round(time.perf_counter() - began, 1),
        **asdict(found),
        "by_kind": dict(sorted(by_kind.items())),
    }


def _live_on(scenario: Scenario, inboxes: Path, faults: Faults) -> None:
    """Life after life in one process, until one comes to its end."""
    clock = FakeClock()
    while True:
        faults.revive()
        try:
            live(scenario, faults.folder, inboxes, clock, faults)
            return
        except (CrashError, StoreError):  # a store that cannot be opened ends a process too
            clock.advance(1.0)


def _kill(scenario: Scenario, place: Path, inboxes: Path, source: random.Random, most: int) -> int:
    """Child after child, killed at a random time, until one comes to its end; returns how many were killed."""
    killed, now = 0, FakeClock().now
    while True:
        child = _fork(scenario, place, inboxes, FakeClock(now))
        if killed < most:
            time.sleep(source.uniform(0.0, _LIFETIME))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            killed += 1
            now += _HOUR  # the child's clock is lost with it, and time never goes back
        elif os.WEXITSTATUS(status):
            raise TsdiffError("a child failed; its traceback is above")
        else:
            return killed


def _fork(scenario: Scenario, place: Path, inboxes: Path, clock: FakeClock) -> int:
    with warnings.catch_warnings():  # other threads (of BLAS) hold nothing that the child uses
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        return child
    try:
        live(scenario, place, inboxes, clock)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _table(result: dict[str, Any]) -> str:
    storm = result["storm"]
    lines = [
        f"{result['points']:,} points in {result['rounds']:,} rounds, {result['seconds']:g} s",
        *(f"  {count:6,} {kind}" for kind, count in result["by_kind"].items()),
        f"changes       {result['changes']:,}, {result['incidents']:,} incidents, sent to {len(PLACES)} places",
        f"lost          {result['lost']:,}  (asked: 0)",
        f"needless      {result['needless']:,}  (asked: 0)",
        f"doubled keys  {result['doubled_keys']:,}  (asked: 0)",
        f"out of order  {result['out_of_order']:,}  (asked: 0)",
        f"sent again    {result['sent_again']:,}, with the same key",
        "",
        f"storm of {storm['events']:,} events: lost {storm['lost']:,}, sent too soon {storm['too_soon']:,}, "
        f"memory {storm['peak_bytes'] / 2**20:.1f} MiB at most",
        *(f"  {name:13} {seconds:7,.0f} s of its clock" for name, seconds in storm["seconds"].items()),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
