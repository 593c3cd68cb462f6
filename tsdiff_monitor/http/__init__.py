"""The one HTTP stack of readers, writers and notifiers, also for plug-ins of others (docs/plugins.md)."""

from tsdiff_monitor.http.address import Address, ServerUrl, Url
from tsdiff_monitor.http.client import HttpClient
from tsdiff_monitor.http.delivery import DeliveryClient
from tsdiff_monitor.http.failure import HttpFailure
from tsdiff_monitor.http.options import ConnectionOptions, HttpOptions, ServerOptions
from tsdiff_monitor.http.request import HttpResponse
from tsdiff_monitor.http.retries import Backoff

__all__ = [
    "Address",
    "Backoff",
    "ConnectionOptions",
    "DeliveryClient",
    "HttpClient",
    "HttpFailure",
    "HttpOptions",
    "HttpResponse",
    "ServerOptions",
    "ServerUrl",
    "Url",
]
