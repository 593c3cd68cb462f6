"""Each failure has its reason and its remedy, no secret shows, and no credentials reach another host."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest

from tests.servers.scripted import URL, Handler, Script, client, failure
from tsdiff_monitor.errors import SourceError, WriteError
from tsdiff_monitor.http.client import HttpFailure
from tsdiff_monitor.http.secrets import without_secrets
from tsdiff_monitor.testing.checks import check_silent


@pytest.mark.parametrize(
    ("answer", "reason", "recoverable", "said"),
    [
        (httpx.Response(400, json={"error": "parse error at char 3"}), "client_error", False, "parse error at char 3"),
        (httpx.Response(401), "auth", False, "check `basic_auth` or `authorization`"),
        (httpx.Response(403, json={"message": "no token"}), "auth", False, "no token"),
        (httpx.Response(404, text="404 page not found"), "client_error", False, "check the path of `url`"),
        (httpx.Response(408), "timeout", True, "status 408"),
        (httpx.Response(422, json=["unusual"]), "client_error", False, "status 422"),
        (httpx.Response(429), "rate_limited", True, "ask less often"),
        (httpx.Response(500, text="<html>oh</html>"), "server_error", True, "status 500 Internal Server Error"),
        (httpx.Response(302, headers={"Location": "https://sso.example/?t=x"}), "redirect", False, "sso.example;"),
        (httpx.Response(304), "redirect", False, "status 304"),
        (httpx.ConnectError("[Errno 111] Connection refused"), "connect", True, "Connection refused"),
        (httpx.ConnectTimeout(""), "timeout", True, "no connection within 5s (`connect_timeout`)"),
        (httpx.PoolTimeout(""), "timeout", True, "no connection within 5s"),
        (httpx.ReadTimeout(""), "timeout", True, "nothing came for 30s"),
        (httpx.RemoteProtocolError("illegal status line"), "garbled", True, "does not speak HTTP"),
        (httpx.ProxyError("407 Proxy Authentication Required"), "auth", False, "user and password into `proxy_url`"),
        (httpx.ProxyError("502 Bad Gateway"), "connect", True, "502 Bad Gateway"),
    ],
    ids=str,
)
def test_reasons(answer: Any, reason: str, recoverable: bool, said: str) -> None:
    """One stable word for each kind of failure, whether it may pass, and words that say what to do."""
    failed = failure(Script(answer), retries=0)
    assert (failed.reason, failed.recoverable) == (reason, recoverable)
    assert said in failed.message
    assert failed.message.startswith("query 'cpu': https://metrics.example:9090/api/v1/query: ")
    assert failed.status == getattr(answer, "status_code", None)


def test_failure_becomes_the_error_of_readers_and_writers() -> None:
    """Message, reason and recoverability are kept; where it occurred goes before."""
    failed = failure(Script(429), retries=0)
    for error, kind in ((failed.source_error("reader 'prod'"), SourceError), (failed.write_error("x"), WriteError)):
        assert isinstance(error, kind)
        assert (error.reason, error.recoverable) == ("rate_limited", True)
    assert str(failed.source_error("reader 'prod'")) == f"reader 'prod': {failed.message}"
    assert str(failed.source_error()) == failed.message


def test_body_of_a_refusal_is_kept_within_limits() -> None:
    """The server's own words are there for the connector, cut at 2,000 characters, also when it never ends."""
    endless = httpx.Response(400, content=(b"x" * 1000 for _ in range(10**6)))
    assert failure(lambda _: endless).body == "x" * 2000
    failed = failure(Script(httpx.Response(422, json={"errorType": "execution", "error": "many-to-many"})))
    assert failed.body == '{"errorType":"execution","error":"many-to-many"}'


