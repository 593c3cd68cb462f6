"""Contexts from files, and words for what is wrong with certificates."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.servers.certificates import Authority
from tsdiff_monitor.errors import ConfigError
from tsdiff_monitor.http.options import TlsConfig
from tsdiff_monitor.http.tls import make_context, read_material, tls_error, tls_words


def refused(message: str) -> ssl.SSLCertVerificationError:
    """The error that OpenSSL raises for a certificate that it does not trust."""
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_message = message
    return error


def shaken(reason: str) -> ssl.SSLError:
    """The error that OpenSSL raises for a handshake that fails."""
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


def behind(cause: BaseException) -> Exception:
    """An error of a client whose cause is ``cause``."""
    error = ConnectionError("no connection")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        (refused("self-signed certificate"), "self-signed certificate; name the certificate's authority in `tls_con"),
        (refused("Hostname mismatch, certificate is not valid for 'x'."), "'x'; HOST, or set `tls_config.server_name`"),
        (refused("IP address mismatch, not valid for '::1'."), "'::1'; HOST, or set `tls_config.server_name`"),
        (
            refused("certificate has expired"),
            "expired; renew the server's certificate, or correct this",
        ),
        (ssl.SSLCertVerificationError(1, "no words"), "its certificate is refused; name the certificate's authority"),
        (shaken("WRONG_VERSION_NUMBER"), "the server does not speak TLS there (wrong version number); PORT"),
        (shaken("TLSV13_ALERT_CERTIFICATE_REQUIRED"), "check `tls_config.cert_file` and `key_file`"),
        (shaken("NO_SHARED_CIPHER"), "no shared cipher"),
        (ssl.SSLError(1, "no words"), "the handshake failed"),
    ],
)
def test_words_name_the_key(cause: ssl.SSLError, said: str) -> None:
    """Any fault of the certificates leads to the key that fixes it, however deep the error lies."""
    for error in (cause, behind(cause), behind(behind(cause))):
        assert said in tls_words(error, host="HOST", port="PORT")
        assert tls_error(error) is cause


def test_lost_connections_are_no_matter_of_certificates() -> None:
    """An end without a farewell, and what has nothing to do with TLS, get no words."""
    for error in (ssl.SSLEOFError(8, "EOF"), ssl.SSLZeroReturnError(6, "closed"), ConnectionResetError("reset")):
        assert tls_words(behind(error)) == ""
        assert tls_error(behind(error)) is None


def test_material_changes_with_the_files(tmp_path: Path) -> None:
    """New content makes new material, the same content does not; a file that is gone is named with its key."""
    file = tmp_path / "ca.pem"
    file.write_bytes(b"one")
    tls = TlsConfig(ca_file=file)
    before = read_material(tls)
    file.write_bytes(b"two")
    assert read_material(tls) != before
    file.write_bytes(b"one")
    assert read_material(tls) == before
    file.unlink()
    with pytest.raises(ConfigError) as caught:
        read_material(tls)
    assert str(caught.value) == f"{file}: tls_config.ca_file: cannot be read: No such file or directory"


def test_context_trusts_as_set(tmp_path: Path) -> None:
    """The authority that is named and no one else; any server at all only where the user says so."""
    authority = Authority(tmp_path)
    context = make_context(TlsConfig(ca_file=authority.ca_file))
    assert (len(context.get_ca_certs()), context.verify_mode, context.check_hostname) == (1, ssl.CERT_REQUIRED, True)
    skipping = make_context(TlsConfig(insecure_skip_verify=True))
    assert (skipping.verify_mode, skipping.check_hostname) == (ssl.CERT_NONE, False)
    plain = make_context(TlsConfig())
    assert (plain.verify_mode, plain.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_files_that_hold_something_else(tmp_path: Path) -> None:
    """Files without a certificate, keys of others and encrypted keys are reported; no one is asked for a password."""
    authority = Authority(tmp_path)
    ours, other = authority.issue("ours"), authority.issue("other")
    key = serialization.load_pem_private_key(ours.key_file.read_bytes(), None)
    lock = serialization.BestAvailableEncryption(b"locked-key")
    locked = tmp_path / "locked.key"
    locked.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))
    with pytest.raises(ConfigError, match=r"ours\.key: tls_config\.ca_file: holds no certificate \(PEM\)"):
        make_context(TlsConfig(ca_file=ours.key_file))
    for key_file, said in ((other.key_file, "does not belong to the certificate"), (locked, "cannot be used")):
        tls = TlsConfig(cert_file=ours.cert_file, key_file=key_file)
        with pytest.raises(ConfigError) as caught:
            make_context(tls)
        assert said in str(caught.value)
        assert str(caught.value).endswith("(both must be PEM, and the key not encrypted)")
        make_context(tls, with_certificate=False)  # not shown, so not read
