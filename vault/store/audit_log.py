"""Rows of the sequenced audit log: the queue that is drained, the head that fences, leaves, subtrees, checkpoints.

It refuses to know what hashes mean. Invariants: whoever appends holds the head's lock until the commit; an event leaves
the queue in the transaction that makes it a leaf (audit-log.md 3.10 D).
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from vault.audit.entry import Queued
from vault.audit.merkle import Node
from vault.db import Session, Transaction


@dataclass(frozen=True, slots=True)
class Head:
    """How far the log has come."""

    epoch: int
    origin: str
    size: int
    frontier: bytes


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry in its place; None when it was pruned."""

    place: int
    event_id: str
    merchant_id: str
    occurred_at: datetime
    hash: bytes
    entry: bytes | None

    @property
    def octets(self) -> bytes:
        """What was hashed; nothing of it is left when it was pruned."""
        return self.entry or b""


@dataclass(frozen=True, slots=True)
class Due:
    """What there is to do: events that wait, a checkpoint whose time has come, a silence that has to be broken.

    `rested`: so long after the last checkpoint that another one may be signed; `granted`: operators have allowed a new
    epoch; `origin` is the log's name in its `epoch`; `key_id` is the active key's.
    """

    waiting: bool
    signing: bool
    rested: bool
    silent: bool
    granted: bool
    epoch: int
    origin: str
    key_id: bytes | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """Events that are not in the log yet: how many there are, and for how many seconds the oldest waits."""

    waiting: int
    seconds: float


_DUE = """
with head as (
    select h.*, (select max(size) from vault.audit_checkpoint c where c.epoch = h.epoch) as signed_size
    from vault.audit_head h
), rest as (
    select head.*, coalesce(
        (select signed_at from vault.audit_checkpoint c where c.epoch = head.epoch and c.size = signed_size)
        <= clock_timestamp() - make_interval(secs => $1), true) as rested
    from head
)
select exists (select from vault.audit_pending) as waiting, rested and size > coalesce(signed_size, 0) as signing,
    rested, appended_at <= clock_timestamp() - make_interval(secs => $2) as silent,
    exists (select from vault.audit_epoch e where e.epoch = rest.epoch + 1) as granted, epoch, origin,
    (select id from vault.data_key where merchant_id = '' and purpose = 'audit' and state = 'active') as key_id
from rest
"""

_TAKE = """
with taken as (
    delete from vault.audit_pending where ctid = any(array(
        select ctid from vault.audit_pending order by xid, ord limit $1
    )) returning xid, ord, event_id, merchant_id, occurred_at, body
)
select event_id, merchant_id, occurred_at, body from taken order by xid, ord
"""

_LEAVES = """
insert into vault.audit_leaf (epoch, place, event_id, merchant_id, occurred_at, hash, entry)
select $1, * from unnest($2::bigint[], $3::text[], $4::text[], $5::timestamptz[], $6::bytea[], $7::bytea[])
"""

LEAF_COLUMNS = "place, event_id, merchant_id, occurred_at, hash, entry"
_HEAD = "select epoch, origin, size, frontier from vault.audit_head"


async def due(session: Session, *, interval: float, heartbeat: float) -> Due:
    """Look for work in a log that has begun; `interval` and `heartbeat` are in seconds."""
    (row,) = await session.rows(_DUE, interval, heartbeat)
    return Due(*row)


async def backlog(session: Session) -> Backlog:
    """Look at the queue."""
    (row,) = await session.rows(
        "select count(*), coalesce(extract(epoch from clock_timestamp() - min(occurred_at)), 0)::float8 "
        "from vault.audit_pending"
    )
    return Backlog(*row)


async def begin(transaction: Transaction, origin: str) -> bool:
    """Make the head of an empty log; False when there is one."""
    made = await transaction.row(
        "insert into vault.audit_head (epoch, origin, size, frontier) values (1, $1, 0, '') "
        "on conflict do nothing returning epoch",
        origin,
    )
    return made is not None


async def head(session: Session) -> Head | None:
    """Give the head, if the log has begun."""
    row = await session.row(_HEAD)
    return Head(*row) if row else None


async def lock_head(transaction: Transaction) -> Head | None:
    """Give the head for this transaction alone, or None while somebody else has it."""
    row = await transaction.row(f"{_HEAD} for update skip locked")
    return Head(*row) if row else None


async def take(transaction: Transaction, limit: int) -> list[Queued]:
    """Take the next events out of the queue."""
    return [Queued(*row) for row in await transaction.rows(_TAKE, limit)]


