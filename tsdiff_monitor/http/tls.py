"""TLS contexts from ``tls_config``, and words for what goes wrong with certificates."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx

from tsdiff_monitor.errors import ConfigError, ConfigProblem
from tsdiff_monitor.http.options import TlsConfig

__all__ = ["Material", "make_context", "read_material", "tls_error", "tls_words"]

Material = tuple[bytes, ...]
"""Content of the files: two contexts made of the same material are the same."""


def read_material(tls: TlsConfig) -> Material:
    """The files' content now. Raises :class:`ConfigError` naming the key of one that cannot be read.

    The content is compared, not the time of change: secrets that are mounted are swapped by a link above them.
    """
    material = []
    for key in ("ca_file", "cert_file", "key_file"):
        path: Path | None = getattr(tls, key)
        try:
            material.append(b"" if path is None else path.read_bytes())
        except OSError as error:
            problem = ConfigProblem(f"tls_config.{key}", f"cannot be read: {error.strerror or type(error).__name__}")
            raise ConfigError(str(path), [problem]) from None
    return tuple(material)


def make_context(tls: TlsConfig, *, with_certificate: bool = True) -> ssl.SSLContext:
    """A context for clients; ``with_certificate`` says whether to show our own to a server that asks for one.

    Raises :class:`ConfigError` when a file does not hold what it should.
    """
    if tls.ca_file is not None:
        try:
            context = ssl.create_default_context(cafile=str(tls.ca_file))
        except (ssl.SSLError, OSError, ValueError):
            problem = ConfigProblem("tls_config.ca_file", "holds no certificate (PEM)")
            raise ConfigError(str(tls.ca_file), [problem]) from None
    else:
        context = _system_context()
    if tls.insecure_skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if with_certificate and tls.cert_file is not None:
        try:
            # The empty password makes an encrypted key an error, where OpenSSL would ask at the terminal.
            context.load_cert_chain(tls.cert_file, tls.key_file, password="")
        except (ssl.SSLError, OSError, ValueError) as error:
            said = "the key does not belong to the certificate" if "MISMATCH" in str(error) else "they cannot be used"
            remedy = "both must be PEM, and the key not encrypted"
            problem = ConfigProblem("tls_config.cert_file", f"with the key {tls.key_file}: {said}", remedy)
            raise ConfigError(str(tls.cert_file), [problem]) from None
    return context


def tls_words(error: BaseException, *, host: str = "check the host", port: str = "check the port") -> str:
    """Description of a certificate problem and of the setting that fixes it; empty where TLS is not to blame.

    ``host`` and ``port`` say what to do where the certificate is another host's, and where the port does not speak TLS.
    """
    found = tls_error(error)
    if found is None:
        return ""
    if isinstance(found, ssl.SSLCertVerificationError):
        said = (getattr(found, "verify_message", "") or "its certificate is refused").rstrip(".")
        if "ostname mismatch" in said or "IP address mismatch" in said:
            return f"{said}; {host}, or set `tls_config.server_name`"
        if "expired" in said or "not yet valid" in said:
            return f"{said}; renew the server's certificate, or correct this machine's clock"
        return f"{said}; name the certificate's authority in `tls_config.ca_file`"
    said = (getattr(found, "reason", "") or "the handshake failed").replace("_", " ").lower()
    if "wrong version" in said or "record layer" in said:
        return f"the server does not speak TLS there ({said}); {port}"
    if "certificate required" in said or "bad certificate" in said or "unknown ca" in said:
        return f"the server refuses our certificate ({said}); check `tls_config.cert_file` and `key_file`"
    return said


def tls_error(error: BaseException) -> ssl.SSLError | None:
    """The failure of TLS that ``error`` is or comes from; None where TLS is not to blame."""
    cause: BaseException | None = error
    while cause is not None:
        # The end of a connection without a farewell is a lost connection, not a matter of certificates.
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            return cause
        cause = cause.__cause__ or cause.__context__
    return None


def _system_context() -> ssl.SSLContext:
    """Trusts what the system trusts, and the authorities that come with httpx where the system has none."""
    paths = ssl.get_default_verify_paths()
    there = paths.cafile is not None or (paths.capath is not None and any(Path(paths.capath).iterdir()))
    return ssl.create_default_context() if there else httpx.create_ssl_context(trust_env=False)
