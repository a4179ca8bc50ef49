"""The ASGI layers around the application: who a request is, how long and how large it may be, and its one log line.

They refuse to know routes, bodies and callers, and to read more than they must. Invariants: every answer carries the
request's id and the security headers, those of problems included; no path, query or header of the caller is logged,
only the template of the route; nothing here is a `BaseHTTPMiddleware`. Source: controls API-6, NET-4; mechanics 6.
"""

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vault import metrics, trace
from vault.errors import DeadlineExceeded, PayloadTooLarge
from vault.ids import Prefix, new_id
from vault.logs import leave_context, put_in_context, write_line
from vault.pan_detector import contains_pan
from vault.problems import Boundary
from vault.settings import Settings
from vault.trace import Side

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_AS_SEPARATORS: Final = str.maketrans("._", "--")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LONGEST_LENGTH: Final = 12
_SECURITY_HEADERS: Final = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
)
LIMIT_HEADERS: Final = "limit_headers"
_STRICT_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


def install(app: FastAPI, settings: Settings) -> None:
    """Put the layers around the application: identity outermost, then the boundary that renders errors, then limits."""
    app.add_middleware(Limits, max_body_bytes=settings.max_body_bytes, deadline=settings.request_deadline)
    app.add_middleware(Boundary)
    app.add_middleware(Edge, https=settings.public_url.startswith("https:"))


class Edge:
    """Names each request, marks its answer, also with what a limit left to be said, counts it, and logs one line.

    The caller's `X-Request-Id` is kept where it is short, plain and no card number, else a new one is made; its trace
    goes on, or a new one begins. Both ids are in `request.state` (`request_id`, `trace_id`) and in every log line that
    is written meanwhile. `Server-Timing` says how long the vault took, and how long it waited for the gateway.
    """

    def __init__(self, app: ASGIApp, *, https: bool, clock: Callable[[], float] = time.perf_counter) -> None:
        self._app = app
        self._clock = clock
        self._headers = (*_SECURITY_HEADERS, _STRICT_TRANSPORT) if https else _SECURITY_HEADERS
        self._templates: dict[int, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock()
        status: int | None = None
        given = dict(scope["headers"])
        passage = trace.begin(_text(given, b"traceparent"), _text(given, b"tracestate"))
        identity = {"request_id": _request_id(_text(given, b"x-request-id")), "trace_id": trace.trace_id()}
        state = scope.setdefault("state", {})
        state.update(identity)
        context = put_in_context(identity)
        own = (*self._headers, (b"x-request-id", identity["request_id"].encode()))

        async def marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                present = {name for name, _ in headers}
                message["headers"] = headers + [header for header in own if header[0] not in present]
                message["headers"] += (*state.get(LIMIT_HEADERS, ()), _timing(self._clock() - began))
            await send(message)

        try:
            await self._app(scope, receive, marked)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            route, seconds = self._template(scope), self._clock() - began
            metrics.count_request(method, route, status or 0, seconds)
            line = {"method": method, "route": route, "status": status, "duration_ms": round(seconds * 1000, 3)}
            line["request_id"] = identity["request_id"]
            write_line("vault.http", "http.request", line)
            failed = status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR
            trace.over(Side.SERVER, f"{method} {route}", seconds, failed=failed, facts=line)
            leave_context(context)
            trace.end(passage)

    def _template(self, scope: Scope) -> str:
        """Give the path template of the route that took the request; what the caller asked for is not in it."""
        taken = scope.get("route") or scope.get("endpoint")
        if taken is None:
            return "none"
        if id(taken) not in self._templates:
            for entry in iter_route_contexts(scope["app"].routes):
                self._templates.update(
                    dict.fromkeys((id(entry.original_route), id(entry.endpoint)), entry.path or "none")
                )
        return self._templates.get(id(taken), "none")


def _text(headers: dict[bytes, bytes], name: bytes) -> str:
    return headers.get(name, b"").decode("latin-1")


def _request_id(given: str) -> str:
    """Keep the caller's id; what is not exactly one is as good as absent."""
    kept = _REQUEST_ID.fullmatch(given) is not None and not contains_pan(given.translate(_AS_SEPARATORS))
    return given if kept else new_id(Prefix.REQUEST)


def _timing(seconds: float) -> tuple[bytes, bytes]:
    """Say how long an answer took to begin, the wait for the gateway apart (W3C Server Timing)."""
    passage = trace.current()
    waited = passage.gateway_seconds if passage else 0.0
    gateway = f", gateway;dur={waited * 1000:.1f}" if waited else ""
    return b"server-timing", f"vault;dur={(seconds - waited) * 1000:.1f}{gateway}".encode()


class Limits:
    """Ends a request whose body is too long (413, nothing more is read) or that takes too long (503).

    The application below sees an over-long body as a caller that went away. A caller that really did is not answered.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, deadline: float) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._deadline = deadline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on within its limits; raises `PayloadTooLarge` or `DeadlineExceeded`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _declared_length(scope) > self._max_body_bytes:
            raise PayloadTooLarge
        meter = _Meter(receive, send, self._max_body_bytes)
        with suppress(ClientDisconnect):
            await self._in_time(scope, meter)
        if meter.left < 0:
            raise PayloadTooLarge

    async def _in_time(self, scope: Scope, meter: "_Meter") -> None:
        try:
            async with asyncio.timeout(self._deadline) as timer:
                await self._app(scope, meter.receive, meter.send)
        except TimeoutError:
            if timer.expired():
                raise DeadlineExceeded from None
            raise


class _Meter:
    """Counts what the application reads; beyond the limit it shows a closed connection and lets nothing out."""

    __slots__ = ("_receive", "_send", "left")

    def __init__(self, receive: Receive, send: Send, limit: int) -> None:
        self._receive = receive
        self._send = send
        self.left = limit

    async def receive(self) -> Message:
        message = await self._receive()
        self.left -= len(message.get("body", b""))
        return message if self.left >= 0 else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if self.left >= 0:
            await self._send(message)


def _declared_length(scope: Scope) -> int:
    """Give the length that the caller announces; one that cannot be read counts as endless."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) <= _LONGEST_LENGTH else 10**_LONGEST_LENGTH
    return 0
