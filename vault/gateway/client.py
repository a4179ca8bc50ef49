"""The one door to the gateway: signs a request, sends it at most once, and believes signed answers only.

Refuses to know what a payment is; retries nothing. Invariants: the body is handed to the network once, and never
after the sender's deadline; what comes back is a verified answer, NotSent where that is certain, or OutcomeUnknown;
no exception that leaves this module refers to a body, in its text, its attributes or its cause.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from vault import metrics, trace
from vault.gateway.answers import HEADER_NAMES, Reply, verified
from vault.gateway.endpoint import Connections, origin, socket_within, tls_context
from vault.gateway.errors import GatewayError, NotSent, NotSentReason, OutcomeUnknown, UnknownReason
from vault.gateway.json_text import json_bytes
from vault.gateway.limits import Deadline, Timeouts
from vault.gateway.operations import Operation, wire_path
from vault.gateway.signing import GatewayCredentials, sign, string_to_sign
from vault.trace import Side

_METHOD: Final = "POST"
_CONTENT_TYPE: Final = "application/json; charset=UTF-8"
_LARGEST_ANSWER: Final = 1024 * 1024  # bytes, after decompression
# Shorter than servers usually wait: a request on a connection that they are closing ends as an unknown outcome.
_IDLE_SECONDS: Final = 10.0
_SHORTEST_WAIT: Final = 0.001  # to the HTTP library zero means "no limit"


def _epoch_milliseconds() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """A verified answer: parsed JSON as the gateway wrote it, unknown members and values included."""

    operation: Operation
    body: dict[str, Any] = field(repr=False)  # holds card tokens and personal data
    raw_size: int


class GatewayClient:
    """A pool of connections to one gateway for the whole process; an async context manager.

    `gateway_url` is an origin, https unless `allow_plain_http` (development). `ca_file` (PEM) adds a trust root.
    Raises ValueError for an unsuitable URL and OSError for an unusable `ca_file`.
    """

    def __init__(
        self,
        gateway_url: str,
        *,
        timeouts: Timeouts | None = None,
        connections: Connections | None = None,
        ca_file: Path | None = None,
        allow_plain_http: bool = False,
        now_ms: Callable[[], int] = _epoch_milliseconds,
    ) -> None:
        self._origin = origin(gateway_url, allow_plain_http=allow_plain_http)
        self._timeouts = timeouts or Timeouts()
        self._connections = connections or Connections()
        self._tls = tls_context(ca_file) if self._origin.startswith("https:") else False  # loading roots is slow
        self._now_ms = now_ms
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=_QuietConnector(
                ssl=self._tls,
                limit=0,
                limit_per_host=self._connections.most,
                keepalive_timeout=_IDLE_SECONDS,
                socket_factory=socket_within(self._connections.networks),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "cardvault", "Accept-Encoding": "identity"},
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(
        self, credentials: GatewayCredentials, operation: Operation, body: Mapping[str, object], deadline: Deadline
    ) -> Answer:
        """Send `body` to `operation` at most once and return the verified answer.

        Raises NotSent or OutcomeUnknown. A caller that is cancelled has to take the outcome for unknown. Source:
        `antom-api.md` 1.2 to 1.4.
        """
        began, name = time.monotonic(), operation.value
        outcome, reason = "unknown", "cancelled"
        with trace.call() as passage:
            try:
                answer = await self._called(credentials, operation, body, deadline)
                outcome, reason = "answered", ""
            except GatewayError as error:
                outcome, reason = ("not_sent" if isinstance(error, NotSent) else "unknown"), error.reason.value
                raise
            else:
                return answer
            finally:
                seconds = time.monotonic() - began
                metrics.count_gateway_call(name, outcome, reason, seconds)
                facts = {"operation": name, "outcome": outcome, "reason": reason}
                failed = outcome != "answered"
                trace.over(Side.CLIENT, f"gateway {name}", seconds, failed=failed, facts=facts)
                if passage is not None:
                    passage.gateway_seconds += seconds

    async def _called(
        self, credentials: GatewayCredentials, operation: Operation, body: Mapping[str, object], deadline: Deadline
    ) -> Answer:
        if deadline.passed():
            raise NotSent(NotSentReason.DEADLINE_PASSED)
        raw = json_bytes(body)
        if raw is None:
            raise NotSent(NotSentReason.NOT_ENCODABLE)
        path = wire_path(operation, client_id=credentials.client_id)
        outcome = await self._exchange(
            path, self._headers(credentials, path, raw), _OneShotBody(raw, deadline, self._timeouts.send)
        )
        # Raised out here, not in an `except`: the library's exceptions would stay attached as the context, and their
        # frames hold the body.
        if isinstance(outcome, GatewayError):
            raise outcome
        return Answer(operation, verified(credentials, _METHOD, path, outcome), len(outcome.raw))

    def _headers(self, credentials: GatewayCredentials, path: str, raw: bytes) -> dict[str, str]:
        now = str(self._now_ms())
        message = string_to_sign(_METHOD, path, client_id=credentials.client_id, time=now, body=raw)
        return {
            "client-id": credentials.client_id,
            "Request-Time": now,
            "Signature": sign(credentials.private_key, credentials.key_version, message),
            **trace.outgoing(),
        }

    async def _exchange(self, path: str, headers: Mapping[str, str], body: "_OneShotBody") -> "Reply | GatewayError":
        if self._session is None:
            raise RuntimeError("the client is not open")
        try:
            with body:
                async with self._session.request(
                    _METHOD,
                    self._origin + path,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    timeout=self._limits(body.deadline),
                ) as response:
                    if not body.handed_over:  # it answers something else, and came between the pool and the body
                        return NotSent(NotSentReason.CONNECTION_LOST)
                    response.content.on_eof(body.answered)
                    return await _received(response)
        except (aiohttp.ClientError, OSError) as error:
            return body.verdict(error)

    def _limits(self, deadline: Deadline) -> aiohttp.ClientTimeout:
        connect = max(min(self._timeouts.connect + self._timeouts.tls, deadline.remaining()), _SHORTEST_WAIT)
        return aiohttp.ClientTimeout(total=self._timeouts.total, connect=connect, sock_read=self._timeouts.answer)


class _QuietConnector(aiohttp.TCPConnector):
    """A pool that gives out only connections on which nothing has been said yet since the last answer."""

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the library's signature
    ) -> Connection:
        """Refuse a connection that holds unread bytes: the library would take them for the answer, before it asks.

        Such an answer may be rightly signed, for another payment: nothing in the signed string names the request.
        """
        connection = await super().connect(req, traces, timeout)
        if connection.protocol is None or connection.protocol.should_close:
            connection.close()
            raise aiohttp.ClientConnectionError("somebody spoke out of turn")
        return connection


class _OneShotBody(aiohttp.Payload):
    """A request body that can be written once, before its deadline, and never after its `with` block."""

    _autoclose = True  # nothing to close: tells the library so

    def __init__(self, raw: bytes, deadline: Deadline, patience: float) -> None:
        super().__init__(None, content_type=_CONTENT_TYPE)
        self._size = len(raw)
        self._raw = raw
        self._patience = patience
        self._spent = False
        self.handed_over = False
        self._transport: asyncio.WriteTransport | None = None
        self.deadline = deadline

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._spent = True
        self._raw = b""
        if error is not None and self._transport is not None:
            # A mere close would go on sending what the transport still buffers.
            self._transport.abort()

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Hand the body over, unless it is too late or it was handed over before; called by the library."""
        async with asyncio.timeout(self._patience):
            # Up to the transport's own write there is no `await` that could suspend: no time passes unchecked.
            self._claim(writer.transport)
            await writer.write(self._raw)
            await writer.drain()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 - the library's signature
        """Refuse to show the body as text, which the library asks for only when it traces or authenticates."""
        raise TypeError("a request body is not for reading")

    def answered(self) -> None:
        """Note that the answer is complete: from now on the connection may serve another call."""
        self._transport = None

    def verdict(self, error: Exception) -> GatewayError:
        """Say what the library's `error` means, by whether the body was handed over before it."""
        if self.handed_over:
            return OutcomeUnknown(_unknown_reason(error))
        if self.deadline.passed():
            return NotSent(NotSentReason.DEADLINE_PASSED)
        return NotSent(_not_sent_reason(error))

    def _claim(self, transport: asyncio.WriteTransport | None) -> None:
        if self._spent or transport is None or transport.is_closing():
            raise NotSent(NotSentReason.CONNECTION_LOST)
        if self.deadline.passed():
            raise NotSent(NotSentReason.DEADLINE_PASSED)
        self._spent = self.handed_over = True
        self._transport = transport


