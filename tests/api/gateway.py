"""The gateway as a test wants it: signed notifications with any content, and a puppet that answers as it is told.

Signs with the key that the sandbox of the installation signs with, so that the vault cannot tell them apart.
"""

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from ops.sandbox.signing import keep_private_key, signature_header, string_to_sign
from tests.installation import Blueprint, Installation, Tenant
from tests.serving import on_a_free_port

Json = dict[str, Any]
ANSWERED_AT: Final = "2026-01-05T10:00:00Z"
SUCCESS: Final[Json] = {"resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success"}
IN_PROCESS: Final[Json] = {"resultCode": "PAYMENT_IN_PROCESS", "resultStatus": "U", "resultMessage": "in process"}
UNKNOWN_ORDER: Final[Json] = {"result": {"resultCode": "ORDER_NOT_EXIST", "resultStatus": "F", "resultMessage": ""}}
TOKEN: Final = "ALIPAYq3+demo/tok=="


def failure(code: str) -> Json:
    """Give the result of a decline."""
    return {"resultCode": code, "resultStatus": "F", "resultMessage": "declined"}


@dataclass(slots=True)
class Courier:
    """Brings notifications to one merchant's address."""

    vault: Installation
    tenant: Tenant
    key: rsa.RSAPrivateKey

    @property
    def path(self) -> str:
        return f"/v1/gateway/notifications/{self.tenant.merchant_id}"

    def headers(self, raw: bytes, **changes: str) -> dict[str, str]:
        """Sign; `path`, `client` and `time` are signed as given."""
        client, time = changes.get("client", self.tenant.gateway_client_id), changes.get("time", ANSWERED_AT)
        message = string_to_sign(
            method="POST", target=changes.get("path", self.path), client_id=client, time=time, body=raw
        )
        return {"client-id": client, "request-time": time, "signature": signature_header(self.key, message)}

    async def bring(self, body: Json) -> httpx2.Response:
        """Deliver a notification as the gateway would."""
        raw = json.dumps(body).encode()
        return await self.bring_raw(raw, self.headers(raw))

    async def bring_raw(self, raw: bytes, headers: dict[str, str], path: str | None = None) -> httpx2.Response:
        """Deliver bytes with headers."""
        async with httpx2.AsyncClient(verify=False, base_url=self.vault.api.base_url) as client:
            return await client.post(
                path or self.path, content=raw, headers={"content-type": "application/json"} | headers
            )


def courier(vault: Installation, blueprint: Blueprint, tenant: int = 0) -> Courier:
    """Give the courier to a merchant of the installation."""
    return Courier(vault, vault.tenants[tenant], keep_private_key(blueprint.folder / "gateway.pem"))


def told(view: Json, result: Json = SUCCESS, **changes: Any) -> Json:
    """Give the notification about a payment that the vault shows as `view`; None takes a field out."""
    body = {
        "notifyType": "PAYMENT_RESULT",
        "result": result,
        "paymentRequestId": view["paymentRequestId"],
        "paymentId": view["gateway"]["paymentId"] or "20260105101",
        "paymentAmount": view["paymentAmount"],
        "paymentCreateTime": ANSWERED_AT,
    } | changes
    return {name: value for name, value in body.items() if value is not None}


@dataclass(slots=True)
class Puppet:
    """A gateway that gives the next answer of a list, and then the last one again and again."""

    key: rsa.RSAPrivateKey
    url: str = ""
    answers: dict[str, list[Json]] = field(default_factory=lambda: defaultdict(list))
    asked: list[tuple[str, Json]] = field(default_factory=list)
    parents: list[str] = field(default_factory=list)

    def says(self, operation: str, *answers: Json) -> None:
        """Prepare answers to an operation."""
        self.answers[operation] = list(answers)

    def count(self, operation: str) -> int:
        """Count the calls of an operation."""
        return sum(name == operation for name, _ in self.asked)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a call, signed; text in place of an object goes out as it is."""
        operation, client = request.path.rpartition("/")[2], request.headers["client-id"]
        asked = await request.json()
        self.asked.append((operation, asked))
        self.parents.append(request.headers.get("traceparent", ""))
        prepared = self.answers[operation]
        chosen = prepared.pop(0) if len(prepared) > 1 else prepared[0]
        echoed = {"paymentRequestId": asked.get("paymentRequestId"), "paymentId": "20260105101"}
        amount = {"paymentAmount": asked["paymentAmount"]} if "paymentAmount" in asked else {}
        body = {name: value for name, value in (echoed | amount | chosen).items() if value is not None}
        raw = json.dumps(body).encode()
        message = string_to_sign(method="POST", target=request.path, client_id=client, time=ANSWERED_AT, body=raw)
        headers = {"client-id": client, "response-time": ANSWERED_AT, "signature": signature_header(self.key, message)}
        return web.Response(body=raw, headers=headers, content_type="application/json")


@asynccontextmanager
async def puppet_gateway(folder: Path) -> AsyncIterator[Puppet]:
    """Serve a puppet on a free port."""
    puppet = Puppet(keep_private_key(folder / "gateway.pem"))
    async with on_a_free_port(puppet.answer) as puppet.url:
        yield puppet
