"""What an operator sees of the keys: the root keys, whether they open, and how far each kind of data key is used.

It refuses to know key material. Invariant: looking changes nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from keys.errors import KeysError
from keys.keyring import DEFAULT_LIMIT
from vault import custody
from vault.db import Database
from vault.ids import key_name
from vault.settings import Settings
from vault.store import keys
from vault.store.keys import KeySummary, WrappedRoot


@dataclass(frozen=True, slots=True)
class RootStatus:
    """One wrap of a root key, and whether this installation's seal opens it."""

    wrapped: WrappedRoot
    opens: bool

    def as_record(self) -> dict[str, Any]:
        """Give the fields that are shown."""
        return {
            "rootKeyId": key_name(self.wrapped.key_id),
            "version": self.wrapped.version,
            "seal": self.wrapped.seal,
            "opens": self.opens,
        }


@dataclass(frozen=True, slots=True)
class RingStatus:
    """The data keys of one merchant (empty: the installation), purpose and state."""

    summary: KeySummary

    @property
    def used(self) -> float:
        """The busiest key's share of its limit, from 0 to 1."""
        return self.summary.reserved / DEFAULT_LIMIT

    def as_record(self) -> dict[str, Any]:
        """Give the fields that are shown."""
        oldest: datetime = self.summary.oldest
        return {
            "merchantId": self.summary.merchant_id or None,
            "purpose": self.summary.purpose,
            "state": self.summary.state,
            "keys": self.summary.keys,
            "oldest": oldest.isoformat(timespec="seconds"),
            "used": self.summary.reserved,
            "limit": DEFAULT_LIMIT,
            "usedPercent": round(self.used * 100, 3),
        }


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """All keys of an installation."""

    roots: tuple[RootStatus, ...]
    rings: tuple[RingStatus, ...]

    def as_record(self) -> dict[str, Any]:
        """Give everything as JSON-like values."""
        return {
            "rootKeys": [root.as_record() for root in self.roots],
            "dataKeys": [ring.as_record() for ring in self.rings],
        }


async def read_status(settings: Settings, database: Database) -> KeyStatus:
    """Read the keys' rows and try the seal on the root keys."""
    async with database.session() as session:
        roots = await keys.roots(session)
        rings = await keys.summary(session)
    try:
        opened = await custody.open_roots(settings, database) if roots else {}
    except KeysError:
        opened = {}
    return KeyStatus(
        tuple(RootStatus(root, root.key_id in opened) for root in roots),
        tuple(RingStatus(summary) for summary in rings),
    )
