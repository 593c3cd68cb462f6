"""Whom the client trusts and who it is: certificates and passwords against a real Prometheus that asks for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from tests.connectors.conftest import MakeClient, PrometheusServer, SecureServer, access
from tests.servers.certificates import Authority
from tests.servers.faults import FaultProxy
from tests.servers.scripted import failed

Proxy = Callable[[str], FaultProxy]


def test_certificate_and_password_get_in(
    make_client: MakeClient, secure_prometheus: SecureServer, fault_proxy: Proxy
) -> None:
    """With authority and password the server answers, again and again over one connection."""
    server = secure_prometheus()
    proxy = fault_proxy(server.url)
    client = make_client(proxy.url, **access(server))
    assert [client.send("GET", "/-/ready").status for _ in range(3)] == [200, 200, 200]
    assert len(proxy.requests) == 1


def test_credentials_in_the_address_get_in(make_client: MakeClient, secure_prometheus: SecureServer) -> None:
    """``user:password@`` works as ``basic_auth`` does."""
    server = secure_prometheus()
    client = make_client(
        server.url.replace("https://", "https://robot:correct-horse@"), tls_config=access(server)["tls_config"]
    )
    assert client.send("GET", "/-/ready").status == 200
    assert "correct" not in repr(client)


def test_wrong_password(make_client: MakeClient, secure_prometheus: SecureServer) -> None:
    """Refused credentials are final and not shown."""
    server = secure_prometheus()
    options = access(server) | {"basic_auth": {"username": "robot", "password": "wrong-horse"}}
    refused = failed(make_client(server.url, **options))
    assert (refused.reason, refused.recoverable, refused.status) == ("auth", False, 401)


def test_unknown_authority(make_client: MakeClient, secure_prometheus: SecureServer) -> None:
    """A signer is not trusted unless named; the key to name it in is said; skipping is possible."""
    server = secure_prometheus()
    untrusted = failed(make_client(server.url, basic_auth=access(server)["basic_auth"]))
    assert untrusted.reason == "tls"
    assert "`tls_config.ca_file`" in untrusted.message
    skipping = access(server) | {"tls_config": {"insecure_skip_verify": True}}
    assert make_client(server.url, **skipping).send("GET", "/-/ready").status == 200


def test_expired(make_client: MakeClient, secure_prometheus: SecureServer, authority: Authority) -> None:
    """A certificate past its time is refused, in those words."""
    server = secure_prometheus(certificate=authority.issue("expired", expired=True))
    refused = failed(make_client(server.url, **access(server)))
    assert refused.reason == "tls"
    assert "expired; renew the server's certificate" in refused.message


def test_other_name(
    make_client: MakeClient, secure_prometheus: SecureServer, authority: Authority, fault_proxy: Proxy
) -> None:
    """A certificate for another name is refused until ``server_name`` says to expect it, through a proxy too."""
    server = secure_prometheus(certificate=authority.issue("named", hosts=("metrics.internal",)))
    refused = failed(make_client(server.url, **access(server)))
    assert refused.reason == "tls"
    assert "`tls_config.server_name`" in refused.message
    named = access(server, server_name="metrics.internal")
    assert make_client(server.url, **named).send("GET", "/-/ready").status == 200
    proxy = fault_proxy(server.url.replace("https", "http"))
    assert make_client(server.url, **named, proxy_url=proxy.url).send("GET", "/-/ready").status == 200
    assert proxy.requests[0].startswith(b"CONNECT 127.0.0.1:")


def test_own_certificate(make_client: MakeClient, secure_prometheus: SecureServer) -> None:
    """A server that asks for a certificate refuses those without, and takes ours."""
    server = secure_prometheus(mutual=True)
    refused = failed(make_client(server.url, **access(server)))
    assert refused.reason == "tls"
    assert "`tls_config.cert_file`" in refused.message
    ours = access(server, cert_file=server.client.cert_file, key_file=server.client.key_file)
    assert make_client(server.url, **ours).send("GET", "/-/ready").status == 200


def test_own_certificate_is_not_shown_to_other_hosts(
    make_client: MakeClient, secure_prometheus: SecureServer, prometheus_server: PrometheusServer, fault_proxy: Proxy
) -> None:
    """A redirect to another server comes there without our certificate and password."""
    target = secure_prometheus(mutual=True)
    proxy = fault_proxy(prometheus_server())
    proxy.fault(status=307, headers={"Location": f"{target.url}/-/ready"})
    ours = access(target, cert_file=target.client.cert_file, key_file=target.client.key_file)
    assert failed(make_client(proxy.url, **ours, follow_redirects=True)).reason == "tls"


def test_files_that_are_no_certificates(make_client: MakeClient, tmp_path: Path, authority: Authority) -> None:
    """Damaged files and an encrypted key are named with their keys; no one is asked for a password."""
    pair = authority.issue("locked")
    key = serialization.load_pem_private_key(pair.key_file.read_bytes(), None)
    lock = serialization.BestAvailableEncryption(b"locked-key")
    encrypted = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)
    (tmp_path / "key").write_bytes(encrypted)
    (tmp_path / "ca").write_text("nothing")
    ours = {"cert_file": pair.cert_file, "key_file": tmp_path / "key"}
    for files, said in (({"ca_file": tmp_path / "ca"}, "tls_config.ca_file"), (ours, "the key not encrypted")):
        unusable = failed(make_client("https://127.0.0.1:1", tls_config=files))
        assert (unusable.reason, unusable.recoverable) == ("config", True)
        assert said in unusable.message


def test_rotated_files_take_effect(
    make_client: MakeClient, secure_prometheus: SecureServer, tmp_path: Path, authority: Authority
) -> None:
    """Authority, certificate and key that are replaced on disk are used by the same client's next request."""
    server = secure_prometheus(mutual=True)
    stranger = Authority(tmp_path, "Stranger")
    wrong = stranger.issue("wrong")
    files = {"ca_file": stranger.ca_file, "cert_file": wrong.cert_file, "key_file": wrong.key_file}
    client = make_client(server.url, **access(server, **files))
    assert "ca_file" in failed(client).message
    shutil.copy(authority.ca_file, files["ca_file"])
    assert "certificate" in failed(client).message
    shutil.copy(server.client.key_file, files["key_file"])
    mixed = failed(client)
    assert (mixed.reason, mixed.recoverable) == ("config", True)
    assert "the key does not belong to the certificate" in mixed.message
    shutil.copy(server.client.cert_file, files["cert_file"])
    assert client.send("GET", "/-/ready").status == 200


