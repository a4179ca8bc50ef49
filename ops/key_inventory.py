"""The inventory of keys: each with its dates, its use against the limit, what needs it, and what is due next.

It refuses to know key material. Invariants: every root key and data key there ever was is listed; looking changes
nothing (controls.md KEY-4, KEY-7, KEY-15).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from keys.keyring import DEFAULT_LIMIT
from ops.key_status import KeyStatus, read_status
from vault.db import Database
from vault.ids import key_name
from vault.settings import Settings
from vault.store import key_inventory
from vault.store.key_inventory import ROOT, KeyRow

# How many times CARDVAULT_KEY_MAX_AGE_DAYS keys may be active; others have no end of their own.
_CRYPTOPERIODS: Final = {ROOT: 2, "card": 1, "credential": 1, "fingerprint": 2}
_WARNINGS: Final = (1, 7, 30)


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done about a key next, and when."""

    what: str
    at: datetime
    now: datetime

    @property
    def days(self) -> int:
        """Give the whole days that are left, negative when it is overdue."""
        return (self.at - self.now) // timedelta(days=1)

    @property
    def warning(self) -> int | None:
        """Give the nearest of 1, 7 and 30 days within which it is due, 0 when it is overdue, else None."""
        if self.at <= self.now:
            return 0
        return next((days for days in _WARNINGS if self.at <= self.now + timedelta(days=days)), None)


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """One key, which may be active for `max_age` days or a multiple of it.

    `rows` counts what needs it by table and column, None where that was not asked for.
    """

    row: KeyRow
    rows: Mapping[str, int] | None
    max_age: int

    @property
    def due(self) -> Due | None:
        """Say what is due next; a key that only opens what is old may do so until somebody has it destroyed."""
        match self.row:
            case KeyRow(state="active", purpose=purpose) if purpose in _CRYPTOPERIODS:
                period = timedelta(days=self.max_age * _CRYPTOPERIODS[purpose])
                return Due("rotate", self.row.created_at + period, self.row.now)
            case KeyRow(state="compromised", replace_by=datetime() as at):
                return Due("replace", at, self.row.now)
            case KeyRow(state="decrypt_only", destroy_after=datetime() as at):
                return Due("destroy", at, self.row.now)
        return None

    def as_record(self) -> dict[str, Any]:
        """Give the fields that are shown."""
        due = self.due
        return {
            "keyId": key_name(self.row.key_id),
            "merchantId": self.row.merchant_id or None,
            "purpose": self.row.purpose,
            "state": self.row.state,
            "rootVersion": self.row.root_version,
            "ageDays": (self.row.now - self.row.created_at).days,
            "activatedAt": _text(self.row.created_at),
            "deactivatedAt": _text(self.row.deactivated_at),
            "compromisedAt": _text(self.row.compromised_at),
            "destroyedAt": _text(self.row.destroyed_at),
            "rows": None if self.rows is None else sum(self.rows.values()),
            "rowsByPlace": None if self.rows is None else dict(self.rows),
            "used": self.row.reserved,
            "limit": DEFAULT_LIMIT,
            "usedPercent": round(self.row.reserved / DEFAULT_LIMIT * 100, 3),
            "due": due.what if due else None,
            "dueAt": _text(due.at) if due else None,
            "warning": _warning(due),
        }


async def read_inventory(settings: Settings, database: Database, *, rows: bool) -> list[KeyEntry]:
    """Read every key, with `rows` how much needs it too."""
    async with database.session() as session:
        found = await key_inventory.every_key(session)
        counts = await key_inventory.row_counts(session) if rows else None
    max_age = settings.key_max_age_days
    return [KeyEntry(row, None if counts is None else counts.get(row.key_id, {}), max_age) for row in found]


async def read_all(settings: Settings, database: Database, *, rows: bool) -> tuple[KeyStatus, Sequence[KeyEntry]]:
    """Read the status of the keys and the inventory."""
    return await read_status(settings, database), await read_inventory(settings, database, rows=rows)


def warnings(entries: Sequence[KeyEntry]) -> list[tuple[KeyEntry, Due]]:
    """Give the keys about which something is due within 30 days."""
    dues = [(entry, entry.due) for entry in entries]
    return [(entry, due) for entry, due in dues if due is not None and due.warning is not None]


def _warning(due: Due | None) -> str | None:
    if due is None or due.warning is None:
        return None
    return f"{due.what}: overdue" if due.warning == 0 else f"{due.what}: within {due.warning} days"


def _text(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at is not None else None
