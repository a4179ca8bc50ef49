"""HTTP connections as the server takes them: so many at once, none that takes its time, each with its certificate.

It refuses to know requests. Invariants: the head of a request is complete within seconds of its first octet or of the
connection, or the connection ends; one connection too many is answered 503 and closed, before anything of it is read;
what is in `client_certificate` was verified by TLS in this very connection.
"""

import asyncio
from hashlib import sha256
from typing import Any, Final

import uvicorn
import uvloop

from ops.draining import DrainingProtocol

HEAD_SECONDS: Final = 10.0
_BODY: Final = (
    b'{"type":"urn:cardvault:problem:overloaded","title":"Too many connections","status":503,"code":"overloaded",'
    b'"detail":"Too many connections","retryable":true}'
)
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n"
    b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class ServerConfig(uvicorn.Config):
    """The server's options, and how many connections one process takes."""

    def __init__(self, application: Any, *, max_connections: int, **options: Any) -> None:
        super().__init__(application, http=PatientProtocol, loop="ops.protocol:PatientLoop", **options)
        self.max_connections = max_connections


class PatientLoop(uvloop.Loop):
    """The servers' event loop: a handshake of TLS that takes its time ends like the head of a request that does."""

    async def create_server(self, *args: Any, **options: Any) -> Any:
        """Listen."""
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = HEAD_SECONDS
        return await super().create_server(*args, **options)


class PatientProtocol(DrainingProtocol):
    """One connection."""

    config: ServerConfig

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._certificate: bytes | None = None
        self._head: asyncio.TimerHandle | None = None
        self._turned_away = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as the parent does
        """Take the connection, or turn it away."""
        super().connection_made(transport)
        if len(self.connections) > self.config.max_connections:
            self._turned_away = True
            transport.write(_FULL)
            transport.close()
            return
        self._certificate = _shown(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._turned_away:
            return
        if self._head is None and not self._busy:
            self._await_head()
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["state"]["client_certificate"] = self._certificate

    def on_headers_complete(self) -> None:
        """Note that the head is there, in time."""
        self._end_wait()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._end_wait()
        super().connection_lost(exc)

    @property
    def _busy(self) -> bool:
        cycle: Any = self.cycle  # None before the first request, whatever the parent declares
        return cycle is not None and not cycle.response_complete

    def _await_head(self) -> None:
        self._head = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _end_wait(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None


def _shown(transport: asyncio.Transport) -> bytes | None:
    """Give the fingerprint of the certificate that the caller showed, if it did."""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    return sha256(certificate).digest() if certificate else None
