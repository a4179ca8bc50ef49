"""The endpoints that drive a sandbox from outside: clients, scenarios, ledger, received requests, health.

Unsigned and meant for tests and people on the same machine. Refuses to know how payments move. Invariant: received
request bodies, which hold card data, are shown to loopback peers only.
"""

from __future__ import annotations

import ipaddress
import json
import re
from http import HTTPStatus
from urllib.parse import urlsplit

from aiohttp import web

from ops.sandbox.book import Book
from ops.sandbox.clients import FIRST_VERSION, Clients
from ops.sandbox.results import Json
from ops.sandbox.scenarios import ScenarioUnknown, parse_scenario
from ops.sandbox.signing import KeyUnusable

CLIENT_ID = re.compile(r"[!-~]{1,64}")
KEY_VERSION = re.compile(r"[0-9]{1,9}")


class Control:
    """The handlers under `/_sandbox/`."""

    def __init__(self, book: Book, clients: Clients, gateway_public_key: str) -> None:
        self._book = book
        self._clients = clients
        self._gateway_public_key = gateway_public_key

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to serve."""
        return [
            web.get("/_sandbox/health", self.health),
            web.get("/_sandbox/ledger", self.ledger),
            web.get("/_sandbox/requests", self.requests),
            web.post("/_sandbox/clients", self.register),
            web.post("/_sandbox/scenarios", self.arm),
        ]

    async def health(self, _request: web.Request) -> web.Response:
        """Tell that the sandbox is up."""
        return web.json_response({"status": "ok"})

    async def ledger(self, _request: web.Request) -> web.Response:
        """Return one row per authorisation decision, in order."""
        return web.json_response([row.as_json() for row in self._book.rows])

    async def requests(self, request: web.Request) -> web.Response:
        """Return the requests received for one payment, or all that are remembered."""
        # The name that was asked for counts too, or a web page could reach in by rebinding its own.
        if not _is_loopback(request.remote) or not _is_local_name(request.host):
            return _error(HTTPStatus.FORBIDDEN, "loopback_only", "received requests are shown on loopback only")
        return web.json_response(self._book.received(request.query.get("paymentRequestId")))

    async def register(self, request: web.Request) -> web.Response:
        """Register a version of a merchant's public key and return the gateway's."""
        body = await _json_object(request)
        client_id, public_key = body.get("clientId"), body.get("publicKey")
        version = body.get("keyVersion", FIRST_VERSION)
        if not isinstance(client_id, str) or not CLIENT_ID.fullmatch(client_id):
            return _refused("invalid_client_id", "clientId is a text of 1 to 64 visible ASCII characters")
        if not isinstance(version, str) or not KEY_VERSION.fullmatch(version):
            return _refused("invalid_key_version", "keyVersion is a text of 1 to 9 digits")
        if not isinstance(public_key, str):
            return _refused("invalid_public_key", "publicKey is the bare base64 of a SubjectPublicKeyInfo")
        try:
            self._clients.register(client_id, public_key, version)
        except KeyUnusable as unusable:
            return _refused("invalid_public_key", str(unusable))
        return web.json_response({"gatewayPublicKey": self._gateway_public_key})

    async def arm(self, request: web.Request) -> web.Response:
        """Arm a scenario for the first call with a request id."""
        body = await _json_object(request)
        request_id, text = body.get("paymentRequestId"), body.get("scenario")
        if not isinstance(request_id, str) or not request_id:
            return _refused("invalid_payment_request_id", "paymentRequestId is the request id of the call to spoil")
        if not isinstance(text, str):
            return _refused("invalid_scenario", "scenario is a text such as DECLINE:DO_NOT_HONOR+SLOW:500")
        try:
            scenario = parse_scenario(text)
        except ScenarioUnknown as unknown:
            return _refused("invalid_scenario", str(unknown))
        self._book.arm(request_id, scenario)
        return web.json_response({"paymentRequestId": request_id, "scenario": text})


async def _json_object(request: web.Request) -> Json:
    """Return the body when it is a JSON object, else an empty one, which every handler refuses by name."""
    try:
        body = json.loads(await request.read())
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _is_loopback(remote: str | None) -> bool:
    try:
        return ipaddress.ip_address(remote or "").is_loopback
    except ValueError:
        return False


def _is_local_name(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    return name == "localhost" or _is_loopback(name)


def _refused(code: str, detail: str) -> web.Response:
    return _error(HTTPStatus.BAD_REQUEST, code, detail)


def _error(status: HTTPStatus, code: str, detail: str) -> web.Response:
    return web.json_response({"error": code, "detail": detail}, status=status)
