"""Fake plug-ins, so that tests of configurations do not depend on what is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field, SecretStr, field_validator, model_validator

from tsdiff_monitor.config.loader import LoadPlugin
from tsdiff_monitor.plugins import Kind, load_plugin
from tsdiff_monitor.settings.model import StrictModel


class BasicAuth(StrictModel):
    username: str
    """The name of the user."""
    password: SecretStr | None = None
    """The password."""
    password_file: Path | None = None
    """File that holds the password."""


class FakeReader:
    class Config(StrictModel):
        url: str
        """Address of the source."""


class MaskedReader:
    class Config(StrictModel):
        address: SecretStr
        """Address of the source, with credentials perhaps."""


class SteppingReader(FakeReader):
    """A reader that takes options of queries."""

    query_options = frozenset({"step", "tz"})


class FakeWriter:
    class Config(StrictModel):
        path: Path
        """Address of the store of scores."""


class FakeNotifier:
    class Config(StrictModel):
        """A notifier with secrets in every place where they may be."""

        token: SecretStr | None = None
        """The token."""
        token_file: Path | None = None
        """File that holds the token."""
        basic_auth: BasicAuth | None = None
        """User and password."""
        headers: dict[str, SecretStr] = Field(default_factory=dict)
        """Headers to send."""
        proxies: list[BasicAuth] = Field(default_factory=list)
        """Proxies to pass."""

        @field_validator("token")
        @classmethod
        def _no_blanks(cls, value: SecretStr | None) -> SecretStr | None:
            if value is not None and " " in value.get_secret_value():
                raise ValueError(f"{value.get_secret_value()!r} has blanks")
            return value

        @model_validator(mode="after")
        def _no_x_header(self) -> FakeNotifier.Config:
            if "x" in self.headers:
                raise ValueError(f"x is {self.headers['x'].get_secret_value()}; leave it out")
            return self


class NoConfig:
    """A stranger's plug-in that forgot its configuration class."""


FAKES: dict[tuple[str, str], type] = {
    ("readers", "fake"): FakeReader,
    ("readers", "masked"): MaskedReader,
    ("readers", "stepping"): SteppingReader,
    ("writers", "fake"): FakeWriter,
    ("notifiers", "fake"): FakeNotifier,
    ("notifiers", "no-config"): NoConfig,
}


@pytest.fixture
def load() -> LoadPlugin:
    """Finds the fakes, then what is installed."""

    def find(kind: Kind, type_name: str, *, key: str = "", file: str = "") -> type:
        fake = FAKES.get((kind, type_name))
        return fake if fake is not None else load_plugin(kind, type_name, key=key, file=file)

    return find
