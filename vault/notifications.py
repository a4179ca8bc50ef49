"""Notifications from the gateway: verified, bound to a payment or a vaulting, recorded once.

It refuses to know HTTP. Invariants: nothing of a body is read before its signature verifies over the path that the
vault gave the gateway; an unknown payment is kept as an orphan and alarmed, with patience where it may only have come
too early; what was recorded before is acknowledged again (design section 3; antom-api.md 1.7).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

from vault.audit.events import ActorKind, Event, EventType, Origin, Outcome
from vault.db import Database, Session
from vault.denials import Denials
from vault.directory import Account, Directory
from vault.errors import InvalidJson, NotFound, NotificationInvalid
from vault.gateway.errors import SignatureInvalid
from vault.gateway.evidence import read_payment_notification
from vault.gateway.json_text import json_object
from vault.gateway.movement_evidence import read_movement_notification
from vault.gateway.signing import string_to_sign, verify
from vault.gateway.values import result_of, text
from vault.gateway.vaulting_evidence import read_vaulting_notification
from vault.logs import alarm, get_logger
from vault.movement import MovementKind, MovementSeen
from vault.payment import Evidence, Payment, Source
from vault.payments.recording import Recorder
from vault.store import alarms, movements, orphans, payments, vaultings
from vault.vaultings.recording import VaultingRecorder

_log = get_logger(__name__)
_LONGEST_ID: Final = 64
_NAMING: Final = ("paymentRequestId", "paymentId", "refundRequestId", "vaultingRequestId")


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

    def __init__(
        self,
        database: Database,
        directory: Directory,
        recorder: Recorder,
        vaultings_recorder: VaultingRecorder,
        denials: Denials,
        public_url: str,
    ) -> None:
        self._database = database
        self._denials = denials
        self._directory = directory
        self._recorder = recorder
        self._vaultings_recorder = vaultings_recorder
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
                await self._moved(account, body, MovementKind.CAPTURE, origin)
            case "REFUND_RESULT":
                await self._moved(account, body, MovementKind.REFUND, origin)
            case _ if "vaultingRequestId" in body:
                await self._vaulting(account, body, origin)
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
        await self._denials.record(event)
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

    async def _vaulting(self, account: Account, body: Mapping[str, Any], origin: Origin) -> None:
        """Record the outcome of a vaulting; its messages are known by the id alone (antom-api.md 1.7)."""
        request_id, vaulting = text(body["vaultingRequestId"], _LONGEST_ID), None
        if request_id is not None:
            async with self._database.session() as session:
                vaulting = await vaultings.find_by_request(session, account.merchant.id, request_id)
        if vaulting is None:
            await self._orphan(account, body, origin, "notification_orphan")
            return
        await self._vaultings_recorder.record(vaulting, read_vaulting_notification(body, vaulting), origin)

    async def _moved(self, account: Account, body: Mapping[str, Any], kind: MovementKind, origin: Origin) -> None:
        """Record a capture or refund; a capture whose payment is not known may only have come before it."""
        gateway_id, seen = text(body.get("paymentId"), _LONGEST_ID), read_movement_notification(body, kind)
        if seen is None:
            await self._orphan(account, body, origin, "notification_orphan")
            return
        async with self._database.session() as session:
            payment = await _payment_of(session, account.merchant.id, gateway_id, seen)
            if payment is None and kind is MovementKind.CAPTURE and gateway_id is not None:
                await orphans.keep(session, account.merchant.id, gateway_id, seen)
                return
        if payment is None:
            await self._orphan(account, body, origin, "notification_orphan")
            return
        seen = replace(seen, bound=gateway_id in {None, payment.gateway_payment_id})
        await self._recorder.record(payment, Evidence(Source.NOTIFICATION, None, movements=(seen,)), origin)

    async def _orphan(self, account: Account, body: Mapping[str, Any], origin: Origin, code: str) -> None:
        named = next((body[name] for name in _NAMING if isinstance(body.get(name), str)), "")
        object_id = f"{account.merchant.id}:{named[:_LONGEST_ID]}"
        result = result_of(body)
        details = {"result": result.code if result else None, "type": str(body.get("notifyType"))[:_LONGEST_ID]}
        async with self._database.session() as session:
            if await alarms.raise_alarm(session, origin, account.merchant.id, code, object_id, details):
                alarm(_log, code, merchant_id=account.merchant.id)


async def _payment_of(
    session: Session, merchant_id: str, gateway_payment_id: str | None, seen: MovementSeen
) -> Payment | None:
    """Give the payment that a capture or refund belongs to, by our own record of it or by the gateway's payment id."""
    known = await movements.find_by_request(session, merchant_id, seen.kind, seen.request_id)
    if known is not None:
        return await payments.find(session, merchant_id, known.payment_id)
    if gateway_payment_id is None:
        return None
    return await payments.find_by_gateway_id(session, merchant_id, gateway_payment_id)