def _unknown_reason(error: Exception) -> UnknownReason:
    match error:
        case TimeoutError():
            return UnknownReason.TIMEOUT
        case aiohttp.ClientPayloadError():
            return UnknownReason.ANSWER_INCOMPLETE
        case aiohttp.ClientResponseError():
            return UnknownReason.HTTP_MALFORMED
        case _:
            return UnknownReason.CONNECTION_LOST


def _not_sent_reason(error: Exception) -> NotSentReason:
    match error:
        case TimeoutError():
            return NotSentReason.CONNECT_TIMEOUT
        case aiohttp.ClientConnectorDNSError():
            return NotSentReason.NAME_NOT_RESOLVED
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return NotSentReason.TLS_FAILED
        case aiohttp.ClientConnectorError():
            return NotSentReason.CONNECT_FAILED
        case _:
            return NotSentReason.CONNECTION_LOST


async def _received(response: aiohttp.ClientResponse) -> Reply | OutcomeUnknown:
    if response.status != HTTPStatus.OK:
        return OutcomeUnknown(UnknownReason.HTTP_STATUS, status=response.status)
    raw = bytearray()
    async for chunk in response.content.iter_any():
        raw += chunk
        if len(raw) > _LARGEST_ANSWER:
            return OutcomeUnknown(UnknownReason.ANSWER_TOO_LARGE)
    return Reply({name: _single(response, name) for name in HEADER_NAMES}, bytes(raw))


def _single(response: aiohttp.ClientResponse, name: str) -> str | None:
    # A header that comes twice is no header: nobody can tell which one was meant.
    values = response.headers.getall(name, [])
    return values[0] if len(values) == 1 else None
