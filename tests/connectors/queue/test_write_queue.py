"""Rows put into the queue come out in order, once, through all that may happen in between."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from structlog.testing import capture_logs

from tsdiff_connectors.queue.queue import WriteQueue
from tsdiff_connectors.queue.series import ScoreRows
from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.testing import FakeClock

MIB = 1024**2
DAY = 86_400


def rows(*times: int, source: str = "web", layout: bytes = b"layout", wide: int = 2) -> ScoreRows:
    """Rows of ``wide`` series; series ``s`` holds ``s + time``."""
    at = np.array(times, np.int64)
    return ScoreRows(source, layout, at, np.arange(wide)[:, None] + at.astype(float))


def queue(path: Path | None, clock: FakeClock | None = None, max_bytes: int = 64 * MIB) -> WriteQueue:
    """A queue in this file."""
    return WriteQueue(path, max_bytes=max_bytes, now=clock or FakeClock())


def drained(target: WriteQueue, max_samples: int = 1000) -> list[int]:
    """The times of all that waits, in the order in which it comes out."""
    found: list[int] = []
    while (head := target.head(max_samples)) is not None:
        for one in head.rows.values():
            found += one.times_ms.tolist()
            np.testing.assert_array_equal(one.values, rows(*one.times_ms.tolist(), wide=len(one.values)).values)
        target.settle(head)
    assert target.samples == 0
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "queue.sqlite"


@pytest.mark.parametrize("on_disk", [True, False])
def test_first_in_first_out(path: Path, on_disk: bool) -> None:
    """Rows come out as they came, in pieces of the size asked for, and are gone once settled."""
    target = queue(path if on_disk else None)
    assert target.head(10) is None
    for time in range(1, 8):
        assert target.put(rows(time)).samples == 2
    head = target.head(6)
    assert head is not None
    assert [one.times_ms.tolist() for one in head.rows.values()] == [[1, 2, 3]]
    assert (head.samples, target.samples, target.waiting().oldest_ms) == (6, 14, 1)
    target.put(rows(8))
    again = target.head(100)
    assert again is not None
    assert (again.samples, again.again, head.again) == (6, True, False)
    target.release()
    again = target.head(100)
    assert again is not None
    assert (again.samples, again.again) == (16, False)
    target.release()
    head = target.head(6)
    assert head is not None
    target.settle(head)
    assert drained(target, 1) == [4, 5, 6, 7, 8]
    assert target.waiting().oldest_ms is None
    target.close()
    target.close()


def test_only_newer_rows_are_taken(path: Path) -> None:
    """Rows that were taken before are left out, also after a restart and once they have been sent."""
    first = queue(path)
    first.put(rows(1, 2))
    assert first.put(rows(1, 2, 3)).samples == 2
    assert first.put(rows(2)).samples == 0
    assert drained(first) == [1, 2, 3]
    first.close()
    second = queue(path)
    assert second.put(rows(1, 2, 3)).samples == 0
    assert second.put(rows(1, 2, source="db")).samples == 4
    assert second.put(rows(4)).samples == 2
    assert drained(second) == [1, 2, 4]
    second.close()


def test_rows_without_samples_count_as_taken(path: Path) -> None:
    """A row of gaps takes no place, and is not taken later either."""
    target = queue(path)
    empty = ScoreRows("web", b"layout", np.array([5]), np.full((2, 1), np.nan))
    assert (target.put(empty).samples, target.head(10)) == (0, None)
    assert target.put(rows(5)).samples == 0
    assert target.put(rows()).samples == 0
    target.close()


def test_a_source_whose_series_change_stays_in_order(path: Path) -> None:
    """Rows of one source under two layouts never go together: a series in both would be out of order."""
    target = queue(path)
    target.put(rows(1))
    target.put(rows(1, source="db", layout=b"other"))
    target.put(rows(2, layout=b"changed", wide=3))
    target.put(rows(3))
    heads = []
    while (head := target.head(1000)) is not None:
        heads.append({one.layout: one.times_ms.tolist() for one in head.rows.values()})
        target.settle(head)
    assert heads == [{b"layout": [1], b"other": [1]}, {b"changed": [2]}, {b"layout": [3]}]
    target.close()


def test_rows_go_by_their_time(path: Path) -> None:
    """Long batches of several sources come out together, half an hour at a time: no row is much older than one sent."""
    target = queue(path)
    minutes = [60_000 * minute for minute in range(120)]
    for source in ("web", "db"):
        target.put(rows(*minutes, source=source, layout=source.encode()))
    spans = []
    while (head := target.head(1)) is not None:
        (one,) = head.rows.values()
        spans.append((one.source, one.times_ms[0] // 60_000, len(one)))
        target.settle(head)
    assert spans == [(source, minute, 30) for minute in (0, 30, 60, 90) for source in ("web", "db")]
    target.close()


def test_many_rows_at_once_are_kept_in_pieces(path: Path) -> None:
    """A long batch comes out in requests of bounded size."""
    target = queue(path)
    times = range(1, 60_001)
    target.put(rows(*times))
    head = target.head(1)
    assert head is not None
    assert head.samples == 50_000
    assert drained(target) == list(times)
    target.close()


def test_the_oldest_go_when_it_is_full(path: Path) -> None:
    """The file stays within its bound, what is dropped is counted, and what is being sent stays."""
    target = queue(path, max_bytes=MIB)
    target.put(rows(1, wide=1000))
    sending = target.head(1)
    dropped = [target.put(rows(time, wide=1000)).dropped for time in range(2, 400)]
    assert sending is not None
    assert target.waiting().used_bytes <= MIB
    assert path.stat().st_size < 2 * MIB
    assert sum(dropped) + target.samples == 399_000
    target.settle(sending)
    left = drained(target, 1)
    assert left == list(range(400 - len(left), 400))
    assert len(left) > 60
    target.close()


def test_a_kill_loses_nothing(path: Path) -> None:
    """Rows taken before a SIGKILL wait at the next start, are not taken again, and the file is free."""
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from tests.connectors.queue.test_write_queue import queue, rows\n"
        "target = queue(Path(sys.argv[1]))\n"
        "for time in range(1, 51): target.put(rows(time))\n"
        "target.settle(target.head(20))\n"
        "target.head(20)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    target = queue(path)
    assert target.put(rows(49, 50, 51)).samples == 2
    assert target.samples == 82
    head = target.head(1000)
    assert head is not None
    assert (head.again, head.samples) == (True, 20)
    assert drained(target) == list(range(11, 52))
    target.close()


def test_a_damaged_file_is_moved_aside(path: Path) -> None:
    """A file that is no database at the start is kept for a look, that is said, and work goes on."""
    path.parent.mkdir()
    path.write_bytes(b"damaged" * 1000)
    target = queue(path, FakeClock(1000.0))
    with capture_logs() as logs:
        assert target.put(rows(1)).samples == 2
    (log,) = logs
    assert (log["log_level"], log["moved_to"]) == ("error", f"{path}.damaged-1000")
    assert Path(log["moved_to"]).read_bytes() == b"damaged" * 1000
    assert drained(target) == [1]
    target.close()


def test_a_file_damaged_in_the_middle_of_work(path: Path) -> None:
    """A new one is begun; what was in hand is settled without harm to what came since."""
    target = queue(path)
    for time in range(1, 200):
        target.put(rows(time, wide=100))
    head = target.head(1000)
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").close()
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 50_000)
    with capture_logs() as logs:
        assert target.put(rows(300)).samples == 2
    assert [log["log_level"] for log in logs] == ["error"]
    assert head is not None
    target.settle(head)
    assert target.samples == 2
    assert drained(target) == [300]
    target.close()


def test_a_full_disk_is_said_and_passes(path: Path) -> None:
    """Rows that find no room are an error, those before are safe, and with room again they are taken."""
    limit: list[int] = [40]

    class Small(sqlite3.Connection):
        """A disk of few pages."""

        def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
            if sql.startswith("BEGIN"):
                super().execute(f"PRAGMA max_page_count = {limit[0]}")
            return super().execute(sql, *parameters)  # type: ignore[arg-type]

    target = WriteQueue(path, max_bytes=64 * MIB, now=FakeClock(), factory=Small)
    target.put(rows(1))
    with pytest.raises(StoreError, match="the disk is full; free some space"):
        target.put(rows(2, wide=40_000))
    assert target.samples == 2
    limit[0] = 10_000
    assert target.put(rows(2, wide=40_000)).samples == 40_000
    assert drained(target) == [1, 2]
    target.close()


def test_a_queue_has_one_owner(path: Path) -> None:
    """Two writers with one file would send each other's rows: the second is informed."""
    first, second = queue(path), queue(path)
    first.put(rows(1))
    with pytest.raises(StoreError, match="another writer's queue; give each writer a `queue_path`"):
        second.put(rows(1))
    first.close()
    assert second.put(rows(2)).samples == 2
    second.close()
    with pytest.raises(StoreError, match="is closed"):
        second.put(rows(3))


