"""Table files as a source and as a target: Parquet and CSV (docs/data-files.md)."""

from tsdiff_connectors.files.reader import FilesReader
from tsdiff_connectors.files.writer import FilesWriter

__all__ = ["FilesReader", "FilesWriter"]
