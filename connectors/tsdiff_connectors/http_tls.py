"""TLS contexts from ``tls_config``, made anew when one of its files has changed."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx

from tsdiff_connectors.http_options import TlsConfig
from tsdiff_monitor.errors import ConfigError, ConfigProblem

__all__ = ["Material", "make_context", "read_material"]

Material = tuple[bytes, ...]
"""What the files hold: two clients with the same material are the same."""


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


def make_context(tls: TlsConfig, *, with_certificate: bool) -> ssl.SSLContext:
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


def _system_context() -> ssl.SSLContext:
    """Trusts what the system trusts, and the authorities that come with httpx where the system has none."""
    paths = ssl.get_default_verify_paths()
    there = paths.cafile is not None or (paths.capath is not None and any(Path(paths.capath).iterdir()))
    return ssl.create_default_context() if there else httpx.create_ssl_context(trust_env=False)
