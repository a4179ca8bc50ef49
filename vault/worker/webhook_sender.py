"""The sender of webhooks: one signed request, judged by its status alone.

It refuses to know rows and schedules. Invariants: a connection is made only to an address that was judged at that very
moment, whatever a name said before or will say next; nothing is followed, nothing of an answer but its status and
`Retry-After` is read, nothing is kept between two requests (controls.md WHK-3, WHK-4).
"""

import socket
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver

from vault.gateway.endpoint import tls_context
from vault.reachable import Network, reachable
from vault.webhook import Attempt, Outcome

_LONGEST_WAIT: Final = 86_400.0


class AddressNotAllowed(OSError):
    """A name or URL leads to an address that webhooks may not be sent to."""


class WebhookSender:
    """Connections to endpoints, one for each request; an async context manager.

    `allowed` are networks that may be reached although they are not public, `ca_file` (PEM) adds a trust root. The
    `timeout` in seconds spans name, connection, request and status. Raises OSError for an unusable `ca_file`.
    """

    def __init__(
        self,
        *,
        allowed: Sequence[Network] = (),
        ca_file: Path | None = None,
        timeout: float = 15.0,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._allowed = allowed
        self._tls = tls_context(ca_file)
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            ssl=self._tls,
            limit=0,
            force_close=True,
            use_dns_cache=False,
            resolver=self._resolver,
            socket_factory=self._socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            headers={"User-Agent": "cardvault", "Content-Type": "application/json", "Accept-Encoding": "identity"},
            timeout=self._timeout,
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
        self._session = None

    async def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Attempt:
        """Send a body to a URL once and say what came of it; raises nothing for whatever the other side does."""
        if self._session is None:
            raise RuntimeError("the sender is not open")
        begun = time.monotonic()
        status, wait = None, None
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                status, wait = response.status, _seconds(response.headers.get("Retry-After"))
                outcome = _meaning(status)
        except Exception as error:  # noqa: BLE001 - whatever it is, the attempt has failed and is to be counted
            outcome = _trouble(error)
        return Attempt(outcome, status, wait, round((time.monotonic() - begun) * 1000))

    def _socket(self, address: tuple[Any, ...]) -> socket.socket:
        """Make the socket for an address that is about to be connected to, or refuse it."""
        family, kind, protocol, _, place = address
        if not reachable(place[0], self._allowed):
            raise AddressNotAllowed("the address is not allowed")
        return socket.socket(family, kind, protocol)


def _meaning(status: int) -> Outcome:
    match status // 100:
        case 2:
            return Outcome.DELIVERED
        case 3:
            return Outcome.REDIRECTED
        case _:
            return Outcome.REFUSED


def _trouble(error: Exception) -> Outcome:
    match error:
        case TimeoutError():
            return Outcome.TIMEOUT
        case aiohttp.ClientConnectorDNSError():
            return Outcome.NAME_NOT_RESOLVED
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return Outcome.TLS_FAILED
        case aiohttp.ClientConnectorError(os_error=AddressNotAllowed()):
            return Outcome.ADDRESS_NOT_ALLOWED
        case aiohttp.ClientResponseError():
            return Outcome.NOT_HTTP
        case _:
            return Outcome.CONNECTION_FAILED


def _seconds(text: str | None) -> float | None:
    """Read a `Retry-After` (RFC 9110 section 10.2.3), at most a day; None without one that can be read."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text), _LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    wait = (until - datetime.now(UTC)).total_seconds()
    return min(max(wait, 0.0), _LONGEST_WAIT)


def asks_for_patience(attempt: Attempt) -> bool:
    """Tell whether an endpoint is better left alone for a while: it said so, or it is not there."""
    busy = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE}
    if attempt.retry_after is not None or attempt.status in {*busy, HTTPStatus.GATEWAY_TIMEOUT}:
        return True
    return attempt.status is None
