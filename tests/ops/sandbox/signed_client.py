"""A signed client of the gateway and a merchant that receives its notifications, written for the tests alone."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Self
from urllib.parse import quote, unquote

import aiohttp
from aiohttp import web
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from yarl import URL

from tests.serving import running

PAY = "/ams/api/v1/payments/pay"
INQUIRE = "/ams/api/v1/payments/inquiryPayment"
CANCEL = "/ams/api/v1/payments/cancel"
CAPTURE = "/ams/api/v1/payments/capture"
REFUND = "/ams/api/v1/payments/refund"
INQUIRE_REFUND = "/ams/api/v1/payments/inquiryRefund"
SESSION = "/ams/api/v1/payments/createPaymentSession"
VAULT = "/ams/api/v1/vaults/vaultPaymentMethod"
VAULT_SESSION = "/ams/api/v1/vaults/createVaultingSession"
INQUIRE_VAULTING = "/ams/api/v1/vaults/inquireVaulting"
DELETE_TOKEN = "/ams/api/v1/vaults/deleteToken"
VISA = "4111111111111111"
ACKNOWLEDGEMENT = {"result": {"resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success"}}


def public_text(key: rsa.RSAPrivateKey) -> str:
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(der).decode()


def sign(key: rsa.RSAPrivateKey, message: bytes) -> str:
    raw = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return "algorithm=RSA256,keyVersion=1,signature=" + quote(base64.b64encode(raw).decode(), safe="")


def verify(public_key: str, header: str, message: bytes) -> None:
    names, values = zip(*(item.split("=") for item in header.split(",")), strict=True)
    assert names == ("algorithm", "keyVersion", "signature")
    assert values[0] == "RSA256"
    key = serialization.load_der_public_key(base64.b64decode(public_key))
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(base64.b64decode(unquote(values[2]), validate=True), message, padding.PKCS1v15(), hashes.SHA256())


def message_of(path: str, client_id: str, moment: str, body: bytes) -> bytes:
    return b"POST " + path.encode() + b"\n" + client_id.encode() + b"." + moment.encode() + b"." + body


@dataclass(frozen=True)
class Answer:
    status: int
    headers: list[tuple[str, str]]
    raw: bytes

    @property
    def json(self) -> dict[str, Any]:
        parsed = json.loads(self.raw)
        assert isinstance(parsed, dict)
        return parsed

    @property
    def result(self) -> tuple[str, str]:
        verdict = self.json["result"]
        return verdict["resultStatus"], verdict["resultCode"]

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


@dataclass
class Gateway:
    """A client that signs requests and, unless told otherwise, insists on a signed answer."""

    url: str
    key: rsa.RSAPrivateKey
    client_id: str
    session: aiohttp.ClientSession
    gateway_key: str = ""

    async def register(self) -> Self:
        body = {"clientId": self.client_id, "publicKey": public_text(self.key)}
        async with self.session.post(f"{self.url}/_sandbox/clients", json=body) as answer:
            assert answer.status == 200
            self.gateway_key = (await answer.json())["gatewayPublicKey"]
        return self

    def headers(self, path: str, body: bytes, moment: str | None = None) -> dict[str, str]:
        moment = moment or str(int(time.time() * 1000))
        return {
            "Content-Type": "application/json; charset=UTF-8",
            "client-id": self.client_id,
            "Request-Time": moment,
            "Signature": sign(self.key, message_of(path, self.client_id, moment, body)),
        }

    async def send(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        headers = self.headers(path, body) if headers is None else headers
        async with self.session.post(URL(self.url + path, encoded=True), data=BytesIO(body), headers=headers) as answer:
            pairs = [(name.decode(), value.decode()) for name, value in answer.raw_headers]
            return Answer(answer.status, pairs, await answer.read())

    async def call(self, path: str, body: dict[str, Any]) -> Answer:
        answer = await self.send(path, json.dumps(body).encode())
        assert answer.status == 200
        assert answer.header("client-id") == self.client_id
        self.verify(path, answer)
        return answer

    def verify(self, path: str, answer: Answer) -> None:
        signature, moment = answer.header("signature"), answer.header("response-time")
        assert signature is not None
        assert moment is not None
        verify(self.gateway_key, signature, message_of(path, self.client_id, moment, answer.raw))

    async def pay(self, request_id: str, **changes: Any) -> Answer:
        return await self.call(PAY, payment(request_id, **changes))

    async def inquire(self, request_id: str) -> Answer:
        return await self.call(INQUIRE, {"paymentRequestId": request_id})

    async def cancel(self, request_id: str) -> Answer:
        return await self.call(CANCEL, {"paymentRequestId": request_id})

    async def capture(self, payment_id: str, request_id: str, value: str = "1000", **changes: Any) -> Answer:
        return await self.call(CAPTURE, movement("capture", payment_id, request_id, value, **changes))

    async def refund(self, payment_id: str, request_id: str, value: str = "400", **changes: Any) -> Answer:
        return await self.call(REFUND, movement("refund", payment_id, request_id, value, **changes))

    async def inquire_refund(self, request_id: str) -> Answer:
        return await self.call(INQUIRE_REFUND, {"refundRequestId": request_id})

    async def arm(self, request_id: str, scenario: str) -> None:
        body = {"paymentRequestId": request_id, "scenario": scenario}
        async with self.session.post(f"{self.url}/_sandbox/scenarios", json=body) as answer:
            assert answer.status == 200, await answer.text()

    async def ledger(self, request_id: str | None = None) -> list[dict[str, Any]]:
        async with self.session.get(f"{self.url}/_sandbox/ledger") as answer:
            rows: list[dict[str, Any]] = await answer.json()
        return [row for row in rows if request_id in (None, row["paymentRequestId"])]

    async def requests(self, request_id: str) -> list[dict[str, Any]]:
        url = f"{self.url}/_sandbox/requests"
        async with self.session.get(url, params={"paymentRequestId": request_id}) as answer:
            received: list[dict[str, Any]] = await answer.json()
        return received

    async def complete(self, url: str, outcome: str) -> aiohttp.ClientResponse:
        answer = await self.session.post(url, data={"outcome": outcome}, allow_redirects=False)
        await answer.read()
        return answer

    async def type_card(self, url: str, **form: str) -> aiohttp.ClientResponse:
        """Do on the page what a buyer does, with a card unless told otherwise."""
        fields = {"cardNo": VISA, "cvv": "737", "expiryMonth": "03", "expiryYear": "40"} | form
        answer = await self.session.post(url, data=fields, allow_redirects=False)
        await answer.read()
        return answer


def payment(request_id: str, **changes: Any) -> dict[str, Any]:
    """Build a pay request; keyword `metadata` changes the card's metadata, `method` the payment method."""
    metadata = {
        "cardNo": VISA,
        "cvv": "737",
        "expiryMonth": "03",
        "expiryYear": "40",
        "cardholderName": {"firstName": "Ana", "lastName": "Lopes"},
        **changes.pop("metadata", {}),
    }
    method = {"paymentMethodType": "CARD", "paymentMethodMetaData": metadata, **changes.pop("method", {})}
    body = {
        "productCode": "CASHIER_PAYMENT",
        "paymentRequestId": request_id,
        "paymentAmount": {"currency": "EUR", "value": "2590"},
        "order": {
            "referenceOrderId": "o-1",
            "orderDescription": "two books",
            "orderAmount": {"currency": "EUR", "value": "2590"},
            "buyer": {"referenceBuyerId": "b-77"},
        },
        "env": {"terminalType": "WEB", "clientIp": "203.0.113.9"},
        "paymentFactor": {"isAuthorization": True, "captureMode": "MANUAL"},
        "paymentMethod": method,
        "paymentRedirectUrl": "https://shop.example/back?order=1",
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def movement(word: str, payment_id: str, request_id: str, value: str, **changes: Any) -> dict[str, Any]:
    """Build a capture or refund request."""
    body = {
        f"{word}RequestId": request_id,
        "paymentId": payment_id,
        f"{word}Amount": {"currency": "EUR", "value": value},
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def without_card(**metadata: Any) -> dict[str, Any]:
    """Give a payment method for which the buyer types a card on the gateway's page."""
    return {"paymentMethod": {"paymentMethodType": "CARD", "paymentMethodMetaData": metadata}}


def vaulting(request_id: str, notify_url: str = "https://shop.example/hooks", **changes: Any) -> dict[str, Any]:
    """Build a vaultPaymentMethod request; keyword `card` changes the card."""
    card = {"cardNo": VISA, "cvv": "737", "expiryMonth": "03", "expiryYear": "40", **changes.pop("card", {})}
    return {
        "vaultingRequestId": request_id,
        "vaultingNotificationUrl": notify_url,
        "redirectUrl": "https://shop.example/back?card=1",
        "env": {"terminalType": "WEB"},
        "paymentMethodDetail": {"paymentMethodType": "CARD", "card": card},
        **changes,
    }


def token_method(token: str, **metadata: Any) -> dict[str, Any]:
    return {"paymentMethodId": token, "paymentMethodMetaData": {"isCardOnFile": True, **metadata}}


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> dict[str, Any]:
        parsed = json.loads(self.raw)
        assert isinstance(parsed, dict)
        return parsed


@dataclass
class Merchant:
    """A merchant's notification endpoint; `answer` decides what each notification is met with."""

    received: list[Received] = field(default_factory=list)
    answer: Callable[[int], web.Response] = lambda _: web.json_response(ACKNOWLEDGEMENT)
    delay: float = 0.0
    url: str = ""
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _running: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/hooks/antom", self._take)
        url = await self._running.enter_async_context(running(app, patience=0.2))
        self.url = f"{url}/hooks/antom?p=1&q=%2F"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._running.aclose()

    async def _take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.received.append(Received(request.raw_path, headers, await request.read()))
        place = len(self.received)
        async with self.arrived:
            self.arrived.notify_all()
        await asyncio.sleep(self.delay)
        return self.answer(place)

    async def wait_for(self, count: int) -> list[Received]:
        """Wait until so many notifications came."""
        async with asyncio.timeout(20), self.arrived:
            await self.arrived.wait_for(lambda: len(self.received) >= count)
        return self.received

    def kinds(self) -> list[tuple[str, str]]:
        return [(item.json["notifyType"], item.json["result"]["resultCode"]) for item in self.received]
