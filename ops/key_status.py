"""What an operator sees of the keys: the root keys, whether they open, and how far each kind of data key is used.

It refuses to know key material. Invariant: looking changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from keys.errors import KeysError, KeyUnavailable
from keys.keyring import DEFAULT_LIMIT
from vault import unsealing
from vault.db import Database
from vault.ids import key_name
from vault.settings import Settings
from vault.store import keys
from vault.store.keys import KeySummary, WrappedRoot
from vault.unsealing import Attempt


@dataclass(frozen=True, slots=True)
class RootStatus:
    """One wrap of a root key, and whether its seal opens it here (None: custodians' shares, nobody can tell)."""

    wrapped: WrappedRoot
    opens: bool | None

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
    attempts: tuple[Attempt, ...]

    @property
    def failures(self) -> list[KeysError]:
        """Why configured seals do not open."""
        return [attempt.failure for attempt in self.attempts if attempt.failure is not None]

    def require_open(self) -> None:
        """Raise why the root keys do not open, unless a seal opens them all."""
        closed = {root.wrapped.key_id for root in self.roots} - {id_ for each in self.attempts for id_ in each.roots}
        if closed or not self.roots:
            raise self.failures[0] if self.failures else KeyUnavailable()

    def as_record(self) -> dict[str, Any]:
        """Give everything as JSON-like values."""
        return {
            "rootKeys": [root.as_record() for root in self.roots],
            "dataKeys": [ring.as_record() for ring in self.rings],
        }


async def read_status(settings: Settings, database: Database) -> KeyStatus:
    """Read the keys' rows and try every configured seal on the root keys."""
    async with database.session() as session:
        roots = await keys.roots(session)
        rings = await keys.summary(session)
    attempts = await unsealing.attempt(settings, roots) if roots else []
    return KeyStatus(
        tuple(RootStatus(root, _opens(root, attempts)) for root in roots),
        tuple(RingStatus(summary) for summary in rings),
        tuple(attempts),
    )


def _opens(wrap: WrappedRoot, attempts: Sequence[Attempt]) -> bool | None:
    if wrap.seal.startswith(unsealing.SHARES):
        return None
    return any(attempt.name == wrap.seal and wrap.key_id in attempt.roots for attempt in attempts)