def test_threads_share_a_client_while_files_rotate(
    make_client: MakeClient, secure_prometheus: SecureServer, tmp_path: Path
) -> None:
    """No request under way is lost when the authority's file changes."""
    server = secure_prometheus()
    shutil.copy(server.ca_file, tmp_path / "ca.pem")
    client = make_client(server.url, **access(server, ca_file=tmp_path / "ca.pem"))

    def ask(k: int) -> int:
        if k % 5 == 0:
            (tmp_path / f"ca{k}").write_text(server.ca_file.read_text() + "\n" * k)
            (tmp_path / f"ca{k}").replace(tmp_path / "ca.pem")
        return client.send("GET", "/-/ready").status

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(40))) == {200}


def test_http_and_https_mixed_up(
    make_client: MakeClient, secure_prometheus: SecureServer, prometheus_server: PrometheusServer
) -> None:
    """Speaking TLS to a plain port, and the reverse, is reported as what it is."""
    plain = failed(make_client(prometheus_server().replace("http", "https")))
    assert plain.reason == "tls"
    assert "write http:// in `url`" in plain.message
    reverse = failed(make_client(secure_prometheus().url.replace("https", "http")))
    assert reverse.reason == "client_error"
    assert "HTTP request to an HTTPS server" in reverse.message