async def append(
    transaction: Transaction, grown: Head, leaves: Sequence[Leaf], subtrees: Sequence[tuple[Node, bytes]]
) -> None:
    """Keep new leaves and the subtrees that they complete, and move the head."""
    columns = zip(
        *((leaf.place, leaf.event_id, leaf.merchant_id, leaf.occurred_at, leaf.hash, leaf.entry) for leaf in leaves),
        strict=True,
    )
    await transaction.rows(_LEAVES, grown.epoch, *map(list, columns))
    await transaction.rows(
        "insert into vault.audit_subtree (epoch, height, place, hash) "
        "select $1, * from unnest($2::smallint[], $3::bigint[], $4::bytea[])",
        grown.epoch,
        [node.height for node, _ in subtrees],
        [node.index for node, _ in subtrees],
        [digest for _, digest in subtrees],
    )
    await transaction.rows(
        "update vault.audit_head set epoch = $1, origin = $2, size = $3, frontier = $4, "
        "appended_at = clock_timestamp()",
        grown.epoch,
        grown.origin,
        grown.size,
        grown.frontier,
    )


async def hashes(session: Session, epoch: int, height: int, start: int, end: int) -> list[bytes]:
    """Give the hashes of neighbouring leaves (height 0) or kept subtrees, in order."""
    if height == 0:
        rows = await session.rows(
            "select hash from vault.audit_leaf where epoch = $1 and place >= $2 and place < $3 order by place",
            epoch,
            start,
            end,
        )
    else:
        rows = await session.rows(
            "select hash from vault.audit_subtree where epoch = $1 and height = $4 and place >= $2 and place < $3 "
            "order by place",
            epoch,
            start,
            end,
            height,
        )
    return [row[0] for row in rows]


async def keep_checkpoint(transaction: Transaction, epoch: int, size: int, note: str) -> None:
    """Keep the one checkpoint of a size."""
    await transaction.rows(
        "insert into vault.audit_checkpoint (epoch, size, note) values ($1, $2, $3)", epoch, size, note
    )


async def is_signed(session: Session, epoch: int, size: int) -> bool:
    """Tell whether a size has its checkpoint."""
    return bool(
        await session.value(
            "select exists (select from vault.audit_checkpoint where epoch = $1 and size = $2)", epoch, size
        )
    )


async def newest_checkpoint(session: Session, epoch: int) -> str | None:
    """Give the note of the largest checkpoint."""
    note: str | None = await session.value(
        "select note from vault.audit_checkpoint where epoch = $1 order by size desc limit 1", epoch
    )
    return note


async def extent(session: Session, epoch: int) -> tuple[int, int]:
    """Give how far the rows of an epoch reach: the place behind the last leaf, and the largest size that is signed."""
    (row,) = await session.rows(
        "select coalesce((select max(place) + 1 from vault.audit_leaf where epoch = $1), 0), "
        "coalesce((select max(size) from vault.audit_checkpoint where epoch = $1), 0)",
        epoch,
    )
    return row[0], row[1]


async def place_of(session: Session, epoch: int, event_id: str) -> int | None:
    """Give where an event is, once it is in the log."""
    place: int | None = await session.value(
        "select min(place) from vault.audit_leaf where epoch = $1 and event_id = $2", epoch, event_id
    )
    return place


async def first_since(session: Session, epoch: int, moment: datetime) -> int | None:
    """Give the first place whose event is not from before a moment, None where there is none."""
    place: int | None = await session.value(
        "select min(place) from vault.audit_leaf where epoch = $1 and occurred_at >= $2", epoch, moment
    )
    return place


async def last_before(session: Session, epoch: int, moment: datetime) -> int | None:
    """Give the last place whose event is from before a moment, None where there is none."""
    place: int | None = await session.value(
        "select max(place) from vault.audit_leaf where epoch = $1 and occurred_at < $2", epoch, moment
    )
    return place


async def checkpoints_after(session: Session, epoch: int, size: int, limit: int) -> list[str]:
    """Give the notes of the checkpoints beyond a size, the smallest first."""
    rows = await session.rows(
        "select note from vault.audit_checkpoint where epoch = $1 and size > $2 order by size limit $3",
        epoch,
        size,
        limit,
    )
    return [row[0] for row in rows]


async def leaves(session: Session, epoch: int, start: int, end: int, *, batch: int = 1000) -> AsyncIterator[Leaf]:
    """Give leaves in order, a batch at a time."""
    while start < end:
        rows = await session.rows(
            f"select {LEAF_COLUMNS} from vault.audit_leaf where epoch = $1 and place >= $2 and place < $3 "
            "order by place",
            epoch,
            start,
            min(end, start + batch),
        )
        for row in rows:
            yield Leaf(*row)
        start += batch
