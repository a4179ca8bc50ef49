"""Webhook endpoints: add one, list, end, test, give it a new signing secret; what was delivered, and sending again.

It refuses to know HTTP, SQL and the network; what is delivered when is the worker's. Invariants: a secret is given back
once, when it is made; every change is on record; an endpoint is told of what happens after it was added (design section
4, controls.md WHK-1, WHK-4).
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Final, TypeVar
from urllib.parse import urlsplit

from keys.keyring import Envelope, Keyring, Location, Purpose
from vault.audit.events import Event, EventType
from vault.auth import Caller
from vault.db import Database, Transaction
from vault.errors import FieldCode, FieldProblem, NotFound, Overloaded
from vault.ids import Prefix, id_of, new_id, uuid_of
from vault.reachable import Network, reachable
from vault.setting_kinds import is_loopback
from vault.store import audit, deliveries, events, webhooks
from vault.store.cards import Page
from vault.webhook import Delivery, DeliveryStatus, Endpoint, EndpointStatus, WebhookSecret, new_key
from vault.webhook_errors import EndpointDisabled, TooManyEndpoints, WebhookUrlRefused
from vault.wire.webhooks import EndpointRequest

T = TypeVar("T")

_REPEATS: Final = 4
_MOST: Final = 16
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Rotated:
    """An endpoint's new secret, and when the one before it ends."""

    secret: WebhookSecret
    previous_ends: datetime | None


def secret_location(merchant_id: str, secret_id: str) -> Location:
    """Say where a signing secret is stored."""
    return Location(merchant_id, "webhook_secret", secret_id, "envelope")


def check_url(url: str, allowed: Sequence[Network]) -> None:
    """Raise `WebhookUrlRefused` for a URL to which nothing would ever be sent; names are resolved at each attempt."""
    if not _is_sendable(url, allowed):
        raise WebhookUrlRefused(errors=[FieldProblem("/url", FieldCode.INVALID_VALUE)])


def _is_sendable(url: str, allowed: Sequence[Network]) -> bool:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if port == 0 or parts.username is not None or parts.password is not None or parts.fragment:
        return False
    if is_loopback(url):
        return reachable(_LOOPBACK if host == "localhost" else host, allowed)
    return bool(host) and parts.scheme == "https" and (reachable(host, allowed) or not _is_literal(host))


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return host.replace(".", "").isdigit()
    return True


class _KeyRetired(Exception):
    """The key that a secret was sealed with is no longer active: seal again."""


