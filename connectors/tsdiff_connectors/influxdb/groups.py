"""Groups of a request as conditions on tags, for queries in the short form."""

from __future__ import annotations

from dataclasses import replace

from tsdiff_connectors.influxdb.shorthand import Matcher, Selection
from tsdiff_monitor.plugins import ReadRequest

__all__ = ["of_groups"]

_MOST = 1_000
"""Groups beyond which a query would be longer than what it saves: all are read."""
_NO_TAGS = ("_field", "_measurement")
"""Labels of ours that are no tags of the server's."""


def of_groups(selection: Selection, request: ReadRequest) -> Selection:
    """``selection`` of the request's groups alone, as far as their labels are tags; as it is where all are wanted."""
    tags = [label for label in sorted(request.groupby) if label not in _NO_TAGS]
    if request.groups is None or not tags or len(request.groups) > _MOST:
        return selection
    groups = [dict(group) for group in sorted(request.groups)]
    sets = [tuple(Matcher(tag, "=", group[tag]) for tag in tags) for group in groups if group.keys() >= set(tags)]
    return replace(selection, any_of=tuple(dict.fromkeys(sets))) if sets else selection
