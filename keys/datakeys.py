"""Data keys: one merchant, one purpose, one state, and how often each was used.

Refuses to know how rows are stored; `KeyRows` is what the store must answer. Invariants: a plaintext data key exists
only inside a loaded `DataKey`; a use is counted durably before it happens, so that a crash errs only upwards (CRY-2);
a child process never spends what its parent reserved.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Protocol, TypeAlias

from keys.envelope import KEY_ID_BYTES, Cipher, Context
from keys.errors import KeyExhausted, KeyUnavailable
from keys.fingerprint import Fingerprinter
from keys.rootkey import RootKey
from keys.sealed import KeyMaterial
from keys.signing import Signer


class Purpose(StrEnum):
    """What a data key is for (CRY-8)."""

    CARD = "card"
    CREDENTIAL = "credential"
    FINGERPRINT = "fingerprint"
    AUDIT = "audit"


class KeyState(StrEnum):
    """The life of a data key (KEY-8); only an active one seals, a destroyed one does nothing."""

    ACTIVE = "active"
    DECRYPT_ONLY = "decrypt_only"
    COMPROMISED = "compromised"
    DESTROYED = "destroyed"


Primitive: TypeAlias = Cipher | Fingerprinter | Signer
_PRIMITIVES: Final[Mapping[Purpose, type[Primitive]]] = {
    Purpose.CARD: Cipher,
    Purpose.CREDENTIAL: Cipher,
    Purpose.FINGERPRINT: Fingerprinter,
    Purpose.AUDIT: Signer,
}


@dataclass(frozen=True, slots=True)
class NewKey:
    """A freshly wrapped data key, for the caller to insert as active; the database gives the time."""

    key_id: bytes
    merchant_id: str
    purpose: Purpose
    root_key_id: bytes
    wrapped: bytes = field(repr=False)

    def row(self) -> "WrappedKey":
        """Give the key as it will be stored."""
        now = datetime.now(UTC)
        return WrappedKey(
            self.key_id, self.merchant_id, self.purpose, KeyState.ACTIVE, self.root_key_id, self.wrapped, now
        )


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A data key as stored; `merchant_id` is empty for a key of the installation itself."""

    key_id: bytes
    merchant_id: str
    purpose: Purpose
    state: KeyState
    root_key_id: bytes
    wrapped: bytes = field(repr=False)
    created_at: datetime


class KeyRows(Protocol):
    """What the keyring asks of the store; each call is one durable, self-contained statement."""

    async def find(self, key_id: bytes) -> WrappedKey | None:
        """Return the key with this id in whatever state."""

    async def live(self, merchant_id: str, purpose: Purpose) -> Sequence[WrappedKey]:
        """Return every key that is not destroyed, newest first."""

    async def reserve(self, key_id: bytes, count: int) -> int:
        """Add `count` to the key's uses, durably before returning, and return the new total."""

    async def rotate(self, retired: bytes, successor: NewKey) -> None:
        """Put the successor in the place of a key, unless somebody has replaced that one already."""


class _Forks:
    """Counts the forks between this process and the first one."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0
        os.register_at_fork(after_in_child=self._forked)

    def _forked(self) -> None:
        self.count += 1


forks = _Forks()


class Usage:
    """The uses that this process has reserved and not yet spent; for one event loop, not for threads."""

    __slots__ = ("_fork", "_left")

    def __init__(self) -> None:
        self._left = 0
        self._fork = forks.count

    @property
    def spent(self) -> bool:
        """Whether nothing is left here; what the parent process reserved is not ours."""
        return self._left == 0 or self._fork != forks.count

    def take(self) -> bool:
        """Spend one use, or say that none is left."""
        if self.spent:
            return False
        self._left -= 1
        return True

    def grant(self, count: int, total: int, limit: int) -> None:
        """Hold the part of a reservation of `count` that ended at `total` and lies below `limit`, else KeyExhausted."""
        allowed = min(count, limit - (total - count))
        if allowed <= 0:
            raise KeyExhausted
        self._left = allowed
        self._fork = forks.count


@dataclass(frozen=True, slots=True, eq=False)
class DataKey:
    """A loaded data key; its secret is inside the primitive that uses it."""

    key_id: bytes
    merchant_id: str
    purpose: Purpose
    created_at: datetime
    primitive: Primitive = field(repr=False)
    usage: Usage = field(default_factory=Usage, repr=False)


def new_data_key(root: RootKey, merchant_id: str, purpose: Purpose, environment: str) -> NewKey:
    """Generate a data key and wrap it under the root key, bound to id, merchant, purpose and environment."""
    key_id = os.urandom(KEY_ID_BYTES)
    context = _wrap_context(environment, merchant_id, key_id, purpose)
    return NewKey(key_id, merchant_id, purpose, root.key_id, root.wrap(KeyMaterial.generate(), context=context))


def load_data_key(root: RootKey, row: WrappedKey, environment: str) -> DataKey:
    """Unwrap a stored key; KeyUnavailable when destroyed, CannotOpen when the row is not what was wrapped."""
    if row.state is KeyState.DESTROYED:
        raise KeyUnavailable
    context = _wrap_context(environment, row.merchant_id, row.key_id, row.purpose)
    primitive = _PRIMITIVES[row.purpose](row.key_id, root.unwrap(row.wrapped, context=context))
    return DataKey(row.key_id, row.merchant_id, row.purpose, row.created_at, primitive)


def rewrap_data_key(row: WrappedKey, root: RootKey, newer: RootKey, environment: str) -> bytes:
    """Return a stored key wrapped by a newer root key, for the same place; CannotOpen."""
    context = _wrap_context(environment, row.merchant_id, row.key_id, row.purpose)
    return newer.wrap(root.unwrap(row.wrapped, context=context), context=context)


def _wrap_context(environment: str, merchant_id: str, key_id: bytes, purpose: Purpose) -> Context:
    return Context(environment, merchant_id, "data_key", key_id.hex(), purpose)
