"""The names that plug-ins import."""

from __future__ import annotations

from tsdiff_monitor import plugins


def test_every_name_is_there() -> None:
    """Each name that the package offers exists."""
    assert not [name for name in plugins.__all__ if not hasattr(plugins, name)]


def test_the_earlier_name_of_a_labelled_span() -> None:
    """A plug-in that imports ``Incident`` goes on working."""
    assert plugins.Incident is plugins.LabelledSpan
