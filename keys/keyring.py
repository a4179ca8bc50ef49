"""The keyring: finds, unwraps, caches and counts data keys, and seals, opens and fingerprints with them.

Refuses to know SQL, transactions and what the values mean. Invariants: a seal is counted before it is made, and no key
is used beyond its limit, at which another takes its place; an envelope is opened with exactly the key it names, never
by trial (CRY-6); an id that is not cached is looked up in the rows before it counts as unknown; the number of plaintext
keys in memory is bounded. One keyring serves one event loop; a forked child starts with nothing reserved.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from keys.datakeys import (
    DataKey,
    KeyRows,
    KeyState,
    NewKey,
    Purpose,
    WrappedKey,
    forks,
    load_data_key,
    new_data_key,
)
from keys.envelope import Cipher, Context, Secret, key_id_of
from keys.errors import CannotOpen, KeyExhausted, KeyUnavailable, KeyUnknown
from keys.fingerprint import Fingerprint, Fingerprinter, Label
from keys.location import Envelope, Location
from keys.lru import Lru
from keys.rootkey import RootKey
from keys.sealed import Plaintext, Sealed
from keys.signing import Signer

__all__ = [
    "DataKey",
    "Envelope",
    "Fingerprint",
    "KeyRows",
    "KeyState",
    "Keyring",
    "Label",
    "Location",
    "NewKey",
    "Purpose",
    "WrappedKey",
    "new_data_key",
]

Reopen: TypeAlias = Callable[[], Awaitable[Mapping[bytes, RootKey]]]

DEFAULT_BLOCK: Final = 4096
DEFAULT_LIMIT: Final = 2**31
DEFAULT_CACHE_SIZE: Final = 2048
_SEALING: Final = frozenset({Purpose.CARD, Purpose.CREDENTIAL})
_KEPT: Final = frozenset({Purpose.FINGERPRINT, Purpose.AUDIT})
_STRIPES: Final = 64
_SUCCESSIONS: Final = 8  # others may use a successor up as well before its turn comes


@dataclass(frozen=True, slots=True)
class _Ring:
    """A merchant's keys of one purpose: the active one, then older ones that are still asked about old values."""

    keys: tuple[DataKey, ...]


