"""The files reader's parsed tables: which files there are, their labels, and a cache that notices changes."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from tsdiff_monitor.errors import DataError, SourceError
from tsdiff_monitor.timeseries.tables import Layout, Table, read_tables

__all__ = ["FileTable", "FileTables"]


@dataclass(frozen=True, eq=False)
class FileTable:
    """One table (a long file gives one per series) with the labels that all its metrics carry."""

    file: str
    table: Table
    labels: Mapping[str, str]


class FileTables:
    """Parses the files of paths or globs, and again only those whose modification time or size has changed."""

    def __init__(self, patterns: Sequence[str], layout: Layout | None, labels: Mapping[str, str]) -> None:
        self._patterns = tuple(patterns)
        self._layout: Layout | None = layout
        self._labels = dict(labels)
        self._lock = Lock()
        self._parsed: dict[Path, tuple[tuple[int, int], tuple[Table, ...]]] = {}

    def load(self, wanted: Callable[[Mapping[str, str]], bool] | None = None) -> list[FileTable]:
        """Every table whose labels are ``wanted`` (None: all), in the order of the files' names.

        A file none of whose tables can be wanted is not parsed. Raises :class:`SourceError`.
        """
        with self._lock:
            paths = self._paths()
            labels = {path: {"file": name, **self._labels} for name, path in zip(_names(paths), paths, strict=True)}
            chosen = [path for path in paths if wanted is None or wanted(labels[path])]
            known = {path: self._parsed[path] for path in paths if path in self._parsed}
            self._parsed = known | {path: self._parse(path) for path in chosen}  # files that are gone leave the cache
            found = []
            for path in chosen:
                for table in self._parsed[path][1]:
                    own = {"series": table.names[0]} if table.layout == "long" else {}
                    found.append(FileTable(labels[path]["file"], table, {**labels[path], **own}))
            return found

    def _paths(self) -> list[Path]:
        return sorted({path for pattern in self._patterns for path in self._matching(pattern)})

    def _matching(self, pattern: str) -> list[Path]:
        literal = Path(pattern).expanduser()
        if literal.exists() or not glob.has_magic(pattern):
            return [literal]  # where it is missing, reading it says so, with names that come close
        paths = (Path(found) for found in glob.glob(str(literal), recursive=True))  # noqa: PTH207 (absolute too)
        files = [path for path in paths if path.is_file()]
        if not files:
            raise SourceError(f"no file matches {pattern}; check `path`", reason="not_found")
        return files

    def _parse(self, path: Path) -> tuple[tuple[int, int], tuple[Table, ...]]:
        try:
            state = path.stat()
        except OSError:
            state = None
        stamp = (state.st_mtime_ns, state.st_size) if state else (0, -1)
        known = self._parsed.get(path)
        if known is not None and known[0] == stamp:
            return known
        try:
            return stamp, read_tables(path, self._layout)
        except DataError as error:
            reason = "bad_data" if state else "not_found"
            raise SourceError(str(error), reason=reason, recoverable=state is None) from error


def _names(paths: list[Path]) -> list[str]:
    """The label ``file``: the stem, or the path below the common folder where stems repeat."""
    stems = Counter(path.stem for path in paths)
    root = os.path.commonpath([path.parent for path in paths])
    return [path.stem if stems[path.stem] == 1 else path.relative_to(root).as_posix() for path in paths]
