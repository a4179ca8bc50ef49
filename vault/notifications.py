"""Notifications from the gateway: verified, bound to a payment, recorded once.

It refuses to know HTTP. Invariants: nothing of a body is read before its signature verifies over the path that the
vault gave the gateway; an unknown payment is kept as an orphan and alarmed; what was recorded before is acknowledged
again (design section 3; antom-api.md 1.7).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from vault.audit.events import ActorKind, Event, EventType, Origin, Outcome
from vault.db import Database
from vault.directory import Account, Directory
from vault.errors import InvalidJson, NotFound, NotificationInvalid
from vault.gateway.errors import SignatureInvalid
from vault.gateway.evidence import read_capture_notification, read_payment_notification, result_of
from vault.gateway.json_text import json_object
from vault.gateway.signing import string_to_sign, verify
from vault.logs import alarm, get_logger
from vault.payments.recording import Recorder
from vault.store import alarms, audit, payments

_log = get_logger(__name__)
_LONGEST_ID: Final = 64


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came: headers that matter, the raw body, and from where."""

    client_id: str | None
    time: str | None
    signature: str | None
    body: bytes
    address: str
    request_id: str


class Notifications:
    """The service behind `/v1/gateway/notifications/{merchantId}`."""

    def __init__(self, database: Database, directory: Directory, recorder: Recorder, public_url: str) -> None:
        self._database = database
        self._directory = directory
        self._recorder = recorder
        self._path = urlsplit(public_url).path.rstrip("/")

    async def receive(self, merchant_id: str, message: Message) -> None:
        """Verify and record; returns once it is committed. Raises `NotificationInvalid` or `InvalidJson`."""
        origin = Origin(ActorKind.GATEWAY, address=message.address, request_id=message.request_id)
        try:
            account = await self._directory.account(merchant_id, origin)
        except NotFound:
            await self._refuse("", "merchant_unknown", origin)
        await self._verify(account, message, origin)
        origin = replace(origin, actor_id=account.credentials.client_id)
        body = json_object(message.body)
        if body is None:
            raise InvalidJson
        match body.get("notifyType"):
            case "PAYMENT_RESULT" | "PAYMENT_PENDING":
                await self._payment(account, body, origin)
            case "CAPTURE_RESULT":
                await self._capture(account, body, origin)
            case _:
                await self._orphan(account, body, origin, "notification_unknown_type")

    async def _verify(self, account: Account, message: Message, origin: Origin) -> None:
        client_id = account.credentials.client_id
        reason = "client_id_mismatch"
        if message.client_id == client_id and message.time is not None:
            path = f"{self._path}/v1/gateway/notifications/{account.merchant.id}"
            signed = string_to_sign("POST", path, client_id=client_id, time=message.time, body=message.body)
            try:
                verify(account.credentials.public_keys, message.signature, signed)
            except SignatureInvalid as error:
                reason = error.fault.value
            else:
                return
        await self._refuse(account.merchant.id, reason, origin)

    async def _refuse(self, merchant_id: str, reason: str, origin: Origin) -> NoReturn:
        """Refuse without saying why, nor whether there is such a merchant."""
        event = Event(EventType.ACCESS_DENIED, origin, merchant_id, (), Outcome.DENIED, f"notification_{reason}")
        async with self._database.session() as session:
            await audit.append(session, event)
        _log.warning("notification.refused", merchant_id=merchant_id, reason=reason)
        raise NotificationInvalid

    async def _payment(self, account: Account, body: Mapping[str, Any], origin: Origin) -> None:
        request_id = body.get("paymentRequestId")
        payment = None
        if isinstance(request_id, str) and len(request_id) <= _LONGEST_ID:
            async with self._database.session() as session:
                payment = await payments.find_by_request(session, account.merchant.id, request_id)
        if payment is None:
            await self._orphan(account, body, origin, "notification_orphan")
            return
        await self._recorder.record(payment, read_payment_notification(body, payment), origin)

    async def _capture(self, account: Account, body: Mapping[str, Any], origin: Origin) -> None:
        gateway_id = body.get("paymentId")
        payment = None
        if isinstance(gateway_id, str) and len(gateway_id) <= _LONGEST_ID:
            async with self._database.session() as session:
                payment = await payments.find_by_gateway_id(session, account.merchant.id, gateway_id)
        evidence = read_capture_notification(body, payment) if payment else None
        if payment is None or evidence is None:
            await self._orphan(account, body, origin, "notification_orphan")
            return
        await self._recorder.record(payment, evidence, origin)

    async def _orphan(self, account: Account, body: Mapping[str, Any], origin: Origin, code: str) -> None:
        named = next((body[name] for name in ("paymentRequestId", "paymentId") if isinstance(body.get(name), str)), "")
        object_id = f"{account.merchant.id}:{named[:_LONGEST_ID]}"
        result = result_of(body)
        details = {"result": result.code if result else None, "type": str(body.get("notifyType"))[:_LONGEST_ID]}
        async with self._database.session() as session:
            if await alarms.raise_alarm(session, origin, account.merchant.id, code, object_id, details):
                alarm(_log, code, merchant_id=account.merchant.id)
