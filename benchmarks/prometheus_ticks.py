"""Cost of a tick of many groups to this process, and growth of memory: a local server answers, in its own process.

``python -m benchmarks.prometheus_ticks serve GROUPS`` is that server, ``... memory GROUPS QUERIES TICKS`` the process
whose memory is looked at; both are started from here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pandas as pd

from tsdiff_monitor.plugins import Context, Query, ReadRequest

__all__ = ["main", "memory_mib", "server", "tick_cpu_seconds"]

_START = pd.Timestamp("2024-05-01T00:00:00Z")
_MINUTE = pd.Timedelta("1min")
_WINDOW = 64
_HOLE = b"@VALUES@"


def tick_cpu_seconds(
    groups: int, queries: int, ticks: int, clock: Callable[[], float] = time.process_time
) -> list[float]:
    """CPU seconds of each tick: one new row of ``groups`` x ``queries`` series, read into frames of 64 rows."""
    with server(groups) as url:
        read = _reading(url, queries)
        read(0)
        return [_timed(lambda tick=tick: read(tick), clock) for tick in range(1, ticks + 1)]  # type: ignore[misc]


def memory_mib(groups: int, queries: int, ticks: int) -> list[float]:
    """Resident MiB of a process that does nothing but ``ticks`` ticks: at each tenth of them, the first left out."""
    arguments = ["memory", str(groups), str(queries), str(ticks)]
    command = [sys.executable, "-m", "benchmarks.prometheus_ticks", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - this module
    if done.returncode:
        raise RuntimeError(f"{ticks} ticks failed: {done.stderr.strip()}")
    found: list[float] = json.loads(done.stdout)
    return found


@contextmanager
def server(groups: int) -> Iterator[str]:
    """The address of a server that answers any query with ``groups`` series."""
    command = [sys.executable, "-m", "benchmarks.prometheus_ticks", "serve", str(groups)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 - this module
        try:
            assert child.stdout is not None
            yield child.stdout.readline().strip()
        finally:
            child.terminate()


def main(arguments: Sequence[str] | None = None) -> int:
    """The two processes that the functions above start."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prometheus_ticks", description="parts of a benchmark")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve")
    serve.add_argument("groups", type=int)
    memory = commands.add_parser("memory")
    for name in ("groups", "queries", "ticks"):
        memory.add_argument(name, type=int)
    given = parser.parse_args(arguments)
    if given.command == "serve":
        with ThreadingHTTPServer(("127.0.0.1", 0), _handler(given.groups)) as listening:
            print(f"http://127.0.0.1:{listening.server_port}", flush=True)
            listening.serve_forever()
    with server(given.groups) as url:
        read = _reading(url, given.queries)
        seen = []
        for tick in range(given.ticks):
            read(tick)
            if tick + 1 in {given.ticks * tenth // 10 for tenth in range(1, 11)}:
                seen.append(_resident_mib())
        print(json.dumps(seen[1:]))
    return 0


def _reading(url: str, queries: int) -> Callable[[int], None]:
    """Reads the window of a tick, and makes sure that it is all there."""
    from tsdiff_connectors.prometheus import PrometheusReader

    reader = PrometheusReader(PrometheusReader.Config.model_validate({"url": url}), Context("benchmark"))
    asked = tuple(Query(f"q{k:02}", f"q{k:02}") for k in range(queries))

    def read(tick: int) -> None:
        start = _START + tick * _MINUTE
        reading = reader.read(ReadRequest(asked, start, start + _WINDOW * _MINUTE, _MINUTE, ("instance",)))
        frame = next(iter(reading.frames.values()))
        if frame.values.shape != (_WINDOW, queries) or not frame.observed.all():
            raise RuntimeError("a tick did not bring every row")

    return read


def _handler(groups: int) -> type[BaseHTTPRequestHandler]:
    template = b'{"status":"success","data":{"resultType":"matrix","result":[%b]}}' % b",".join(
        b'{"metric":{"instance":"host-%d.example:9100","job":"node"},"values":%b}' % (n, _HOLE) for n in range(groups)
    )

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body go out together: two small packets would wait 40 ms for each other
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            start, end, step = (int(form[key][0]) for key in ("start", "end", "step"))
            values = ",".join(f'[{at},"{at % 9973 / 101:.6f}"]' for at in range(start, end + 1, step))
            body = template.replace(_HOLE, f"[{values}]".encode())
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class' names)
            """Say nothing: a line per request would cost more than the request."""

    return Handler


def _resident_mib() -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def _timed(call: Callable[[], object], clock: Callable[[], float]) -> float:
    began = clock()
    call()
    return clock() - began


if __name__ == "__main__":
    sys.exit(main())
