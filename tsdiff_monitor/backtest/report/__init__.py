"""The report of a replay: the HTML page with its pictures, and the same facts as files for programs."""

from __future__ import annotations

from tsdiff_monitor.backtest.report.replay import EventRows, GroupReplay, Replay
from tsdiff_monitor.backtest.report.summary import Summary, summarise
from tsdiff_monitor.backtest.report.write import FILES, write_report

__all__ = ["FILES", "EventRows", "GroupReplay", "Replay", "Summary", "summarise", "write_report"]
