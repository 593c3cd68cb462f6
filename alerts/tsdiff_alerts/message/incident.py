"""The words for an incident of several groups."""

from __future__ import annotations

from tsdiff_monitor.events.event import Event
from tsdiff_monitor.timeseries.frame import group_name

__all__ = ["groups_text", "member_names", "plural"]

_SHOWN_MEMBERS = 3


def groups_text(event: Event) -> str:
    """``12 groups of hosts``, with the labels that they have in common."""
    count = len({member.group for member in event.members})
    among = f" with {group_name(event.group)}" if event.group else ""
    return f"{count} groups of {event.monitor}{among}"


def member_names(event: Event) -> tuple[str, str]:
    """``instance=a, b, c`` and `` and 9 more``: the label's name once where the groups differ in one label alone."""
    own = [
        [label for label in group if label not in event.group]
        for group in sorted({member.group for member in event.members})
    ]
    shown = own[:_SHOWN_MEMBERS]
    if all(len(labels) == 1 and labels[0][0] == own[0][0][0] for labels in own):
        said = f"{own[0][0][0]}={', '.join(labels[0][1] for labels in shown)}"
    else:
        said = "; ".join(group_name(tuple(labels)) for labels in shown)
    more = f" and {len(own) - len(shown)} more" if len(own) > len(shown) else ""
    return said, more


def plural(said: str) -> str:
    """Of several groups: ``are behaving abnormally``, ``have stopped reporting``, ``keep coming back``."""
    for one, many in (("is ", "are "), ("has ", "have "), ("keeps ", "keep ")):
        if said.startswith(one):
            said = many + said[len(one) :]
    return said.replace(" it is ", " they are ")
