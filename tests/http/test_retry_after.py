"""The header ``Retry-After``."""

from __future__ import annotations

import pytest

from tsdiff_monitor.http.retry_after import retry_after

NOW = 1714532400.7
"""2024-05-01 03:00:00.7 UTC."""


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("0", 0),
        ("Wed, 01 May 2024 03:01:00 GMT", 59.3),
        ("Wed, 01 May 2024 03:01:00 -0000", 59.3),
        ("Wed, 01 May 2024 05:01:00 +0200", 59.3),
        ("Wed, 01 May 2024 02:00:00 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("1e3", None),
        ("9" * 400, None),
        ("", None),
        (None, None),
    ],
)
def test_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    """Both forms count from now; a date gone by is now, nonsense is nothing."""
    assert retry_after(header, NOW) == (None if seconds is None else pytest.approx(seconds))
