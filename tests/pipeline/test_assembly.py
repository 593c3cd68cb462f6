"""From a configuration to working parts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from tsdiff_monitor.app.build import assemble
from tsdiff_monitor.config.dry_run import dry_run
from tsdiff_monitor.config.loader import Config, PluginConfig, load_config
from tsdiff_monitor.errors import ConfigError, StoreError, WriteError
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.settings.model import StrictModel


@pytest.fixture
def config(tmp_path: Path) -> Config:
    monitor = {"reader": "fleet", "scheduler": "often", "step": "1m", "queries": {"all": "*"}}
    document = {
        "settings": {"storage_path": str(tmp_path / "data"), "max_catchup": "3h"},
        "readers": {"fleet": {"type": "simulator"}},
        "schedulers": {"often": {"infer_every": "5m"}},
        "monitors": {"sent": {**monitor, "notify": ["terminal"], "write": ["scores"]}, "quiet": monitor},
        "writers": {"scores": {"type": "files", "path": str(tmp_path / "scores")}},
        "notifiers": {"terminal": {"type": "console"}},
    }
    path = tmp_path / "monitor.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return load_config(path)


def test_every_monitor_gets_its_pipeline(config: Config, tmp_path: Path) -> None:
    """Pipelines carry the settings, and only the writers that their monitor names; all share store and models."""
    with assemble(config) as parts:
        sent, quiet = parts.pipelines["sent"], parts.pipelines["quiet"]
        assert sent.max_catchup == config.settings.max_catchup
        assert (list(sent.writers), list(quiet.writers)) == (["scores"], [])
        assert sent.store is quiet.store is parts.store
        assert sent.reader is quiet.reader
    assert (tmp_path / "data" / "state.sqlite").exists()


def test_one_process_holds_the_storage(config: Config, tmp_path: Path) -> None:
    """A second one is refused with the folder and a remedy, and may come once the first has ended."""
    with assemble(config), pytest.raises(StoreError, match="another tsdiff-monitor is using this storage; stop it"):
        assemble(config)
    with assemble(config):
        pass


@dataclasses.dataclass
class Recorder:
    """A plug-in type that notes in ``log`` when one is built and closed; the one named ``faulty`` cannot be built."""

    faulty: str = ""
    log: list[str] = dataclasses.field(default_factory=list)

    def entry(self, config: StrictModel) -> PluginConfig:
        recorder = self

        class Part:
            def __init__(self, config: object, context: Context) -> None:
                if context.name == recorder.faulty:
                    raise OSError("no room for a queue")
                self.name = context.name
                recorder.log.append(f"{self.name} built")

            def close(self) -> None:
                recorder.log.append(f"{self.name} closed")
                raise WriteError("cannot flush", recoverable=False, reason="disk")

        return PluginConfig(Part, config, "recorded")

    def configured(self, config: Config) -> Config:
        """The configuration with three writers of this type, and none else."""
        entry = self.entry(config.writers["scores"].config)
        return dataclasses.replace(config, readers={}, notifiers={}, monitors={}, writers=dict.fromkeys("abc", entry))


def test_no_plugin_is_built_on_a_storage_in_use(config: Config) -> None:
    """The files of the process that uses it, such as a writer's queue, are left alone."""
    recorder = Recorder()
    with assemble(config), pytest.raises(StoreError, match="another tsdiff-monitor is using this storage"):
        assemble(recorder.configured(config))
    assert recorder.log == []


def test_what_was_built_is_closed_when_a_later_part_fails(config: Config) -> None:
    """The error is the failing part's own, even if closing the others raises, and the storage is free again."""
    recorder = Recorder(faulty="c")
    with pytest.raises(OSError, match="no room for a queue"):
        assemble(recorder.configured(config))
    assert recorder.log == ["a built", "b built", "b closed", "a closed"]
    with assemble(config):
        pass


def test_a_damaged_database_lets_go_of_the_storage(config: Config, tmp_path: Path) -> None:
    """The error says what to do, and after it has been done the storage can be used."""
    database = tmp_path / "data" / "state.sqlite"
    database.parent.mkdir()
    database.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="damaged or not a database"):
        assemble(config)
    database.unlink()
    with assemble(config):
        pass


def test_everything_is_closed_if_any_part_fails(config: Config) -> None:
    """A writer that cannot flush is heard of, and the store is closed all the same."""

    class Stubborn:
        def write(self, batch: object) -> None: ...

        def close(self) -> None:
            raise WriteError("cannot flush", recoverable=False, reason="disk")

    parts = assemble(config)
    object.__setattr__(parts, "writers", {"scores": Stubborn()})
    with pytest.raises(WriteError), parts:
        pass
    with pytest.raises(StoreError, match="closed"):
        parts.store.counts()


def test_silence_leaves_no_one_to_notify(config: Config) -> None:
    """Looking back, a configuration has its monitors and readers, but no notifier and no writer."""
    silent = dry_run(config)
    assert (dict(silent.notifiers), dict(silent.writers)) == ({}, {})
    assert list(silent.monitors) == ["sent", "quiet"]
    assert all(not (monitor.notify or monitor.write) for monitor in silent.monitors.values())
    assert config.monitors["sent"].notify == ("terminal",)
    assert list(dry_run(config, only="quiet").monitors) == ["quiet"]


def test_an_unknown_monitor_is_named_with_those_there_are(config: Config) -> None:
    """The error says which monitors the file has."""
    with pytest.raises(ConfigError, match=r"there is no monitor 'tolt' \(it has: sent, quiet\)"):
        dry_run(config, only="tolt")
