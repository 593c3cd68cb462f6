"""The header ``Retry-After``: https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["retry_after"]


def retry_after(header: str | None, now: float) -> float | None:
    """Seconds to wait, from either form of ``Retry-After``: a number of seconds or an HTTP date.

    ``now`` in Unix seconds. None where the header is missing or nonsense; 0 for a date that has passed.
    """
    if header is None:
        return None
    if re.fullmatch(r"\s*\d{1,9}\s*", header):
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # the form with "-0000"
    return max(moment.timestamp() - now, 0.0)