def test_a_place_that_cannot_hold_it(tmp_path: Path) -> None:
    """The error says where, and what to do."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"the queue cannot be kept here .* choose another place"):
        queue(tmp_path / "file" / "queue.sqlite").put(rows(1))


def test_what_is_not_needed_is_forgotten(path: Path) -> None:
    """Sources that wrote nothing for a month, and layouts without rows: groups may come and go for years."""
    clock = FakeClock()
    target = queue(path, clock)
    for number in range(100):
        target.put(rows(1, source=f"pod-{number}", layout=b"%d" % number))
        drained(target)
    clock.advance(31 * DAY)
    target.put(rows(2, source="pod-0", layout=b"0"))
    drained(target)
    target.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT source FROM sources").fetchall() == [("pod-0",)]
        assert connection.execute("SELECT count(*) FROM layouts").fetchone() == (0,)
    connection.close()


def test_disk_space_is_given_back(path: Path) -> None:
    """After a long outage the file becomes small again."""
    clock = FakeClock()
    target = queue(path, clock, max_bytes=512 * MIB)
    for time in range(1, 180):
        target.put(rows(time, wide=50_000))
    assert path.stat().st_size > 64 * MIB
    while (head := target.head(500_000)) is not None:
        target.settle(head)
    clock.advance(2 * DAY)
    target.put(rows(1000))
    drained(target)
    target.close()
    assert path.stat().st_size < MIB
