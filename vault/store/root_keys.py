"""Rows of root keys as they change: wraps that go, data keys that are wrapped anew, root keys that retire.

It refuses to know key material in clear. Invariant: what may go is decided by the database (`vault.migrations`).
"""

from collections.abc import Sequence

from keys.datakeys import WrappedKey
from vault.audit.events import Event
from vault.db import Session, Transaction
from vault.store.audit import append
from vault.store.keys import KEY_COLUMNS, wrapped_key

_BATCH = 500


async def newest_version(session: Session) -> int:
    """Give the highest version that a root key ever had."""
    return int(await session.value("select max(version) from vault.root_key"))


async def data_keys(session: Session, root_key_id: bytes, after: bytes = b"") -> list[WrappedKey]:
    """Give the data keys that a root key wraps and that are not destroyed, in portions, in the order of their ids."""
    rows = await session.rows(
        f"select {KEY_COLUMNS} from vault.data_key where root_key_id = $1 and id > $2 and state <> 'destroyed' "
        f"order by id limit {_BATCH}",
        root_key_id,
        after,
    )
    return [wrapped_key(row) for row in rows]


async def rewrap(
    transaction: Transaction, from_root: bytes, to_root: bytes, wraps: Sequence[tuple[bytes, bytes]], event: Event
) -> None:
    """Put data keys (id, new wrap) under another root key, unless they are there already, with the event."""
    await transaction.rows(
        "update vault.data_key k set root_key_id = $2, wrapped = n.wrapped "
        "from unnest($3::bytea[], $4::bytea[]) as n (id, wrapped) where k.id = n.id and k.root_key_id = $1",
        from_root,
        to_root,
        [key_id for key_id, _ in wraps],
        [wrapped for _, wrapped in wraps],
    )
    await append(transaction, event)


async def retire(transaction: Transaction, root_key_id: bytes, event: Event) -> bool:
    """Retire a root key and drop its wraps, with the event; False while a data key needs it."""
    done = bool(await transaction.value("select vault.retire_root_key($1)", root_key_id))
    if done:
        await append(transaction, event)
    return done


async def remove_seal(transaction: Transaction, name: str, proven: Sequence[str], event: Event) -> bool:
    """Drop a seal's wraps, with the event; False when there are none, or no proven seal opens every root key."""
    done = bool(await transaction.value("select vault.remove_seal($1, $2)", name, list(proven)))
    if done:
        await append(transaction, event)
    return done
