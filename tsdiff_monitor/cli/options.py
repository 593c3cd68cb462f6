"""Options that several commands have, with the same name, meaning and help in all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["ConfigArgument", "ConfigFile", "DaemonStorage", "Monitor", "Storage"]

ConfigFile = Annotated[Path, typer.Option("--config.file", metavar="FILE", help="Configuration file (YAML).")]

ConfigArgument = Annotated[Path, typer.Argument(metavar="FILE", help="Configuration file (YAML).")]

Storage = Annotated[
    Path | None, typer.Option("--storage.path", metavar="DIR", help="Replaces `settings.storage_path`.")
]

DaemonStorage = Annotated[
    Path | None,
    typer.Option("--storage.path", metavar="DIR", help="Folder of state and models; replaces the file's setting."),
]
"""The same option in the words of ``run``, where nothing else says what the folder is for."""

Monitor = Annotated[str | None, typer.Option("--monitor", metavar="NAME", help="Only this monitor.")]