class Keyring:
    """All data keys of an installation, under one or more loaded root keys."""

    def __init__(
        self,
        roots: Mapping[bytes, RootKey],
        rows: KeyRows,
        environment: str,
        *,
        block: int = DEFAULT_BLOCK,
        limit: int = DEFAULT_LIMIT,
        cache_size: int = DEFAULT_CACHE_SIZE,
    ) -> None:
        if block < 1 or not 1 <= limit <= DEFAULT_LIMIT:
            raise ValueError("the block starts at 1, the limit lies between 1 and 2^31")
        self._roots = roots
        self._reopen: Reopen | None = None
        self._rows = rows
        self._environment = environment
        self._block = block
        self._limit = limit
        self._keys: Lru[bytes, DataKey] = Lru(cache_size)
        self._rings: Lru[tuple[str, Purpose], _Ring] = Lru(cache_size)
        self._fork = forks.count
        self._locks = [asyncio.Lock() for _ in range(_STRIPES)]

    def learn_roots_from(self, reopen: Reopen) -> None:
        """Name who opens the root keys again when a data key is wrapped by one that came after this keyring."""
        self._reopen = reopen

    async def active(self, merchant_id: str, purpose: Purpose) -> DataKey:
        """Return the key that new values are made with; KeyUnavailable when there is none."""
        return (self._rings.get((merchant_id, purpose)) or await self._find_ring(merchant_id, purpose)).keys[0]

    def successor(self, merchant_id: str, purpose: Purpose) -> NewKey:
        """Generate a key to take the place of an active one, wrapped under the newest root key."""
        root = max(self._roots.values(), key=lambda one: one.version)
        return new_data_key(root, merchant_id, purpose, self._environment)

    def forget(self, merchant_id: str, purpose: Purpose, used: bytes | None = None) -> None:
        """Drop what is cached of a merchant's keys, after a statement found the key no longer active.

        With `used`, the id of the key that was refused, a keyring that has moved on since is left alone. Until
        forgotten or evicted, a key stays in memory whatever becomes of its row.
        """
        ring = self._rings.get((merchant_id, purpose))
        if ring is None or (used is not None and used != ring.keys[0].key_id):
            return
        self._rings.drop((merchant_id, purpose))
        for key in ring.keys:
            self._keys.drop(key.key_id)

    def forget_merchant(self, merchant_id: str) -> None:
        """Drop what is cached of a merchant's keys of every purpose, after a statement found one no longer active."""
        for purpose in Purpose:
            self.forget(merchant_id, purpose)

    async def seal(self, purpose: Purpose, plaintext: Secret, location: Location) -> Envelope:
        """Seal under the active key of the location's merchant, once the use is counted.

        A key that may not be used again is replaced first (CRY-2). KeyUnavailable without an active key, KeyExhausted
        when its successors are used up faster than they come, PlaintextTooLarge.
        """
        key = await self._used(purpose, location.merchant_id)
        return Envelope(key.key_id, _cipher(key).seal(plaintext, self._context(location)))

    async def open(self, data: bytes, location: Location) -> Plaintext:
        """Open with the key that the envelope names, whatever its live state.

        CannotOpen for whatever is wrong with envelope or location, KeyUnknown for an id without a row,
        KeyUnavailable for a destroyed key or one whose root key is not loaded.
        """
        return _cipher(await self._key_of(data, location)).open(data, self._context(location))

    async def reseal(self, purpose: Purpose, values: Sequence[tuple[bytes, Location]]) -> list[Envelope | None]:
        """Seal one merchant's envelopes again under its active key, each opened again and compared (KEY-7).

        None for what does not open where it is, or names no key; raises what `seal` does, and KeyUnavailable as `open`.
        """
        found = list[Envelope | None]()
        for data, location in values:
            key = await self._used(purpose, location.merchant_id)
            try:
                older = await self._key_of(data, location)
                found.append(Envelope(key.key_id, _cipher(key).reseal(data, _cipher(older), self._context(location))))
            except (CannotOpen, KeyUnknown):
                found.append(None)
        return found

    async def fingerprints(self, merchant_id: str, value: Sealed[str]) -> list[Fingerprint]:
        """Return the value's digests under every live version of the merchant's key, the active one first."""
        ring = await self._fingerprint_ring(merchant_id)
        return [_fingerprinter(key).digest(Label.PAN, value.reveal().encode()) for key in ring.keys]

    async def digests(self, merchant_id: str, label: Label, message: bytes) -> list[Fingerprint]:
        """Return a message's digests under every live version of the merchant's key, the active one first."""
        ring = await self._fingerprint_ring(merchant_id)
        return [_fingerprinter(key).digest(label, message) for key in ring.keys]

    async def digest(self, merchant_id: str, label: Label, message: bytes, key_id: bytes | None = None) -> Fingerprint:
        """Digest a message under the merchant's active fingerprint key, or under the version that is named.

        KeyUnknown when the named key is not a fingerprint key of this merchant.
        """
        if key_id is None:
            key = await self.active(merchant_id, Purpose.FINGERPRINT)
        else:
            key = self._keys.get(key_id) or await self._find_key(key_id)
        if key.merchant_id != merchant_id:
            raise KeyUnknown
        return _fingerprinter(key).digest(label, message)

    async def signer(self, merchant_id: str, purpose: Purpose) -> Signer:
        """Return the active key of a purpose that signs; KeyUnavailable when there is none."""
        return (await self.signers(merchant_id, purpose))[0]

    async def signers(self, merchant_id: str, purpose: Purpose) -> list[Signer]:
        """Return every key of a purpose that signs or has signed, the active one first; KeyUnavailable without one."""
        ring = self._rings.get((merchant_id, purpose)) or await self._find_ring(merchant_id, purpose)
        return [_signer(key) for key in ring.keys]

    def prospective(self, new: NewKey) -> Signer:
        """Return a key that was generated to sign, before it is inserted."""
        return _signer(load_data_key(self._roots[new.root_key_id], new.row(), self._environment))

    async def _key_of(self, data: bytes, location: Location) -> DataKey:
        key_id = key_id_of(data)
        key = self._keys.get(key_id) or await self._find_key(key_id)
        if key.merchant_id != location.merchant_id:
            raise CannotOpen
        return key

    async def _used(self, purpose: Purpose, merchant_id: str) -> DataKey:
        """Give the key to seal with, one use of it counted."""
        if purpose not in _SEALING:
            raise ValueError("a key of this purpose does not seal")
        key = await self.active(merchant_id, purpose)
        return key if key.usage.take() else await self._reserve(key)

    async def _fingerprint_ring(self, merchant_id: str) -> _Ring:
        pair = (merchant_id, Purpose.FINGERPRINT)
        return self._rings.get(pair) or await self._find_ring(*pair)

    async def _find_ring(self, merchant_id: str, purpose: Purpose) -> _Ring:
        pair = (merchant_id, purpose)
        async with self._lock(pair):
            if (ring := self._rings.get(pair)) is None:
                rows = await self._rows.live(merchant_id, purpose)
                await self._know_roots_of(rows)
                ring = self._load_ring(rows)
                self._rings.put(pair, ring)
            return ring

    def _load_ring(self, rows: Sequence[WrappedKey]) -> _Ring:
        active = [row for row in rows if row.state is KeyState.ACTIVE]
        if not active:
            raise KeyUnavailable
        older = [row for row in rows if row.purpose in _KEPT and row.state is not KeyState.ACTIVE]
        return _Ring(tuple(self._load(row) for row in active + older))

    async def _find_key(self, key_id: bytes) -> DataKey:
        async with self._lock(key_id):
            if (key := self._keys.get(key_id)) is not None:
                return key
            if (row := await self._rows.find(key_id)) is None:
                raise KeyUnknown
            await self._know_roots_of([row])
            return self._load(row)

    async def _know_roots_of(self, rows: Sequence[WrappedKey]) -> None:
        wrapped_by = {row.root_key_id for row in rows if row.state is not KeyState.DESTROYED}
        if self._reopen is not None and not wrapped_by <= self._roots.keys():
            self._roots = {**self._roots, **await self._reopen()}

    def _load(self, row: WrappedKey) -> DataKey:
        key = self._keys.get(row.key_id)
        if key is None:
            if (root := self._roots.get(row.root_key_id)) is None:
                raise KeyUnavailable
            key = load_data_key(root, row, self._environment)
            self._keys.put(row.key_id, key)
        return key

    async def _reserve(self, key: DataKey) -> DataKey:
        for succession in range(_SUCCESSIONS):
            try:
                await self._spend(key)
            except KeyExhausted:
                # Another process may have rotated since this one looked.
                if succession:
                    await self._rows.rotate(key.key_id, self.successor(key.merchant_id, key.purpose))
                self.forget(key.merchant_id, key.purpose, key.key_id)
                key = await self.active(key.merchant_id, key.purpose)
            else:
                return key
        raise KeyExhausted

    async def _spend(self, key: DataKey) -> None:
        while not key.usage.take():
            async with self._lock(key.key_id):
                # The first of all that wait here reserves for all of them.
                if key.usage.spent:
                    total = await self._rows.reserve(key.key_id, self._block)
                    key.usage.grant(self._block, total, self._limit)

    def _lock(self, name: Hashable) -> asyncio.Lock:
        if self._fork != forks.count:
            # A lock that was held while the process forked is never released in the child.
            self._fork = forks.count
            self._locks = [asyncio.Lock() for _ in range(_STRIPES)]
        return self._locks[hash(name) % _STRIPES]

    def _context(self, location: Location) -> Context:
        return Context(self._environment, location.merchant_id, location.table, location.row_id, location.field)


def _signer(key: DataKey) -> Signer:
    if not isinstance(key.primitive, Signer):
        raise KeyUnavailable
    return key.primitive


def _cipher(key: DataKey) -> Cipher:
    if not isinstance(key.primitive, Cipher):
        raise CannotOpen
    return key.primitive


def _fingerprinter(key: DataKey) -> Fingerprinter:
    if not isinstance(key.primitive, Fingerprinter):
        raise KeyUnknown
    return key.primitive
