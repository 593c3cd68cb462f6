"""Outputs appear whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tsdiff_monitor.errors import OutputError
from tsdiff_monitor.system.atomic_files import atomic_path, check_writable


def test_a_file_appears_whole(tmp_path: Path) -> None:
    """The target exists only after the block, with folders made for it, and nothing else is left."""
    target = tmp_path / "new" / "folder" / "scores.parquet"
    with atomic_path(target) as part:
        part.write_text("rows")
        assert part.suffix == ".parquet"
        assert part.parent == target.parent
        assert not target.exists()
    assert target.read_text() == "rows"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    """Any error in the block, an interrupt too, leaves the old content and no temporary file."""
    target = tmp_path / "scores.csv"
    target.write_text("old")
    for stop in (ValueError, KeyboardInterrupt):
        with pytest.raises(stop), atomic_path(target) as part:
            part.write_text("half")
            raise stop
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_is_explained(tmp_path: Path) -> None:
    """A write that fails becomes an error with path and remedy; the cause is kept."""
    target = tmp_path / "scores.csv"
    with (
        pytest.raises(OutputError, match=r"scores\.csv: cannot be written.*disk is full") as caught,
        atomic_path(target),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


def test_permissions_are_kept(tmp_path: Path) -> None:
    """A new file has the permissions that the umask allows, a replaced one keeps its own."""
    target = tmp_path / "scores.csv"
    plain = tmp_path / "plain"
    plain.touch()
    for mode in (plain.stat().st_mode & 0o777, 0o640):
        if target.exists():
            target.chmod(mode)
        with atomic_path(target) as part:
            part.write_text("rows")
        assert target.stat().st_mode & 0o777 == mode


def test_a_link_survives(tmp_path: Path) -> None:
    """Writing to a symbolic link writes the file that it points to."""
    (tmp_path / "real.csv").write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to("real.csv")
    with atomic_path(link) as part:
        part.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"


def test_places_that_take_no_file(tmp_path: Path) -> None:
    """A folder, a path through a file, a device and a name too long fail at once, both early and late."""
    (tmp_path / "file").touch()
    for target, message in (
        (tmp_path, "name a file in it"),
        (tmp_path / "file" / "a.csv", "a part of the path is a file"),
        (tmp_path / "file" / "deeper" / "a.csv", "a part of the path is a file"),
        (Path("/dev/null"), "neither a file nor a folder"),
        (tmp_path / ("x" * 300), "shorter name"),
    ):
        with pytest.raises(OutputError, match=message):
            check_writable(target)
        with pytest.raises(OutputError, match=message), atomic_path(target):
            raise AssertionError("the block must not run")


def test_checking_writes_nothing(tmp_path: Path) -> None:
    """A place that can be written is left as it was, missing folders included."""
    check_writable(tmp_path / "a" / "b" / "scores.csv")
    check_writable(tmp_path / "scores.csv")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_read_only_places(tmp_path: Path) -> None:
    """A read-only folder and a read-only file are found before the work."""
    (tmp_path / "a.csv").touch(mode=0o400)
    with pytest.raises(OutputError, match="read-only"):
        check_writable(tmp_path / "a.csv")
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="change its permissions"):
        check_writable(tmp_path / "b.csv")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_a_file_system_that_refuses() -> None:
    """A file that the system refuses to create, even for root, is an error at once."""
    with pytest.raises(OutputError, match="cannot be written"):
        check_writable(Path("/proc/scores.csv"))
