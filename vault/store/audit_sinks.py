"""Rows about the places outside of the database that the audit log is told to: how far each is, and what keeps it.

It refuses to know what is sent and how. Invariants: a position moves only behind what was delivered; whoever sends to a
sink has it to itself for a while, and when it dies others go on where it had got to.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from vault.db import Session


class Told(StrEnum):
    """What a sink is told."""

    CHECKPOINTS = "checkpoints"
    EVENTS = "events"


@dataclass(frozen=True, slots=True)
class Sink:
    """A place by its name, and what it is told."""

    name: str
    told: Told


@dataclass(frozen=True, slots=True)
class Position:
    """The first place, or size, that was not delivered yet."""

    epoch: int
    next: int


@dataclass(frozen=True, slots=True)
class Lag:
    """How a sink is: the last size it was told or number of events, since when the next one waits, the last trouble."""

    name: str
    told: str
    epoch: int
    size: int
    delivered_at: datetime | None
    seconds: float
    trouble: str | None
    failures: int


@dataclass(frozen=True, slots=True)
class SentLeaf:
    """An entry to be sent."""

    epoch: int
    place: int
    occurred_at: datetime
    entry: bytes


@dataclass(frozen=True, slots=True)
class SentCheckpoint:
    """A checkpoint to be sent."""

    epoch: int
    size: int
    signed_at: datetime
    note: str


_LONGEST_PAUSE: Final = 60.0

_LAG = """
select s.name, s.told, s.epoch,
    case s.told when 'events' then s.next_place else greatest(s.next_place - 1, 0) end as size, s.delivered_at,
    coalesce(extract(epoch from clock_timestamp() - case s.told
        when 'events' then (select occurred_at from vault.audit_leaf l
            where (l.epoch, l.place) >= (s.epoch, s.next_place) and entry is not null order by l.epoch, l.place limit 1)
        else (select signed_at from vault.audit_checkpoint c where (c.epoch, c.size) >= (s.epoch, s.next_place)
            order by c.epoch, c.size limit 1)
    end), 0)::float8 as seconds, s.trouble, s.failures
from vault.audit_sink s order by s.told, s.name
"""


_DUE = "select epoch, next_place, next_at <= clock_timestamp() from vault.audit_sink where name = $1 and told = $2"
_INTRODUCE = (
    "insert into vault.audit_sink (name, told) values ($1, $2) on conflict do nothing returning epoch, next_place, true"
)


async def due(session: Session, sink: Sink) -> Position | None:
    """Give how far a sink is, None while somebody else sends to it or it is left alone after a failure.

    One that is new, or was forgotten while it is still configured, is told everything from the beginning.
    """
    row = await session.row(_DUE, sink.name, sink.told) or await session.row(_INTRODUCE, sink.name, sink.told)
    return Position(row[0], row[1]) if row and row[2] else None


async def claim(session: Session, sink: Sink, at: Position, *, seconds: float) -> bool:
    """Have a sink for so long; False when somebody else was faster."""
    row = await session.row(
        "update vault.audit_sink set next_at = clock_timestamp() + make_interval(secs => $5) "
        "where name = $1 and told = $2 and (epoch, next_place) = ($3, $4) and next_at <= clock_timestamp() "
        "returning name",
        sink.name,
        sink.told,
        at.epoch,
        at.next,
        seconds,
    )
    return row is not None


async def delivered(session: Session, sink: Sink, reached: Position) -> None:
    """Note that everything before a position was delivered, and let go of the sink."""
    await session.rows(
        "update vault.audit_sink set epoch = $3, next_place = $4, delivered_at = clock_timestamp(), trouble = null, "
        "failures = 0, next_at = clock_timestamp() "
        "where name = $1 and told = $2 and (epoch, next_place) <= ($3, $4)",
        sink.name,
        sink.told,
        reached.epoch,
        reached.next,
    )


async def failed(session: Session, sink: Sink, trouble: str) -> None:
    """Note what went wrong, and leave the sink alone for a while: 1 s, doubled each time, a minute at the most."""
    await session.rows(
        "update vault.audit_sink set trouble = $3, failures = failures + 1, "
        "next_at = clock_timestamp() + make_interval(secs => least(power(2, least(failures, 10)), $4)) "
        "where name = $1 and told = $2",
        sink.name,
        sink.told,
        trouble,
        _LONGEST_PAUSE,
    )


async def forget(session: Session, name: str) -> bool:
    """Drop what is known of a sink; False when nothing is."""
    rows = await session.rows("delete from vault.audit_sink where name = $1 returning name", name)
    return bool(rows)


async def lags(session: Session) -> list[Lag]:
    """Give how each sink is; `seconds` is the age of what waits for it longest, 0 for nothing (controls.md AUD-6)."""
    return [Lag(*row) for row in await session.rows(_LAG)]


async def leaves(session: Session, at: Position, limit: int) -> Sequence[SentLeaf]:
    """Give the entries that a sink lacks, in their order; those that were pruned are left out."""
    rows = await session.rows(
        "select epoch, place, occurred_at, entry from vault.audit_leaf "
        "where (epoch, place) >= ($1, $2) and entry is not null order by epoch, place limit $3",
        at.epoch,
        at.next,
        limit,
    )
    return [SentLeaf(*row) for row in rows]


async def checkpoints(session: Session, at: Position, limit: int) -> Sequence[SentCheckpoint]:
    """Give the checkpoints that a sink lacks, in their order."""
    rows = await session.rows(
        "select epoch, size, signed_at, note from vault.audit_checkpoint "
        "where (epoch, size) >= ($1, $2) order by epoch, size limit $3",
        at.epoch,
        at.next,
        limit,
    )
    return [SentCheckpoint(*row) for row in rows]
