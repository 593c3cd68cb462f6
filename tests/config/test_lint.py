"""Warnings about valid configurations."""

from __future__ import annotations

from pathlib import Path

import pytest

from tsdiff_monitor.config.lint import OPEN_TO_ALL, lint
from tsdiff_monitor.config.loader import LoadPlugin, load_config

CLEAN = """
readers: {prom: {type: fake, url: http://localhost}}
models: {default: {window: 64}}
schedulers: {s: {infer_every: 1m}}
monitors: {m: {reader: prom, scheduler: s, step: 1m, queries: {q: up}, notify: [oncall], write: [scores]}}
notifiers: {oncall: {type: fake}}
writers: {scores: {type: fake, path: scores}}
"""


def warnings(text: str, tmp_path: Path, load: LoadPlugin) -> list[tuple[str, str]]:
    path = tmp_path / "c.yml"
    path.write_text(text)
    found = lint(load_config(path, environ={"TOKEN": "x"}, load=load))
    assert all(warning.remedy for warning in found)
    return [(warning.key, warning.problem) for warning in found]


def test_clean_file_has_no_warnings(tmp_path: Path, load: LoadPlugin) -> None:
    """A sensible configuration is not nagged about."""
    assert warnings(CLEAN, tmp_path, load) == []


@pytest.mark.parametrize(
    ("old", "new", "key", "problem"),
    [
        ("step: 1m", "step: 1m, alarms_per_week: 51", "monitors.m.alarms_per_week", "51 false events a week"),
        ("infer_every: 1m", "infer_every: 5h", "monitors.m.scheduler", "5h, is far longer than the 1h4m"),
        ("{type: fake}", "{type: fake, token: x}", "notifiers.oncall.token", "in clear text"),
        ("{prom:", "{old: {type: fake, url: x}, prom:", "readers.old", "no monitor uses it"),
        ("{default:", "{big: {width: 256}, default:", "models.big", "no monitor uses it"),
        ("{s:", "{hourly: {infer_every: 1h}, s:", "schedulers.hourly", "no monitor uses it"),
        ("{oncall:", "{spare: {type: fake}, oncall:", "notifiers.spare", "no monitor uses it"),
        ("{scores:", "{old: {type: fake, path: x}, scores:", "writers.old", "no monitor uses it"),
    ],
)
def test_one_warning(old: str, new: str, key: str, problem: str, tmp_path: Path, load: LoadPlugin) -> None:
    """Each doubtful choice gets exactly one warning, at its key."""
    ((found_key, found_problem),) = warnings(CLEAN.replace(old, new, 1), tmp_path, load)
    assert found_key == key
    assert problem in found_problem


def test_monitor_without_recipients(tmp_path: Path, load: LoadPlugin) -> None:
    """A monitor without notifiers and writers is pointed out, beside the entries that are now unused."""
    found = warnings(CLEAN.replace(", notify: [oncall], write: [scores]", ""), tmp_path, load)
    assert found[0] == ("monitors.m", "its events reach no one: it has neither `notify` nor `write`")
    assert [key for key, _ in found[1:]] == ["notifiers.oncall", "writers.scores"]


def test_secret_from_the_environment_is_fine(tmp_path: Path, load: LoadPlugin) -> None:
    """A secret taken from the environment is no secret in clear text."""
    assert warnings(CLEAN.replace("{type: fake}", "{type: fake, token: '${TOKEN}'}"), tmp_path, load) == []


@pytest.mark.parametrize(
    ("address", "secret"),
    [
        ("http://localhost:9090", False),
        ("sqlite:///payments.sqlite", False),
        ("postgresql://robot@db/payments", False),
        ("postgresql://robot:hunter2@db/payments", True),
        ("https://mimir.example/prometheus?token=hunter2", True),
        ("hunter2", True),
    ],
)
def test_addresses_of_sources_are_secrets_only_with_a_password(
    tmp_path: Path, load: LoadPlugin, address: str, secret: bool
) -> None:
    """They are masked in any case, since they may carry one; but a warning about a plain one would be noise."""
    changed = CLEAN.replace("{type: fake, url: http://localhost}", f"{{type: masked, address: {address!r}}}")
    assert changed != CLEAN
    found = [problem for problem in warnings(changed, tmp_path, load) if "address" in str(problem)]
    assert bool(found) == secret


@pytest.mark.parametrize(
    ("address", "open_to_all"),
    [
        ("0.0.0.0:8490", True),
        ("[::]:8490", True),
        ("192.0.2.7:8490", True),
        ("monitor.example.org:8490", True),
        ("127.0.0.1:8490", False),
        ("127.8.8.8:8490", False),
        ("[::1]:8490", False),
        ("localhost:8490", False),
    ],
)
def test_an_address_that_others_reach(address: str, open_to_all: bool, tmp_path: Path, load: LoadPlugin) -> None:
    """The web server asks for no password: listening to more than this machine is a warning."""
    found = warnings(f'{CLEAN}settings: {{web: {{listen_address: "{address}"}}}}\n', tmp_path, load)
    assert found == [("settings.web.listen_address", OPEN_TO_ALL)] * open_to_all
