"""The signed API over HTTP: checks a request, has it handled, signs the answer, and spoils it when told to.

Business errors are HTTP 200 with a result (antom-api.md 1.1, 1.4). Refuses to know operations beyond their table.
Invariant: every answer for a client id is signed by the gateway, refusals included, unless a scenario says otherwise.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Never

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from ops.sandbox.clients import Clients
from ops.sandbox.desk import Desk, Operation, Outcome
from ops.sandbox.messages import moment
from ops.sandbox.notifier import Sends
from ops.sandbox.operations import OPERATIONS
from ops.sandbox.results import Code, Json, Refused, illegal
from ops.sandbox.scenarios import Fault, Notifying
from ops.sandbox.signing import KeyVersionUnknown, SignatureRejected, check_signature, signature_header, string_to_sign

PATH = re.compile(r"/ams(?:/sandbox)?/api(?P<operation>/v1/[A-Za-z0-9/]+)")
AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
CONTENT_TYPE = "application/json; charset=UTF-8"
MILLISECONDS = re.compile(r"[0-9]{13}")
FIRST_PATIENCE = 10.0
LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Head:
    """The parts of a request that are signed besides its body, as they were on the wire."""

    method: str
    target: str
    client_id: str


class FrontDoor:
    """The handler of everything under `/ams/`."""

    def __init__(self, desk: Desk, clients: Clients, key: rsa.RSAPrivateKey) -> None:
        self._desk = desk
        self._clients = clients
        self._key = key

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        client_id = request.headers.get("client-id", "")
        head = Head(request.method, wire_target(request.raw_path), client_id if client_id.isascii() else "")
        try:
            outcome = await self._handle(request, head)
        except Refused as refusal:
            outcome = Outcome(refusal.as_json())
        return await self._respond(request, head, outcome)

    async def _handle(self, request: web.Request, head: Head) -> Outcome:
        operation = _operation(request, head.target)
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refused(Code.PARAM_ILLEGAL, "The request body is too large.") from None
        self._verify(request, head, body)
        parsed = _parse(body)
        self._desk.book.receive(head.client_id, operation.name, parsed)
        return operation.handle(self._desk, head.client_id, parsed)

    def _verify(self, request: web.Request, head: Head, body: bytes) -> None:
        client = self._clients.find(head.client_id)
        if client is None:
            raise Refused(Code.INVALID_CLIENT)
        time = request.headers.get("Request-Time", "")
        message = string_to_sign(method=head.method, target=head.target, client_id=head.client_id, time=time, body=body)
        try:
            check_signature(request.headers.get("Signature"), message, keys=client.public_keys)
        except KeyVersionUnknown:
            raise Refused(Code.KEY_NOT_FOUND) from None
        except SignatureRejected:
            raise Refused(Code.INVALID_SIGNATURE) from None
        self._check_time(time)

    def _check_time(self, time: str) -> None:
        try:
            if MILLISECONDS.fullmatch(time):
                sent = datetime.fromtimestamp(int(time) / 1000, UTC)
            else:
                sent = datetime.fromisoformat(time)
        except ValueError:
            raise illegal("Request-Time") from None
        if sent.tzinfo is None:
            raise illegal("Request-Time")
        skew = self._desk.config.clock_skew
        if skew is not None and abs(self._desk.config.clock() - sent) > timedelta(seconds=skew):
            raise illegal("Request-Time")

    async def _respond(self, request: web.Request, head: Head, outcome: Outcome) -> web.StreamResponse:
        scenario, release = outcome.scenario, outcome.release
        await asyncio.sleep(scenario.slow_ms / 1000)
        if scenario.fault is Fault.RESET:
            return hang_up(request, reset=True)
        if release is not None and Notifying.NOTIFY_FIRST in scenario.notifying:
            await _release_first(release)
            release = None
        if scenario.fault is Fault.LOST_ANSWER:
            response = hang_up(request, reset=False)
        else:
            response = self._write_answer(head, outcome.body, scenario.fault)
            await _write(request, response)
        if release is not None:
            release()
        return response

    def _write_answer(self, head: Head, body: Json, fault: Fault | None) -> web.Response:
        if fault is Fault.HTTP_500:
            return web.Response(status=HTTPStatus.INTERNAL_SERVER_ERROR, text="Internal Server Error")
        content = json.dumps(body, separators=(",", ":")).encode()
        headers = {"Content-Type": CONTENT_TYPE}
        if head.client_id:
            time = moment(self._desk.config.clock())
            # A signature over other bytes reads well and fits nothing.
            signed = content + b" " if fault is Fault.BAD_SIGNATURE else content
            message = string_to_sign(
                method=head.method, target=head.target, client_id=head.client_id, time=time, body=signed
            )
            headers |= {"client-id": head.client_id, "response-time": time}
            if fault is not Fault.UNSIGNED:
                headers["signature"] = signature_header(self._key, message)
        return web.Response(body=content, headers=headers)


async def _release_first(release: Callable[[], Sends]) -> None:
    """Let go before the answer is given, and wait a while for the acknowledgement."""
    sends = release()
    if sends:
        await asyncio.wait(sends, timeout=FIRST_PATIENCE)


def wire_target(raw: str) -> str:
    """Return path and query as they were sent, whether the request line held a path or a whole URL."""
    authority = AUTHORITY.match(raw)
    return raw if authority is None else raw[authority.end() :] or "/"


def hang_up(request: web.Request, *, reset: bool) -> web.Response:
    """End a connection without an answer, by a reset or by a plain close."""
    transport = request.transport
    if transport is not None:
        if reset:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        transport.abort()
    return web.Response()


async def _write(request: web.Request, response: web.Response) -> None:
    """Send an answer at once, so that what follows it can follow; a client that has gone is no error."""
    try:
        await response.prepare(request)
        await response.write_eof()
    except ConnectionError:
        return


def _operation(request: web.Request, target: str) -> Operation:
    path = PATH.fullmatch(target.partition("?")[0])
    operation = OPERATIONS.get(path["operation"]) if path else None
    if operation is None:
        raise Refused(Code.NO_INTERFACE_DEF)
    if request.method != "POST":
        raise Refused(Code.METHOD_NOT_SUPPORTED)
    if request.content_type != "application/json":
        raise Refused(Code.MEDIA_TYPE_NOT_ACCEPTABLE)
    return operation


def _no_number(_word: str) -> Never:
    raise ValueError("not a JSON number")


def _parse(body: bytes) -> Json:
    try:
        parsed = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(Code.PARAM_ILLEGAL, "The request body is not JSON.") from None
    if not isinstance(parsed, dict):
        raise Refused(Code.PARAM_ILLEGAL, "The request body is not a JSON object.")
    return parsed
