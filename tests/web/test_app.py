"""The web application."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from tsdiff_monitor import __version__
from tsdiff_monitor.events.event import Change
from tsdiff_monitor.store.store import Store
from tsdiff_monitor.testing import example_change
from tsdiff_monitor.web.app import create_app

GROUP = (("instance", "<b>web</b>"),)


class Site:
    """The application over a store with an open and a resolved event; ``reason`` is why it is not ready."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.reason = ""
        self.registry = CollectorRegistry()
        self._app = create_app(store=store, registry=self.registry, not_ready=lambda: self.reason)

    def get(self, path: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://monitor") as client:
                return await client.get(path)

        return asyncio.run(ask())


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Store(tmp_path / "state.sqlite") as store:
        changes = [
            example_change(id="a" * 16, sequence=1, group=GROUP),
            example_change(Change.resolved, id="b" * 16, sequence=1, monitor="shops"),
        ]
        store.commit("hosts", GROUP, None, None, changes, [])
        yield Site(store)


def test_answers_do_not_wait_for_a_commit(site: Site) -> None:
    """The page and the API show what is committed while a transaction is under way."""
    with site.store._database.transaction() as connection:
        connection.execute("DELETE FROM events")
        assert "&lt;b&gt;web&lt;/b&gt;" in site.get("/").text
        assert len(site.get("/api/v1/events").json()["data"]) == 2
        assert site.get("/metrics").status_code == 200


def test_health_and_readiness(site: Site) -> None:
    """It is healthy as long as it answers; ready is another matter, with a reason."""
    assert site.get("/-/healthy").status_code == 200
    assert site.get("/-/ready").status_code == 200
    site.reason = "waiting for the first fit of hosts"
    answer = site.get("/-/ready")
    assert (answer.status_code, answer.text) == (503, f"tsdiff-monitor is not ready: {site.reason}.\n")
    assert site.get("/-/healthy").status_code == 200


def test_metrics_in_the_text_format(site: Site) -> None:
    """A scrape gets the registry's metrics, with the content type Prometheus expects."""
    Counter("things_total", "Things.", registry=site.registry).inc()
    answer = site.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert "things_total 1.0" in answer.text


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("", "ab"),
        ("?state=open", "a"),
        ("?state=resolved", "b"),
        ("?monitor=shops", "b"),
        ("?monitor=no_one", ""),
        ("?limit=1", "a"),
    ],
)
def test_events(site: Site, query: str, ids: str) -> None:
    """Stored events come as JSON, newest first, and can be narrowed down."""
    answer = site.get(f"/api/v1/events{query}")
    assert answer.json()["status"] == "success"
    found = answer.json()["data"]
    assert [event["id"] for event in found] == [letter * 16 for letter in ids]
    assert found == [site.store.event(event["id"]).to_json() for event in found]


@pytest.mark.parametrize(
    "query", ["state=closed", "state=", "limit=0", "limit=1001", "limit=x", "limit=-1", "limit=99999", "stat=open"]
)
def test_bad_parameters_are_refused(site: Site, query: str) -> None:
    """A wrong value or name is an error in words, not an answer to another question."""
    answer = site.get(f"/api/v1/events?{query}")
    assert answer.status_code == 400
    assert answer.json()["status"] == "error"
    assert query.partition("=")[0] in answer.json()["error"]


def test_buildinfo(site: Site) -> None:
    """The running version can be asked for."""
    assert site.get("/api/v1/status/buildinfo").json()["data"]["version"] == __version__


def test_the_page_escapes_what_it_shows(site: Site) -> None:
    """Labels come from anywhere: on the page they are text, and scripts are forbidden besides."""
    site.reason = "<i>waiting</i>"
    answer = site.get("/")
    assert "instance=&lt;b&gt;web&lt;/b&gt;" in answer.text
    assert "<b>" not in answer.text
    assert "<i>" not in answer.text
    assert "shops" not in answer.text  # resolved
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    for path in ("/metrics", "/-/ready", "/api/v1/events"):
        assert f'href="{path}"' in answer.text


def test_a_store_that_fails_is_an_answer(site: Site) -> None:
    """If the state cannot be read the API says so with 503, and health and metrics go on."""
    site.store.close()
    answer = site.get("/api/v1/events")
    assert answer.status_code == 503
    assert "closed" in answer.json()["error"]
    assert site.get("/-/healthy").status_code == 200
    assert site.get("/metrics").status_code == 200
