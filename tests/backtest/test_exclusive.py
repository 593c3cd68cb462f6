"""The report's folder while it is being made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tsdiff_monitor.errors import OutputError
from tsdiff_monitor.system.file_lock import exclusive


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_work_folder_is_empty_and_goes_away(tmp_path: Path) -> None:
    """The remains of a killed run are cleared, nothing else is touched, and only the report stays."""
    folder = tmp_path / "report"
    (folder / ".work").mkdir(parents=True)
    (folder / ".work" / "state.sqlite").write_text("old")
    (folder / ".lock").write_text("")
    (folder / ".events.0a1b2c3d.part.jsonl").write_text("half a li")
    (folder / "notes.txt").write_text("mine")
    with exclusive(folder) as work:
        assert listing(work) == []
        (work / "state.sqlite").write_text("new")
        (folder / "report.html").write_text("done")
    assert listing(folder) == ["notes.txt", "report.html"]


def test_folders_made_for_nothing_go_away(tmp_path: Path) -> None:
    """A run that fails leaves no empty folders; those that were there stay."""
    (tmp_path / "mine").mkdir()
    with pytest.raises(RuntimeError), exclusive(tmp_path / "mine" / "a" / "b"):
        raise RuntimeError
    with pytest.raises(RuntimeError), exclusive(tmp_path / "mine"):
        raise RuntimeError
    assert listing(tmp_path) == ["mine"]


def test_only_one_run_at_a_time(tmp_path: Path) -> None:
    """The second is refused while the first goes on, and its failure takes nothing from the first."""
    with exclusive(tmp_path) as work:
        (work / "state.sqlite").write_text("mine")
        with (
            pytest.raises(OutputError, match="another run is writing its report here; wait for it"),
            exclusive(tmp_path),
        ):
            pass
        assert listing(work) == ["state.sqlite"]
    with exclusive(tmp_path):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A path below a file, and a file in place of the folder: path, reason, remedy."""
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file" / "report", tmp_path / "file"):
        with pytest.raises(OutputError, match="the report cannot be written here") as raised, exclusive(folder):
            pass
        assert str(folder) in str(raised.value)
        assert "choose another folder" in str(raised.value)


def test_a_work_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    """Something else in its place is not removed."""
    (tmp_path / ".work").write_text("a file")
    with pytest.raises(OutputError, match="the report cannot be written here"), exclusive(tmp_path):
        pass
    assert listing(tmp_path) == [".work"]
