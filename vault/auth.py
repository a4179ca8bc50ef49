"""Who calls: API keys become principals, and principals may do what their scopes say.

It refuses to know routes. Invariants: deny by default (controls.md ACC-1); a revoked or expired key stops working
within two seconds in every process; an unknown key costs what a known one costs.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from ipaddress import ip_network
from typing import Final, LiteralString

from keys.keyring import Keyring, Label, Purpose
from keys.lru import Lru
from vault.access_errors import AddressNotAllowed, CertificateNotAllowed, MerchantDisabled
from vault.api_secret import ApiSecret, ApiSecretInvalid
from vault.audit.events import ActorKind, Origin
from vault.db import Database
from vault.errors import Forbidden, Unauthenticated, VaultError
from vault.reachable import within
from vault.rules.limits import Overrides
from vault.store import merchants
from vault.store.merchants import Presented

_HOW_TO_SEND: Final[LiteralString] = "Send the API key as `Authorization: Bearer cv_…`."
_FRESH_SECONDS: Final = 2.0
_CACHED_KEYS: Final = 10_000
_CACHE_KEY_BYTES: Final = 32


class Scope(StrEnum):
    """What an API client may be allowed to do (design section 4)."""

    CARDS_READ = "cards:read"
    CARDS_WRITE = "cards:write"
    PAYMENTS_READ = "payments:read"
    PAYMENTS_WRITE = "payments:write"
    REFUNDS_WRITE = "refunds:write"
    MANDATES_READ = "mandates:read"
    MANDATES_WRITE = "mandates:write"
    MIT_WRITE = "mit:write"
    WEBHOOKS_WRITE = "webhooks:write"
    EVENTS_READ = "events:read"
    AUDIT_READ = "audit:read"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated API client in one request."""

    merchant_id: str
    client_id: str
    scopes: frozenset[str]
    origin: Origin
    limits: Overrides = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a call comes from: its address, and the SHA-256 of the certificate that TLS verified, if there was one."""

    address: str
    certificate: bytes | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A request that may not go on: the answer, and who it was, as far as is known."""

    error: VaultError
    reason: str
    merchant_id: str
    origin: Origin


class Authenticator:
    """Finds the client of an API key and checks what it may do."""

    def __init__(self, database: Database, keyring: Keyring, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock
        # By a hash that only this process can make: it says nothing about a key to who reads the memory.
        self._cache: Lru[bytes, tuple[float, Presented]] = Lru(_CACHED_KEYS)
        self._cache_key = os.urandom(_CACHE_KEY_BYTES)

    async def admit(
        self,
        authorization: str | None,
        scopes: frozenset[Scope],
        place: Place,
        request_id: str,
    ) -> Caller | Refused:
        """Say who calls, or why the call is refused; only a `Caller` may go on."""
        presented = await self._presented(authorization)
        if presented is None:
            anonymous = Origin(ActorKind.ANONYMOUS, address=place.address, request_id=request_id)
            detail = None if (authorization or "").lower().startswith("bearer ") else _HOW_TO_SEND
            return Refused(Unauthenticated(detail), "unknown_key", "", anonymous)
        client = presented.client
        origin = Origin(ActorKind.CLIENT, client.id, address=place.address, request_id=request_id)
        refusal = _refusal(presented, scopes, place)
        if refusal is not None:
            error, reason = refusal
            return Refused(error, reason, client.merchant_id, origin)
        return Caller(client.merchant_id, client.id, frozenset(client.scopes), origin, client.limits)

    async def _presented(self, authorization: str | None) -> Presented | None:
        kind, _, text = (authorization or "").partition(" ")
        if kind.lower() != "bearer":
            return None
        place = blake2b(text.encode(), key=self._cache_key).digest()
        cached = self._cache.get(place)
        if cached is not None and self._clock() - cached[0] < _FRESH_SECONDS:
            return cached[1]
        try:
            secret = ApiSecret.parse(text.strip())
        except ApiSecretInvalid:
            return None
        presented = await self._found(secret)
        if presented is not None:
            self._cache.put(place, (self._clock(), presented))
        return presented

    async def _found(self, secret: ApiSecret) -> Presented | None:
        """Look a secret up under every version of the installation's key, also one that is new to this process."""
        while True:
            digests = await self._keyring.digests("", Label.API_SECRET, secret.reveal().encode())
            async with self._database.session() as session:
                presented, active = await merchants.present(session, digests)
            if presented is not None or active == digests[0].key_id:
                return presented
            self._keyring.forget("", Purpose.FINGERPRINT, digests[0].key_id)


def _refusal(presented: Presented, scopes: frozenset[Scope], place: Place) -> tuple[VaultError, str] | None:
    if not presented.live:
        return Unauthenticated(), "expired_or_revoked"
    if not presented.merchant_active:
        return MerchantDisabled(), "merchant_disabled"
    if presented.client.cidrs and not _inside(place.address, presented.client.cidrs):
        return AddressNotAllowed(), "address_not_allowed"
    if presented.client.certificates and place.certificate not in presented.client.certificates:
        return CertificateNotAllowed(), "certificate_not_allowed"
    if not scopes.issubset(presented.client.scopes):
        return Forbidden(), "scope_missing"
    return None


def _inside(address: str, cidrs: tuple[str, ...]) -> bool:
    return within(address, [ip_network(cidr) for cidr in cidrs])
