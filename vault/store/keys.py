"""Rows of root keys, their wraps and data keys: what the keyring asks for, and what operators insert.

It refuses to know key material in clear. Invariant: a reservation is durable before it is answered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from keys.datakeys import KeyState, NewKey, Purpose, WrappedKey
from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.db import Database, Session, Transaction
from vault.ids import key_name
from vault.store.audit import append

_AT_THE_LIMIT = Origin(ActorKind.WORKER, "key_limit")
KEY_COLUMNS = "id, merchant_id, purpose, state, root_key_id, wrapped, created_at"


@dataclass(frozen=True, slots=True)
class WrappedRoot:
    """A root key as stored, with the wrap of one seal."""

    key_id: bytes
    version: int
    check_value: bytes
    seal: str
    wrapped: bytes


def wrapped_key(row: asyncpg.Record) -> WrappedKey:
    """Read a row of `KEY_COLUMNS`."""
    return WrappedKey(
        row["id"],
        row["merchant_id"],
        Purpose(row["purpose"]),
        KeyState(row["state"]),
        row["root_key_id"],
        row["wrapped"],
        row["created_at"],
    )


class KeyStore:
    """What `keys.Keyring` asks of the database (protocol `KeyRows`)."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key_id: bytes) -> WrappedKey | None:
        """Give the key with this id in whatever state."""
        async with self._database.session() as session:
            row = await session.row(f"select {KEY_COLUMNS} from vault.data_key where id = $1", key_id)
        return wrapped_key(row) if row else None

    async def live(self, merchant_id: str, purpose: Purpose) -> Sequence[WrappedKey]:
        """Give every key that is not destroyed, newest first."""
        async with self._database.session() as session:
            rows = await session.rows(
                f"select {KEY_COLUMNS} from vault.data_key "
                "where merchant_id = $1 and purpose = $2 and state <> 'destroyed' order by created_at desc, id",
                merchant_id,
                purpose,
            )
        return [wrapped_key(row) for row in rows]

    async def reserve(self, key_id: bytes, count: int) -> int:
        """Add to the uses of a key and give the new total; one statement, committed when this returns."""
        async with self._database.session() as session:
            total = await session.value(
                "update vault.key_usage set reserved = reserved + $2 where key_id = $1 returning reserved",
                key_id,
                count,
            )
        return int(total)

    async def rotate(self, retired: bytes, successor: NewKey) -> None:
        """Put the successor in the place of a key that has reached its limit, unless somebody has done so already."""
        async with self._database.transaction() as transaction:
            await rotate(transaction, retired, successor, _AT_THE_LIMIT)


async def rotate(transaction: Transaction, retired: bytes, successor: NewKey, origin: Origin) -> bool:
    """Let an active key decrypt only and another one take its place, with the event; False when it is not active."""
    done = await transaction.value(
        "select vault.rotate_data_key($1, $2, $3, $4)",
        retired,
        successor.key_id,
        successor.root_key_id,
        successor.wrapped,
    )
    if done:
        details = {"purpose": successor.purpose.value, "from": key_name(retired), "to": key_name(successor.key_id)}
        await append(transaction, Event(EventType.DATA_KEY_ROTATED, origin, successor.merchant_id, details=details))
    return bool(done)


async def roots(session: Session) -> list[WrappedRoot]:
    """Give every wrap of every root key that is in use, newest version first."""
    rows = await session.rows(
        "select r.id, r.version, r.check_value, w.seal, w.wrapped from vault.root_key r "
        "join vault.root_wrap w on w.root_key_id = r.id where r.state = 'active' order by r.version desc, w.seal"
    )
    return [WrappedRoot(*row) for row in rows]


async def insert_root(transaction: Transaction, wraps: Sequence[WrappedRoot], event: Event) -> None:
    """Keep a new root key by its wraps, at least one, with the event."""
    root = wraps[0]
    await transaction.rows(
        "insert into vault.root_key (id, version, state, check_value) values ($1, $2, 'active', $3)",
        root.key_id,
        root.version,
        root.check_value,
    )
    for wrap in wraps:
        await insert_wrap(transaction, wrap)
    await append(transaction, event)


async def has_active(session: Session, merchant_id: str, purpose: Purpose) -> bool:
    """Tell whether there is a key that new values are made with."""
    return bool(
        await session.value(
            "select exists (select from vault.data_key where merchant_id = $1 and purpose = $2 and state = 'active')",
            merchant_id,
            purpose,
        )
    )


async def insert_wrap(transaction: Transaction, wrap: WrappedRoot) -> bool:
    """Keep one more wrap of a root key; False when this seal has one, which stays. The event is the caller's."""
    row = await transaction.row(
        "insert into vault.root_wrap (root_key_id, seal, wrapped) values ($1, $2, $3) on conflict do nothing "
        "returning true",
        wrap.key_id,
        wrap.seal,
        wrap.wrapped,
    )
    return row is not None


async def insert_data_key(transaction: Transaction, key: NewKey, event: Event) -> None:
    """Keep a new active data key with its counter at zero, with the event."""
    await transaction.rows(
        "insert into vault.data_key (id, merchant_id, purpose, state, root_key_id, wrapped) "
        "values ($1, $2, $3, 'active', $4, $5)",
        key.key_id,
        key.merchant_id,
        key.purpose,
        key.root_key_id,
        key.wrapped,
    )
    await transaction.rows("insert into vault.key_usage (key_id) values ($1)", key.key_id)
    await append(transaction, event)


@dataclass(frozen=True, slots=True)
class KeySummary:
    """What an operator sees of the keys of one merchant, purpose and state."""

    merchant_id: str
    purpose: str
    state: str
    keys: int
    oldest: datetime
    reserved: int


async def summary(session: Session) -> list[KeySummary]:
    """Count data keys by merchant, purpose and state, with the age of the oldest and the uses of the busiest."""
    rows = await session.rows(
        "select k.merchant_id, k.purpose, k.state, count(*), min(k.created_at), max(u.reserved) "
        "from vault.data_key k join vault.key_usage u on u.key_id = k.id group by 1, 2, 3 order by 1, 2, 3"
    )
    return [KeySummary(*row) for row in rows]
