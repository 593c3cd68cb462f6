"""The labelled incidents of four collections: where they lie, and what was truly at fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd

from tsdiff_monitor.errors import DataError

__all__ = ["SETS", "Case", "Incident"]


@dataclass(frozen=True, eq=False)
class Incident:
    """Rows ``first <= t < last`` of ``values[T, K]``, with the context before (and, if recorded, after) them.

    ``truth`` names the metrics at fault, or their one owner.
    """

    values: np.ndarray
    first: int
    last: int
    truth: tuple[str, ...]

    @property
    def inside(self) -> np.ndarray:
        """The incident's own rows."""
        return np.asarray(self.values[self.first : self.last])


@dataclass(frozen=True, eq=False)
class Case:
    """A system: ``train[N, K]`` of normal rows, its metrics' names, and whom each belongs to (None: to itself)."""

    name: str
    step: pd.Timedelta
    train: np.ndarray
    names: tuple[str, ...]
    owners: tuple[str | None, ...] | None
    incidents: tuple[Incident, ...]


def smd(data: Path, series: str, window: int) -> Iterator[Case]:
    """Server Machine Dataset: the segments of ``interpretation.csv`` (metrics counted from 1, ends exclusive)."""
    truths = _csv(data / "smd" / "interpretation.csv").astype({"dims_1based": str})
    for machine, segments in truths.groupby("series"):
        if not fnmatchcase(str(machine), series):
            continue
        table = _parquet(data / "smd" / f"{machine}.parquet")
        names = tuple(table.columns.drop(["t", "split", "label"]))
        values, is_test = table[list(names)].to_numpy(np.float32), table["split"].to_numpy() == 1
        test = values[is_test]
        incidents = []
        for row in segments.to_dict("records"):
            at_fault = [names[int(k) - 1] for k in row["dims_1based"].split(",")]
            incidents.append(_cut(test, int(row["test_start"]), int(row["test_end"]), window, at_fault))
        yield Case(str(machine), pd.Timedelta("1min"), values[~is_test], names, None, tuple(incidents))


def nezha(data: Path, series: str, window: int) -> Iterator[Case]:
    """OnlineBoutique on Kubernetes: fit on one day, faults of the other; the labelled rows around each injection."""
    faults = _csv(data / "nezha" / "faults.csv")
    days = {day: _parquet(data / "nezha" / f"onlineboutique_2022-08-{day}.parquet") for day in ("22", "23")}
    for fit, scored in (("22", "23"), ("23", "22")):
        name, table = f"{fit}-{scored}", days[scored]
        if not fnmatchcase(name, series):
            continue
        names = tuple(c for c in days[fit].columns if c in table.columns and c not in ("t", "label", "split"))
        # Metrics of edges between services belong to no pod.
        owners = [c.split("|")[0] for c in names]
        test, times = table[list(names)].to_numpy(np.float32), table["t"].to_numpy()
        incidents = []
        for row in faults[faults["day"] == f"2022-08-{scored}"].to_dict("records"):
            near = (times > row["t"] - 60) & (times < row["t"] + 360) & (table["label"].to_numpy() == 1)
            at = np.flatnonzero(near)
            if not len(at):
                raise DataError(f"{data / 'nezha' / 'faults.csv'}: no labelled row near the fault at {row['t']}")
            pod = row["pod"].rsplit("-", 2)[0]
            incidents.append(_cut(test, int(at[0]), int(at[-1]) + 1, window, [pod]))
        train = days[fit][list(names)].to_numpy(np.float32)
        pods = tuple(None if o.startswith(("source_", "destination_")) else o for o in owners)
        yield Case(name, pd.Timedelta("1min"), train, names, pods, tuple(incidents))


def petshop(data: Path, series: str, window: int) -> Iterator[Case]:
    """PetShop: fit on a traffic's rows without issue, which are also the context of each issue's five rows."""
    issues = _csv(data / "petshop" / "issues.csv")
    for traffic in ("low_traffic", "high_traffic"):
        if not fnmatchcase(traffic, series):
            continue
        table = _parquet(data / "petshop" / f"{traffic}.parquet")
        names = tuple(table.columns.drop(["t", "part"]))
        values, part = table[list(names)].to_numpy(np.float32), table["part"].astype(str)
        train = values[part == "noissue"]
        incidents = [
            _after(train[-window:], values[part == row["part"]], row["root_cause_node"])
            for row in issues[issues["traffic"] == traffic].to_dict("records")
        ]
        nodes = tuple(name.split("|")[0] for name in names)
        yield Case(traffic, pd.Timedelta("5min"), train, names, nodes, tuple(incidents))


def sockshop(data: Path, series: str, window: int, rows: int = 60) -> Iterator[Case]:
    """Sock Shop: one fit on the normal parts of all runs, then the first minute of each run's faulty part."""
    if not fnmatchcase("all", series):
        return
    table = _parquet(data / "sockshop_rcd" / "all.parquet")
    names = tuple(table.columns.drop(["run", "t", "label"]))
    between = np.full((window, len(names)), np.nan, np.float32)  # runs lie days apart
    train, incidents = [], []
    for run, part in table.groupby(table["run"].astype(str)):
        values, faulty = part[list(names)].to_numpy(np.float32), part["label"].to_numpy() == 1
        train += [values[~faulty], between]
        incidents.append(_after(values[~faulty][-window:], values[faulty][:rows], str(run).rsplit("-", 2)[0]))
    services = tuple(name.split("_")[0] for name in names)
    yield Case("all", pd.Timedelta("1s"), np.concatenate(train), names, services, tuple(incidents))


SETS: Mapping[str, Callable[[Path, str, int], Iterator[Case]]] = {
    "smd": smd,
    "nezha": nezha,
    "petshop": petshop,
    "sockshop": sockshop,
}
"""``(data folder, glob over series, rows of context)`` to the cases of each collection."""


def _cut(test: np.ndarray, first: int, last: int, window: int, truth: list[str]) -> Incident:
    begin = max(first - 2 * window, 0)
    return Incident(test[begin : last + 2 * window], first - begin, last - begin, tuple(truth))


def _after(context: np.ndarray, rows: np.ndarray, truth: str) -> Incident:
    """Recorded elsewhere than its context, and put behind it."""
    return Incident(np.concatenate([context, rows]), len(context), len(context) + len(rows), (truth,))


def _csv(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); --data is the folder that holds it") from None


def _parquet(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); --data is the folder that holds it") from None