def test_refusal_whose_body_breaks_is_still_that_refusal() -> None:
    """The status counts, not what happens to the text behind it."""

    class Broken(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield b"half a "
            raise httpx.ReadError("reset")

    failed = failure(lambda _: httpx.Response(400, stream=Broken()))
    assert (failed.status, failed.body, failed.reason) == (400, "half a", "client_error")


def test_address_that_becomes_too_long_is_a_failure_too() -> None:
    """Parameters beyond what an address can hold raise nothing else than what the caller expects."""
    script = Script(200)
    with pytest.raises(HttpFailure, match="query 'x': the address would be too long") as caught:
        client(script).send("GET", "/q", params={"match[]": "x" * 70_000}, what="query 'x'")
    assert (caught.value.reason, script.requests) == ("client_error", [])


SECRETS = ("url password", "tenant-token", "proxy-password", "base-token")


def echo(request: httpx.Request) -> httpx.Response:
    """A server that repeats everything it was sent in its refusal."""
    headers = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
    return httpx.Response(400, text=f"{request.url} url password url+password url%20password\n{headers}")


def test_no_secret_is_shown() -> None:
    """Neither messages nor bodies nor reprs, of the failure and of what caused it, hold a secret in any form."""
    url = "https://robot:url%20password@metrics.example/x?token=base-token"
    options: dict[str, Any] = {
        "http_headers": {"X-Api-Key": "tenant-token"},
        "proxy_url": "http://robot:proxy-password@proxy.example:3128",
        "retries": 0,
    }
    scripts: list[Handler] = [echo, Script(httpx.ConnectError("tenant-token proxy-password")), Script(302)]
    encoded = base64.b64encode(b"robot:url password").decode()
    for script in scripts:
        sender = client(script, url=url, **options)
        with pytest.raises(HttpFailure) as caught:
            sender.send("GET", "/q", what="query")
        failed = caught.value
        forms = (*SECRETS, "url+password", "url%20password", encoded)
        shown = [failed, failed.message, failed.body, repr(failed), failed.source_error("here"), sender]
        check_silent(forms, *shown)


def test_short_secrets_do_not_shred_messages() -> None:
    """A tenant called 1 is masked as a word, not within numbers."""
    assert without_secrets("tenant 1 has 11 of 100 series", ["1"]) == "tenant <secret> has 11 of 100 series"
    assert without_secrets("abcd and abcdef", ["abcd", "abcdef", ""]) == "<secret> and <secret>"


class TestCredentials:
    """Credentials are read at each request, and sent to the server alone."""

    def test_each_kind_arrives(self, tmp_path: Path) -> None:
        """Basic from keys or the address (percent-decoded), bearer and other types."""
        (tmp_path / "password").write_text("pässword\n")
        basic = {"username": "robot", "password_file": tmp_path / "password"}
        cases: list[tuple[str, dict[str, Any], str]] = [
            (URL, {"basic_auth": {"username": "robot"}}, "Basic " + base64.b64encode(b"robot:").decode()),
            (URL, {"basic_auth": basic}, "Basic " + base64.b64encode("robot:pässword".encode()).decode()),
            ("https://ro%40bot:p%3Aw@a.example", {}, "Basic " + base64.b64encode(b"ro@bot:p:w").decode()),
            (URL, {"authorization": {"credentials": "t0ken"}}, "Bearer t0ken"),
            (URL, {"authorization": {"type": "Token", "credentials": "t0ken"}}, "Token t0ken"),
        ]
        for url, options, expected in cases:
            script = Script(200)
            client(script, url=url, **options).send("GET", "/")
            assert script.requests[0].headers["Authorization"] == expected
            assert "@" not in str(script.requests[0].url)

    def test_files_are_read_at_each_try(self, tmp_path: Path) -> None:
        """A token that is rotated between two tries is the new one in the second."""
        file = tmp_path / "token"
        file.write_text("old\n")

        def rotate(_: httpx.Request) -> httpx.Response:
            file.write_text("new\n")
            return httpx.Response(503)

        script = Script(rotate, 200)
        client(script, authorization={"credentials_file": file}).send("GET", "/")
        assert [request.headers["Authorization"] for request in script.requests] == ["Bearer old", "Bearer new"]

    @pytest.mark.parametrize("content", [None, "", "two\nlines", "nön-ascii"])
    def test_files_that_cannot_be_used(self, tmp_path: Path, content: str | None) -> None:
        """A missing, empty or unusual file is named, its content is not; nothing is sent; it may be fixed meanwhile."""
        file, script = tmp_path / "token", Script(200)
        if content is not None:
            file.write_text(content)
        failed = failure(script, authorization={"credentials_file": file})
        assert (failed.reason, failed.recoverable, script.requests) == ("config", True, [])
        assert str(file) in failed.message
        check_silent(("two", "nön"), failed)

    @pytest.mark.parametrize("key", ["ca_file", "cert_file"])
    def test_tls_files_that_cannot_be_used(self, tmp_path: Path, key: str) -> None:
        """A certificate's file that is missing is named with its key."""
        files = {key: tmp_path / "gone.pem"} | ({"key_file": tmp_path / "gone.pem"} if key == "cert_file" else {})
        failed = failure(Script(200), tls_config=files)
        assert failed.reason == "config"
        assert f"{tmp_path / 'gone.pem'}: tls_config.{key}: cannot be read: No such file" in failed.message


class TestRedirects:
    """Followed only on request, and never with what is meant for the server alone."""

    OPTIONS: ClassVar[dict[str, Any]] = {
        "follow_redirects": True,
        "basic_auth": {"username": "robot", "password": "hunter22"},
        "http_headers": {"X-Scope-OrgID": "tenant-1"},
    }

    def to(self, location: str, status: int = 307) -> httpx.Response:
        return httpx.Response(status, headers={"Location": location})

    def test_same_host_gets_everything(self) -> None:
        """A path that moved on the same server is asked with credentials, headers and body."""
        script = Script(self.to("/elsewhere?x=1"), 200)
        client(script, **self.OPTIONS).send("POST", "/q", content=b"body", headers={"Content-Type": "text/plain"})
        first, second = script.requests
        assert str(second.url) == "https://metrics.example:9090/elsewhere?x=1"
        for name in ("Authorization", "X-Scope-OrgID", "Content-Type"):
            assert first.headers[name] == second.headers[name]
        assert (second.method, second.content) == ("POST", b"body")

    @pytest.mark.parametrize(
        "elsewhere",
        ["https://evil.example/", "https://metrics.example:9091/", "https://u:p@metrics.example.evil.example:9090/"],
    )
    def test_other_hosts_get_nothing_of_ours(self, elsewhere: str) -> None:
        """Another host or port sees neither credentials nor our headers, nor does the way back restore them."""
        script = Script(self.to(elsewhere), self.to(f"{URL}/back"), 200)
        client(script, **self.OPTIONS).send("GET", "/q", headers={"Accept": "text/csv", "X-Token": "t"})
        for request in script.requests[1:]:
            assert not {"authorization", "x-scope-orgid", "x-token", "cookie"} & set(request.headers)
            assert request.headers["Accept"] == "text/csv"

    @pytest.mark.parametrize(
        ("method", "answer", "said"),
        [
            ("POST", (302, "https://other.example/"), "redirects to https://other.example in a way that loses"),
            ("GET", (301, "http://metrics.example/"), "not encrypted"),
            ("GET", (308, "file:///etc/passwd"), "without an address"),
            ("GET", (307, "https://metrics.example:9090/again"), "after 5 redirects"),
        ],
    )
    def test_bad_redirects_end(self, method: str, answer: tuple[int, str], said: str) -> None:
        """A redirect that would lose the query or the encryption, leads nowhere or in circles is a failure."""
        with pytest.raises(HttpFailure, match=said) as caught:
            client(Script(self.to(answer[1], answer[0])), **self.OPTIONS).send(method, "/q")
        assert (caught.value.reason, caught.value.status) == ("redirect", answer[0])


def test_tls_failures_name_the_key() -> None:
    """Any fault of the certificates leads to the key that fixes it."""
    said = {
        "self-signed certificate": "tls_config.ca_file",
        "Hostname mismatch, certificate is not valid for 'x'.": "tls_config.server_name",
        "certificate has expired": "clock",
    }
    for message, key in said.items():
        cause = ssl.SSLCertVerificationError(1, message)
        cause.verify_message = message
        error = httpx.ConnectError(message)
        error.__cause__ = cause
        failed = failure(Script(error))
        assert (failed.reason, failed.recoverable) == ("tls", True)
        assert key in failed.message


def test_stream_retries_only_before_its_first_piece() -> None:
    """A refusal before the body is tried again; a cut within it is reported, what came before is given."""

    class Cut(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            yield b"first"
            raise httpx.ReadError("reset")

    script, got = Script(503, lambda _: httpx.Response(200, stream=Cut())), list[bytes]()
    source = client(script)
    with pytest.raises(HttpFailure) as caught, source.stream("GET", "/") as pieces:
        got.extend(iter(lambda: next(pieces), None))
    assert (caught.value.reason, got, len(script.requests)) == ("connect", [b"first"], 2)
