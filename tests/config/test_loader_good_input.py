"""The result of reading a good configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import FrozenInstanceError
from datetime import time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tsdiff_monitor.config.loader import Config, LoadPlugin, load_config
from tsdiff_monitor.config.settings import Settings, WebSettings
from tsdiff_monitor.detectors.baseline.config import BaselineModelConfig
from tsdiff_monitor.detectors.diffusion.config import DiffusionModelConfig

SMALL = """
readers: {prom: {type: fake, url: http://localhost:9090}}
schedulers: {minutely: {infer_every: 1m}}
monitors: {hosts: {reader: prom, scheduler: minutely, step: 1m, queries: {cpu: up}}}
"""


def read(text: str, tmp_path: Path, load: LoadPlugin, environ: Mapping[str, str] | None = None) -> Config:
    path = tmp_path / "c.yml"
    path.write_text(text)
    return load_config(path, environ=environ or {}, load=load)


def test_small_file_gets_the_documented_defaults(tmp_path: Path, load: LoadPlugin) -> None:
    """A file with only the required keys is whole: settings and the default model are filled in."""
    config = read(SMALL, tmp_path, load)
    assert config.settings == Settings()
    assert config.settings.storage_path == Path("tsdiff-data")
    assert config.settings.zone == ZoneInfo("UTC")
    assert config.settings.workers is None
    assert config.settings.max_catchup == timedelta(days=1)
    assert config.settings.delivery.give_up_after == timedelta(days=2)
    assert (config.settings.web.host, config.settings.web.port) == ("127.0.0.1", 8490)
    assert config.models == {"default": DiffusionModelConfig()}
    scheduler = config.schedulers["minutely"]
    assert (scheduler.fit_every, scheduler.start_from, scheduler.offset) == (
        timedelta(days=1),
        None,
        timedelta(seconds=30),
    )
    monitor = config.monitors["hosts"]
    assert (monitor.model, monitor.groupby, monitor.alarms_per_week) == ("default", (), 1.0)
    query = monitor.queries["cpu"]
    assert query.expr == "up"
    assert (query.detection_direction, query.min_dev_from_expected, query.min_rel_dev_from_expected) == ("both", 0, 0)


def test_plugin_is_built_from_its_entry(tmp_path: Path, load: LoadPlugin) -> None:
    """An entry carries the plug-in class and its validated keys, without `type`."""
    entry = read(SMALL, tmp_path, load).readers["prom"]
    assert entry.type == "fake"
    assert isinstance(entry.config, entry.plugin.Config)
    assert entry.config.model_dump() == {"url": "http://localhost:9090"}


def test_config_is_frozen(tmp_path: Path, load: LoadPlugin) -> None:
    """A running process cannot change its configuration by accident."""
    config = read(SMALL, tmp_path, load)
    with pytest.raises(FrozenInstanceError):
        config.file = "other"  # type: ignore[misc]


def test_query_shorthand_is_its_expression(tmp_path: Path, load: LoadPlugin) -> None:
    """`cpu: up` and `cpu: {expr: up}` are the same query."""
    longer = read(SMALL.replace("cpu: up", "cpu: {expr: up}"), tmp_path, load)
    assert longer.monitors == read(SMALL, tmp_path, load).monitors


def test_scalars_are_those_of_yaml_1_2(tmp_path: Path, load: LoadPlugin) -> None:
    """Times and names that YAML 1.1 turns into numbers and booleans stay what the user wrote."""
    text = SMALL.replace("infer_every: 1m", "infer_every: 1m, start_from: 13:30").replace("cpu: up", "no: on, 1: yes")
    config = read("settings: {workers: 2, web: {listen_address: 12:34}}\n" + text, tmp_path, load)
    assert config.schedulers["minutely"].start_from == time(13, 30)
    assert {name: query.expr for name, query in config.monitors["hosts"].queries.items()} == {"no": "on", "1": "yes"}
    assert config.settings.web.listen_address == "12:34"


def test_merge_keys_may_be_overridden(tmp_path: Path, load: LoadPlugin) -> None:
    """A mapping taken over with `<<` may be changed without counting as a key used twice."""
    text = SMALL.replace("hosts: {", "hosts: &base {").replace("up}}}", "up}}, slow: {<<: *base, step: 30s}}")
    assert read(text, tmp_path, load).monitors["slow"].step == timedelta(seconds=30)


def test_sections_and_entries_without_content(tmp_path: Path, load: LoadPlugin) -> None:
    """A section or entry of which only the name is written takes its defaults."""
    config = read(SMALL + "writers:\nmodels:\n  default:\n", tmp_path, load)
    assert config.models == {"default": DiffusionModelConfig()}
    assert config.writers == {}


def test_default_model_can_be_changed(tmp_path: Path, load: LoadPlugin) -> None:
    """A `default` entry of the models section replaces the built-in one."""
    assert read(SMALL + "models: {default: {window: 32}}", tmp_path, load).models["default"].window == 32


def test_the_type_of_a_model_decides_its_keys(tmp_path: Path, load: LoadPlugin) -> None:
    """An entry without a type is a diffusion model; one of another type is checked as that."""
    models = "models: {default: {}, daily: {type: baseline, method: seasonal, period: 1440}, auto: {type: baseline}}"
    config = read(SMALL + models, tmp_path, load)
    assert config.models["default"] == DiffusionModelConfig()
    assert config.models["daily"] == BaselineModelConfig(method="seasonal", period=1440)
    assert config.models["auto"] == BaselineModelConfig()


def test_byte_order_mark_is_ignored(tmp_path: Path, load: LoadPlugin) -> None:
    """Files saved by editors that begin with a byte order mark are read."""
    assert read("\ufeff" + SMALL, tmp_path, load).monitors


def test_ipv6_listen_address() -> None:
    """The brackets of an IPv6 address are for writing it, not for binding to it."""
    web = WebSettings(listen_address="[::1]:0")
    assert (web.host, web.port) == ("::1", 0)
