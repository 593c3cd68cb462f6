"""The web application: health, readiness, metrics, the events, and a plain page.

Paths as in Prometheus (https://prometheus.io/docs/prometheus/latest/management_api/), and its envelope for the API:
``{"status": "success", "data": …}`` or ``{"status": "error", "errorType": …, "error": …}``.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from typing import Any, Literal

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tsdiff_monitor.errors import StoreError
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.system.version import __version__
from tsdiff_monitor.web.page import render_page

__all__ = ["MOST_EVENTS", "create_app"]

MOST_EVENTS = 1000
"""Events that one answer of the API holds at most."""
_USUAL_EVENTS = 100
_PARAMETERS = ("limit", "monitor", "state")
_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'"}


class _BadRequestError(Exception):
    """A parameter is wrong; its text is for the person who asked."""


def create_app(*, store: Store, registry: CollectorRegistry, not_ready: Callable[[], str]) -> Starlette:
    """The application; ``not_ready`` says in words why the process is not ready, and is empty when it is."""

    # Plain functions, not coroutines: starlette runs them in threads, where waiting for the store blocks no request.
    def healthy(_: Request) -> Response:
        return PlainTextResponse("tsdiff-monitor is healthy.\n")

    def ready(_: Request) -> Response:
        reason = not_ready()
        text = f"tsdiff-monitor is not ready: {reason}.\n" if reason else "tsdiff-monitor is ready.\n"
        return PlainTextResponse(text, 503 if reason else 200)

    def metrics(_: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    def page(_: Request) -> Response:
        events = store.events(state="open", limit=_USUAL_EVENTS)
        return HTMLResponse(render_page(events, not_ready=not_ready(), version=__version__), headers=_PAGE_HEADERS)

    def events(request: Request) -> Response:
        query = request.query_params
        unknown = sorted(set(query) - set(_PARAMETERS))
        if unknown:
            raise _BadRequestError(f"unknown parameter {unknown[0]!r}; there are {', '.join(_PARAMETERS)}")
        found = store.events(monitor=query.get("monitor"), state=_state(query), limit=_limit(query))
        return _success([event.to_json() for event in found])

    def buildinfo(_: Request) -> Response:
        return _success({"version": __version__, "pythonVersion": platform.python_version()})

    routes = {
        "/": page,
        "/-/healthy": healthy,
        "/-/ready": ready,
        "/metrics": metrics,
        "/api/v1/events": events,
        "/api/v1/status/buildinfo": buildinfo,
    }
    return Starlette(
        routes=[Route(path, function) for path, function in routes.items()],
        exception_handlers={
            _BadRequestError: lambda _, error: _failure("bad_data", str(error), 400),
            StoreError: lambda _, error: _failure("unavailable", str(error), 503),
        },
    )


def _state(query: Mapping[str, str]) -> Literal["open", "resolved"] | None:
    match query.get("state"):
        case None:
            return None
        case "open":
            return "open"
        case "resolved":
            return "resolved"
        case other:
            raise _BadRequestError(f"state must be open or resolved, not {other!r}")


def _limit(query: Mapping[str, str]) -> int:
    text = query.get("limit", str(_USUAL_EVENTS))
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MOST_EVENTS):
        raise _BadRequestError(f"limit must be a whole number from 1 to {MOST_EVENTS}, not {text!r}")
    return int(text)


def _success(data: Any) -> Response:
    return JSONResponse({"status": "success", "data": data})


def _failure(kind: str, text: str, status: int) -> Response:
    return JSONResponse({"status": "error", "errorType": kind, "error": text}, status)
