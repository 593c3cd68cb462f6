"""The documentation of data files and plug-ins is true."""

from __future__ import annotations

import importlib
import json
import re
import sys
from pathlib import Path

import pytest

from tsdiff_alerts.console import ConsoleNotifier
from tsdiff_alerts.message.phrases import json_text
from tsdiff_alerts.webhook import WebhookNotifier
from tsdiff_alerts.webhook.notifier import sign
from tsdiff_connectors.files import FilesReader, FilesWriter
from tsdiff_monitor.plugins import Context, Notifier
from tsdiff_monitor.settings.model import StrictModel
from tsdiff_monitor.testing import HttpNotifierConformance, example_change
from tsdiff_monitor.timeseries.tables import read_tables

DOCS = Path(__file__).parents[2] / "docs"


def blocks(document: str, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / document).read_text(encoding="utf-8"), re.DOTALL)


def section(document: str, title: str) -> str:
    """The text under a heading of the second level."""
    return (DOCS / document).read_text(encoding="utf-8").split(f"## {title}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize(
    ("config", "document", "title"),
    [
        (FilesReader.Config, "data-files.md", "The `files` reader"),
        (FilesWriter.Config, "data-files.md", "The `files` writer"),
        (ConsoleNotifier.Config, "plugins.md", "The `console` notifier"),
        (WebhookNotifier.Config, "plugins.md", "The `webhook` notifier"),
    ],
)
def test_every_key_is_documented(config: type[StrictModel], document: str, title: str) -> None:
    """Each configuration key is in its plug-in's table, and the table names no key that does not exist."""
    cells = re.findall(r"^\| (`.*?) \|", section(document, title).split("\n\nEach change")[0], re.MULTILINE)
    documented = {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}
    assert documented == set(config.model_fields)


def test_the_example_tables_can_be_read(tmp_path: Path) -> None:
    """The tables shown are accepted as they stand."""
    path = tmp_path / "table.csv"
    wide, long, _ = blocks("data-files.md", "csv")
    path.write_text(wide)
    assert read_tables(path)[0].names == ("cpu", "memory")
    path.write_text(long)
    assert [table.names for table in read_tables(path)] == [("web-1",), ("web-2",)]


def test_the_example_reader_passes_its_kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plug-in shown conforms, tested with the tests shown."""
    code, tests, *_ = blocks("plugins.md", "python")
    (tmp_path / "acme_room.py").write_text(code)  # a real file: key docstrings are read from the source
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_room", raising=False)
    space: dict[str, type] = {}
    exec(tests, space)
    kit = space["TestRoom"]
    names = [name for name in dir(kit) if name.startswith("test_")]
    assert len(names) > 5
    for name in names:
        getattr(kit(), name)()


def test_the_example_notifier_passes_its_kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The notifier shown conforms: it keeps its secrets and knows what is worth a retry."""
    (tmp_path / "acme_chat.py").write_text(blocks("plugins.md", "python")[3])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "acme_chat", raising=False)
    chat = importlib.import_module("acme_chat").ChatNotifier

    class Kit(HttpNotifierConformance):
        secrets = ("room-token",)

        def make(self, context: Context) -> Notifier:
            made: Notifier = chat(chat.Config(url="https://chat.example/room-token"), context)
            return made

    names = [name for name in dir(Kit) if name.startswith("test_")]
    assert len(names) > 8
    for name in names:
        getattr(Kit(), name)()


def test_the_payload_is_as_shown() -> None:
    """The example's first culprit and every other field are those of a real payload."""
    (shown,) = (json.loads(block) for block in blocks("plugins.md", "json"))
    real = json.loads(json_text({"version": 1, **example_change().to_json()}))
    real["event"]["culprits"] = real["event"]["culprits"][:1]
    assert shown == real


def test_the_verification_shown_works() -> None:
    """The snippet accepts what the notifier signs, and neither a changed body nor an old post."""
    space: dict[str, object] = {}
    exec(blocks("plugins.md", "python")[2], space)
    verify = space["verify"]
    assert callable(verify)
    headers = {"X-Tsdiff-Timestamp": "1000", "X-Tsdiff-Signature": sign("key", "1000", b"body")}
    assert verify("key", headers, b"body", now=1001)
    assert not verify("key", headers, b"bodY", now=1001)
    assert not verify("key", headers, b"body", now=2000)
