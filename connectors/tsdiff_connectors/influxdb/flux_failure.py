"""Errors of ``influxdb-client`` and urllib3 as failures with the reasons that all connectors share."""

from __future__ import annotations

from tsdiff_connectors.influxdb.config import InfluxConfig
from tsdiff_monitor.http.failure import HttpFailure, judge_status, retry_after, tls_words
from tsdiff_monitor.settings.durations import format_duration

__all__ = ["client_failure"]

_REMEDIES = {
    401: "check `token`, and that it belongs to `org`",
    403: "the token may not do this; check its permissions",
    404: "check `url`, `org` and the bucket",
}


def client_failure(error: Exception, config: InfluxConfig, now: float) -> HttpFailure | None:
    """The failure that ``error`` stands for; None for errors that come from elsewhere."""
    from influxdb_client.rest import ApiException
    from urllib3 import exceptions

    if isinstance(error, exceptions.MaxRetryError) and isinstance(error.reason, Exception):
        error = error.reason
    certificate = tls_words(error)
    if certificate:
        return HttpFailure(f"no secure connection: {certificate}", reason="tls")
    if isinstance(error, ApiException):
        return _status_failure(error, now)
    if isinstance(error, exceptions.NewConnectionError):
        return HttpFailure(
            f"{_cause(error)}; check that the server is up and `url` is right", reason="connect", retried=True
        )
    if isinstance(error, exceptions.ConnectTimeoutError):
        wait = format_duration(config.connect_timeout)
        said = f"no connection within {wait} (`connect_timeout`); check that the server is up and reachable"
        return HttpFailure(said, reason="timeout", retried=True)
    if isinstance(error, exceptions.TimeoutError):
        wait = format_duration(config.read_timeout)
        return HttpFailure(f"nothing came for {wait}; ask for less at once, or raise `read_timeout`", reason="timeout")
    if isinstance(error, exceptions.ProxyError):
        said = "the proxy does not let it pass; check `proxy_url`, and the user and password in it"
        return HttpFailure(said, reason="auth" if "407" in str(error) else "connect", retried="407" not in str(error))
    if isinstance(error, exceptions.DecodeError):
        return HttpFailure("the answer cannot be read: its compression is damaged", reason="garbled")
    if isinstance(error, (exceptions.ProtocolError, exceptions.IncompleteRead, exceptions.InvalidChunkLength)):
        if "BadStatusLine" in repr(error):
            said = "what answers does not speak HTTP; check host, port and http or https of `url`"
            return HttpFailure(said, reason="garbled")
        return HttpFailure(f"the connection was lost ({type(error).__name__})", reason="connect", retried=True)
    if isinstance(error, (exceptions.HTTPError, OSError)):
        return HttpFailure(f"the connection failed ({type(error).__name__})", reason="connect", retried=True)
    return None


def _status_failure(error: object, now: float) -> HttpFailure:
    status = int(getattr(error, "status", 0) or 0)
    if not status:
        return HttpFailure("no secure connection; check the certificates in `tls_config`", reason="tls")
    reason, retried, remedy = judge_status(status)
    said = getattr(error, "message", "")
    said = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said or "")
    said = "" if said.lstrip().startswith("<") else " ".join(said.split())[:300]
    phrase = str(getattr(getattr(error, "response", None), "reason", "") or "")
    headers = getattr(error, "headers", None) or {}
    answered = f"answered {status} {phrase}".rstrip()
    message = "; ".join(filter(None, (": ".join(filter(None, (answered, said))), _REMEDIES.get(status, remedy))))
    return HttpFailure(
        message,
        reason=reason,
        status=status,
        retried=retried,
        retry_after=retry_after(headers.get("Retry-After"), now),
        body=said,
    )


def _cause(error: BaseException) -> str:
    """The system's message about a connection that cannot be made, without the client's object addresses."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return f"the connection failed ({cause.strerror})"
        cause = cause.__cause__ or cause.__context__
    return "the connection failed"
