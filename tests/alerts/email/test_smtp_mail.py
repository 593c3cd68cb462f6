"""Mails go out over a real SMTP conversation; any answer of the server has a reason and a verdict."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from tests.alerts.email.smtp_mail_server import PASSWORD, USER, MailServer
from tests.servers.certificates import Authority
from tests.servers.process import free_port
from tsdiff_alerts.email import EmailNotifier
from tsdiff_monitor.errors import DeliveryError
from tsdiff_monitor.events.event import Change
from tsdiff_monitor.plugins import Context
from tsdiff_monitor.testing import FakeClock, NotifierConformance, example_change, example_details
from tsdiff_monitor.testing.checks import check_silent

# The server says this when it is to take passwords without TLS, which the tests do on purpose.
pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS:UserWarning")

Start = Callable[..., MailServer]
PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 100


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the servers' certificates."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def mail_server(authority: Authority) -> Iterator[Start]:
    """Starts mail servers, and ends them."""
    with ExitStack() as stack:

        def start(**options: Any) -> MailServer:
            server = MailServer(authority.issue("server"), **options)
            stack.callback(server.stop)
            return server

        yield start


def notifier(server: MailServer | int, picture: Any = None, **config: Any) -> EmailNotifier:
    """A notifier for a server (or port); without a picture unless one is given."""
    port = server if isinstance(server, int) else server.port
    raw = {"host": "127.0.0.1", "port": port, "security": "none", "from": "m@example.org", "to": ["a@example.org"]}
    checked = EmailNotifier.Config.model_validate({**raw, **config})
    return EmailNotifier(checked, Context(name="mail", now=FakeClock()), picture or (lambda _: None))


def failure(target: EmailNotifier) -> tuple[str, bool, str]:
    """Reason, whether a retry may help, and message of a delivery that fails."""
    with pytest.raises(DeliveryError) as caught:
        target.notify(example_change())
    check_silent((PASSWORD,), caught.value)
    return caught.value.reason, caught.value.recoverable, str(caught.value)


class TestEmail(NotifierConformance):
    """The promises of every notifier, against a real server."""

    secrets = (PASSWORD,)

    @pytest.fixture(autouse=True)
    def _running(self, mail_server: Start) -> None:
        self.server = mail_server(login=True)

    def make(self, context: Context) -> EmailNotifier:
        raw = {"host": "127.0.0.1", "port": self.server.port, "security": "none", "username": USER}
        raw |= {"password": PASSWORD, "from": "m@example.org", "to": ["a@example.org"]}
        return EmailNotifier(EmailNotifier.Config.model_validate(raw), context)


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
def test_encryption_and_login(mail_server: Start, authority: Authority, security: str) -> None:
    """With each kind of encryption the server is trusted by its authority, and the login succeeds before the mail."""
    server = mail_server(security=security, login=True)
    tls = {} if security == "none" else {"tls_config": {"ca_file": authority.ca_file}}
    good = {"security": security, "username": USER, "password": PASSWORD, **tls}
    notifier(server, **good, cc=["Boss <boss@example.org>"]).notify(example_change())
    assert server.post.logins == 1
    assert server.post.envelopes == [("m@example.org", ("a@example.org", "boss@example.org"))]
    reason, recoverable, said = failure(notifier(server, **{**good, "password": "wrong"}))
    assert (reason, recoverable) == ("auth", False) and "check `username` and `password`" in said
    assert failure(notifier(server, security=security, **tls))[:2] == ("auth", False)
    assert failure(notifier(server, **{**good, "password": "pässword"}))[:2] == ("config", True)
    if security != "none":
        reason, recoverable, said = failure(notifier(server, **{**good, "tls_config": {}}))
        assert (reason, recoverable) == ("tls", True) and "tls_config.ca_file" in said
        stranger = {"ca_file": authority.ca_file, "server_name": "elsewhere.example"}
        assert failure(notifier(server, **{**good, "tls_config": stranger}))[0] == "tls"
    assert len(server.post.mails) == 1


def test_never_in_the_clear_where_encryption_is_asked_for(mail_server: Start) -> None:
    """A server without STARTTLS gets neither password nor mail; one that speaks no TLS gets nothing either."""
    server = mail_server()
    assert failure(notifier(server, security="starttls"))[:2] == ("no_starttls", False)
    assert failure(notifier(server, security="tls"))[:2] == ("tls", True)
    reason, recoverable, said = failure(notifier(server, username=USER, password=PASSWORD))
    assert (reason, recoverable) == ("auth", False) and "offers no login" in said
    assert server.post.mails == []


@pytest.mark.parametrize(
    ("decides", "reason", "recoverable"),
    [
        ({"mail_from": "451 4.7.1 greylisted, come back"}, "sender", True),
        ({"mail_from": "550 5.7.1 no such sender"}, "sender", False),
        ({"mail_from": "530 5.7.0 authentication required"}, "auth", False),
        ({"mail_from": "552 5.3.4 message too big"}, "too_large", False),
        ({"refused": {"a@example.org": "450 4.2.0 mailbox busy"}}, "recipient", True),
        ({"refused": {"a@example.org": "550 5.1.1 no such user"}}, "recipient", False),
        ({"data": "421 4.3.2 shutting down"}, "unavailable", True),
        ({"data": "452 4.3.1 disk full"}, "unavailable", True),
        ({"data": "554 5.7.1 looks like spam"}, "refused", False),
        ({"data": "554 5.3.4 message size exceeds limit"}, "too_large", False),
        ({"drop": True}, "connect", True),
    ],
)
def test_what_the_server_answers(mail_server: Start, decides: dict[str, Any], reason: str, recoverable: bool) -> None:
    """4yz is tried again, 5yz is not; the message repeats what the server said."""
    server = mail_server()
    for name, value in decides.items():
        setattr(server.post, name, value)
    found = failure(notifier(server))
    assert found[:2] == (reason, recoverable)
    answer = next(iter(decides.values()))
    answer = next(iter(answer.values())) if isinstance(answer, dict) else answer
    assert answer is True or answer[4:] in found[2]


def test_one_refused_recipient_does_not_cost_the_others_the_mail(mail_server: Start) -> None:
    """The mail is delivered when somebody is accepted; when somebody may be later, no one gets it twice."""
    server = mail_server()
    server.post.refused = {"b@example.org": "550 5.1.1 no such user", "c@example.org": "450 4.2.0 busy"}
    with capture_logs() as logs:
        notifier(server, to=["a@example.org", "b@example.org", "c@example.org"]).notify(example_change())
    assert [(line["recipients"], line["codes"]) for line in logs] == [(["b@example.org", "c@example.org"], [450, 550])]
    assert server.post.envelopes == [("m@example.org", ("a@example.org",))]
    server.post.refused["a@example.org"] = "550 5.1.1 no such user"
    target = notifier(server, to=["a@example.org", "c@example.org"])
    assert failure(target)[:2] == ("recipient", True)


def test_a_picture_that_is_too_large_is_left_out(mail_server: Start) -> None:
    """A server that takes only small mails gets the words without the picture; too small for those is final."""
    server = mail_server(largest=40_000)
    notifier(server, lambda _: PNG * 100).notify(example_change(details=example_details()))
    (mail,) = server.post.mails
    assert not [part for part in mail.walk() if part.get_content_maintype() == "image"]
    assert "cid:" not in mail.get_body(("html",)).get_content()  # type: ignore[union-attr]
    tiny = mail_server(largest=500)
    assert failure(notifier(tiny, lambda _: PNG))[:2] == ("too_large", False)


def test_a_picture_that_fails_is_left_out(mail_server: Start) -> None:
    """An exception while drawing costs the picture, not the mail; the shipped drawing is the default."""

    def broken(_: Any) -> bytes:
        raise RuntimeError("no fonts")

    server = mail_server()
    with capture_logs() as logs:
        notifier(server, broken).notify(example_change())
    assert [(line["event"], line["error"]) for line in logs] == [("the picture of a mail failed", "RuntimeError")]
    checked = notifier(server)._config
    EmailNotifier(checked, Context(now=FakeClock())).notify(example_change(details=example_details()))
    kinds = [[part.get_content_type() for part in mail.walk()] for mail in server.post.mails]
    assert "image/png" not in kinds[0] and "image/png" in kinds[1]


def test_no_one_and_silence() -> None:
    """A closed port, an unknown host and a server that says nothing are distinguished, and are tried again."""
    assert failure(notifier(free_port()))[:2] == ("connect", True)
    assert failure(notifier(25, host="nowhere.invalid"))[:2] == ("connect", True)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = int(silent.getsockname()[1])
        assert failure(notifier(port, timeout="100ms"))[:2] == ("timeout", True)
        assert failure(notifier(port, timeout="100ms", security="tls"))[:2] == ("timeout", True)


def dripping(stop: threading.Event, listener: socket.socket) -> None:
    """A server that sends a byte of an endless greeting every hundredth of a second."""
    connection, _ = listener.accept()
    with connection, suppress(OSError):
        while not stop.wait(0.01):
            connection.sendall(b"2")


def test_the_whole_exchange_has_a_deadline() -> None:
    """A server that sends a byte now and then is given up at `timeout`, however lively it is."""
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=dripping, args=(stop, listener))
        server.start()
        try:
            reason, recoverable, said = failure(notifier(int(listener.getsockname()[1]), timeout="200ms"))
        finally:
            stop.set()
            server.join()
    assert (reason, recoverable) == ("timeout", True) and "within 200ms" in said


def test_a_server_that_hangs_leaves_one_thread() -> None:
    """An hour of deliveries, one a minute, to a server that says nothing: none piles up behind the others."""
    before = {*threading.enumerate()}
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        target = notifier(int(silent.getsockname()[1]), timeout="5ms")
        reasons = {failure(target)[0] for _ in range(60)}
        assert reasons == {"timeout"}
        assert sum(thread.name == "email-exchange" for thread in {*threading.enumerate()} - before) <= 1


def test_a_farewell_that_does_not_come_is_no_failure(mail_server: Start) -> None:
    """A mail that the server has taken is delivered, and is not sent again, even if the server then hangs."""
    server = mail_server()
    server.post.silent_farewell = True
    notifier(server, timeout="500ms").notify(example_change())
    assert len(server.post.mails) == 1


def test_the_password_may_come_from_a_file(mail_server: Start, tmp_path: Path) -> None:
    """A password in a file is read at each mail; while the file is away the delivery waits."""
    server = mail_server(login=True)
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    target = notifier(server, username=USER, password_file=tmp_path / "password")
    target.notify(example_change())
    (tmp_path / "password").unlink()
    assert failure(target)[:2] == ("config", True)
    assert len(server.post.mails) == 1


def test_a_repetition_has_the_same_identity(mail_server: Start) -> None:
    """A change that is sent again has the same Message-ID, so that mailboxes can drop the copy."""
    server = mail_server()
    for change, sequence in ((Change.opened, 0), (Change.opened, 0), (Change.updated, 1)):
        notifier(server).notify(example_change(change, sequence))
    first, again, other = [mail["Message-ID"] for mail in server.post.mails]
    assert first == again != other


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"to": []}, "at least 1"),
        ({"to": ["no_one"]}, "is no mail address"),
        ({"from": "a@example.org\nBcc: everyone@example.org"}, "is no mail address"),
        ({"cc": ["a@example.org, b@example.org"]}, "is no mail address"),
        ({"username": "robot"}, "belong together"),
        ({"password": "hidden"}, "belong together"),
        ({"username": "robot", "password": "hidden", "host": "mail.example.org"}, "could read the password"),
        ({"tls_config": {"insecure_skip_verify": True}}, "has no effect"),
        ({"host": "mail.example.org:25"}, "pattern"),
        ({"port": 0}, "greater than or equal to 1"),
        ({"timeout": "0s"}, "longer than 0s"),
        ({"bcc": []}, "Extra inputs"),
    ],
)
def test_mistakes_in_the_configuration(wrong: dict[str, Any], said: str) -> None:
    """Each mistake is refused in words that name the remedy and show no secret."""
    with pytest.raises(ValidationError) as caught:
        notifier(25, **wrong)
    assert said in str(caught.value) and "hidden" not in str(caught.value)