class Webhooks:
    """The service behind `/v1/webhook-endpoints`."""

    def __init__(self, database: Database, keyring: Keyring, networks: Sequence[Network]) -> None:
        """Take the networks that may be reached although they are not public."""
        self._database = database
        self._keyring = keyring
        self._networks = networks

    async def add(self, caller: Caller, request: EndpointRequest) -> tuple[Endpoint, WebhookSecret]:
        """Add an endpoint and give it with its secret; raises `WebhookUrlRefused` and `TooManyEndpoints`."""
        check_url(request.url, self._networks)
        endpoint_id = new_id(Prefix.WEBHOOK_ENDPOINT)

        async def write(transaction: Transaction) -> Endpoint:
            await webhooks.lock_all(transaction, caller.merchant_id)
            if len(await webhooks.listed(transaction, caller.merchant_id)) >= _MOST:
                raise TooManyEndpoints
            await _record(transaction, caller, EventType.ENDPOINT_CREATED, endpoint_id)
            types = request.event_types or ()
            return await webhooks.insert(transaction, caller.merchant_id, endpoint_id, request.url, types)

        return await self._with_new_secret(caller.merchant_id, endpoint_id, write)

    async def rotate(self, caller: Caller, endpoint_id: str, overlap_seconds: float) -> Rotated:
        """Give an endpoint a new secret, beside which the one before goes on for the overlap.

        Raises `NotFound` and `EndpointDisabled`.
        """

        async def write(transaction: Transaction) -> datetime | None:
            endpoint = await self._locked(transaction, caller, endpoint_id)
            await _record(transaction, caller, EventType.WEBHOOK_SECRET_ROTATED, endpoint_id)
            return await webhooks.expire_secrets(transaction, endpoint, overlap_seconds)

        ends, secret = await self._with_new_secret(caller.merchant_id, endpoint_id, write)
        return Rotated(secret, ends)

    async def _with_new_secret(
        self, merchant_id: str, endpoint_id: str, write: Callable[[Transaction], Awaitable[T]]
    ) -> tuple[T, WebhookSecret]:
        """Write something and a fresh secret of an endpoint in one transaction."""
        key = new_key()
        for _ in range(_REPEATS):
            secret_id = new_id(Prefix.WEBHOOK_SECRET)
            location = secret_location(merchant_id, secret_id)
            envelope = await self._keyring.seal(Purpose.CREDENTIAL, key, location)
            try:
                async with self._database.transaction() as transaction:
                    written = await write(transaction)
                    await _put_secret(transaction, (merchant_id, endpoint_id), secret_id, envelope)
            except _KeyRetired:
                self._keyring.forget(merchant_id, Purpose.CREDENTIAL, envelope.key_id)
                continue
            return written, WebhookSecret.of(key.reveal())
        raise Overloaded

    async def listed(self, caller: Caller) -> list[Endpoint]:
        """Give the merchant's endpoints, oldest first."""
        async with self._database.session() as session:
            return await webhooks.listed(session, caller.merchant_id)

    async def get(self, caller: Caller, endpoint_id: str) -> Endpoint:
        """Give an endpoint; raises `NotFound`, also for another merchant's."""
        async with self._database.session() as session:
            endpoint = await webhooks.find(session, caller.merchant_id, endpoint_id)
        if endpoint is None:
            raise NotFound
        return endpoint

    async def delete(self, caller: Caller, endpoint_id: str) -> None:
        """End an endpoint for good, with what waits for it and its secrets; raises `NotFound`."""
        async with self._database.transaction() as transaction:
            endpoint = await webhooks.lock(transaction, caller.merchant_id, endpoint_id)
            if endpoint is None:
                raise NotFound
            await webhooks.end(transaction, endpoint, EndpointStatus.DELETED)
            await _record(transaction, caller, EventType.ENDPOINT_DELETED, endpoint_id)

    async def test(self, caller: Caller, endpoint_id: str) -> str:
        """Send an endpoint a test event, and give its id; raises `NotFound` and `EndpointDisabled`."""
        async with self._database.transaction() as transaction:
            endpoint = await self._locked(transaction, caller, endpoint_id)
            await _record(transaction, caller, EventType.ENDPOINT_TESTED, endpoint_id)
            return id_of(Prefix.EVENT, await webhooks.test(transaction, endpoint))

    async def deliveries(
        self, caller: Caller, endpoint_id: str, status: DeliveryStatus | None, page: Page
    ) -> list[Delivery]:
        """Give what was or will be delivered to an endpoint, newest event first; raises `NotFound`."""
        await self.get(caller, endpoint_id)
        async with self._database.session() as session:
            return await deliveries.listed(session, (caller.merchant_id, endpoint_id), status, page)

    async def redeliver(self, caller: Caller, event_id: str, endpoint_id: str | None) -> list[str]:
        """Send an event again, to one endpoint or to all active ones, whatever became of it before; gives their ids.

        Raises `NotFound` for the event or the endpoint, and `EndpointDisabled`.
        """
        uuid = uuid_of(Prefix.EVENT, event_id)
        async with self._database.transaction() as transaction:
            if uuid is None or await events.find(transaction, caller.merchant_id, uuid) is None:
                raise NotFound
            if endpoint_id is not None:
                await self._locked(transaction, caller, endpoint_id)
            sent_to = await deliveries.again(transaction, caller.merchant_id, uuid, endpoint_id)
            await _record(transaction, caller, EventType.EVENT_REDELIVERED, event_id, *sent_to)
        return sent_to

    @staticmethod
    async def _locked(transaction: Transaction, caller: Caller, endpoint_id: str) -> Endpoint:
        endpoint = await webhooks.lock(transaction, caller.merchant_id, endpoint_id)
        if endpoint is None:
            raise NotFound
        if endpoint.status is EndpointStatus.DISABLED:
            raise EndpointDisabled
        return endpoint


async def _record(transaction: Transaction, caller: Caller, kind: EventType, *objects: str) -> None:
    await audit.append(transaction, Event(kind, caller.origin, caller.merchant_id, objects))


async def _put_secret(transaction: Transaction, endpoint: tuple[str, str], secret_id: str, envelope: Envelope) -> None:
    if not await webhooks.put_secret(transaction, endpoint, secret_id, envelope):
        raise _KeyRetired
