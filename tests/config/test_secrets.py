"""Secrets: inline or by file, never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from tsdiff_monitor.config.loader import Config, LoadPlugin, load_config
from tsdiff_monitor.errors import ConfigError
from tsdiff_monitor.settings.secrets import resolve_secret

TEXT = """
readers: {prom: {type: fake, url: http://localhost}}
schedulers: {s: {infer_every: 1m}}
monitors: {m: {reader: prom, scheduler: s, step: 1m, queries: {q: up}, notify: [oncall]}}
notifiers: {oncall: {type: fake, ENTRY}}
"""


def read(entry: str, tmp_path: Path, load: LoadPlugin) -> Config:
    path = tmp_path / "c.yml"
    path.write_text(TEXT.replace("ENTRY", entry))
    return load_config(path, environ={"TOKEN": "hunter2"}, load=load)


def test_neither_is_none() -> None:
    """A secret that is not given is None."""
    assert resolve_secret(None, None) is None


def test_inline() -> None:
    """An inline secret is given back as it is."""
    assert resolve_secret(SecretStr(" x "), None) == " x "


def test_file_is_read_at_use(tmp_path: Path) -> None:
    """A rotated file takes effect at the next use, and the line end editors add is no part of the secret."""
    file = tmp_path / "token"
    file.write_text("old\n")
    assert resolve_secret(None, file) == "old"
    file.write_text("new")
    assert resolve_secret(None, file) == "new"


def test_both_is_an_error(tmp_path: Path) -> None:
    """Two sources of one secret are refused without showing it."""
    with pytest.raises(ConfigError, match="both inline and by file") as caught:
        resolve_secret(SecretStr("hunter2"), tmp_path / "token")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "No such file"), (b" \n", "the file is empty"), (b"\xff\xfe", "not a text file")]
)
def test_unusable_file_is_named(content: bytes | None, reason: str, tmp_path: Path) -> None:
    """A file that cannot serve is named with the reason."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        resolve_secret(None, file)
    assert str(caught.value).startswith(str(file))


def test_whole_configuration_masks_secrets(tmp_path: Path, load: LoadPlugin) -> None:
    """Neither the repr nor the JSON form of a configuration shows a secret, wherever it stands."""
    entry = "token: '${TOKEN}', headers: {a: hunter2}, basic_auth: {username: me, password: hunter2}"
    config = read(entry, tmp_path, load)
    entry_config = config.notifiers["oncall"].config
    assert "hunter2" not in repr(config) + str(config) + entry_config.model_dump_json()
    assert "me" in repr(config)


def test_secret_files_of_lists_and_sub_models_are_checked(tmp_path: Path, load: LoadPlugin) -> None:
    """A missing file is found at reading time wherever the key stands, and a good one is accepted."""
    token = tmp_path / "token"
    token.write_text("hunter2")
    assert read(f"token_file: {token}", tmp_path, load).inline_secrets == ()
    with pytest.raises(ConfigError) as caught:
        read("proxies: [{username: me, password_file: absent}]", tmp_path, load)
    assert [problem.key for problem in caught.value.problems] == ["notifiers.oncall.proxies[0].password_file"]


def test_inline_secrets_are_found(tmp_path: Path, load: LoadPlugin) -> None:
    """Secrets written into the file are distinguished from those taken from the environment."""
    entry = "token: '${TOKEN}', headers: {a: x, b: '${TOKEN}'}, proxies: [{username: me, password: x}]"
    assert read(entry, tmp_path, load).inline_secrets == (
        "notifiers.oncall.headers.a",
        "notifiers.oncall.proxies[0].password",
    )
