"""Counters of what was asked for, and cards that were seen, as rows; the counting is the database's (ADR 0020).

It refuses to know limits and their quotas' reasons. Invariant: a slot is never given twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from vault.db import Session

_TAKE = """
select granted, remaining, waits, current_slices, fresh from vault.take_slots($1, $2, $3, $4, $5, $6, $7, $8)
"""
_TAKE_EACH = """
select from unnest($1::text[], $2::text[], $3::text[], $4::int[], $5::int[])
        as each(merchant_id, subject, name, span, quota),
    lateral vault.take_slots(each.merchant_id, each.subject, each.name, array[each.span], array[each.quota], 1, 0, null)
"""
# A counter of which nothing was ever taken has no row, and is not worth a call.
_LOOK = """
select each.place, s.remaining, s.waits
from unnest((select $1::text[]), (select $2::text[]), (select $3::text[]), (select $4::int[]), (select $5::int[]))
        with ordinality as each(merchant_id, subject, name, span, quota, place),
    lateral (select from vault.rate_counter
        where merchant_id = each.merchant_id and subject = each.subject and name = each.name offset 0) c,
    lateral vault.take_slots(
        each.merchant_id, each.subject, each.name, array[each.span], array[each.quota], 0, 0, null) s
"""
_NOTE = "select seen, known, wait from vault.note_card($1, $2, $3, $4, $5)"
# In the order of the key, so that two processes that write the same rows do not wait for each other in a circle.
_REMEMBER = """
with given as (
    select * from unnest($1::text[], $2::text[], $3::bytea[]) with ordinality as one(merchant_id, subject, print, place)
), new as (
    insert into vault.card_sighting as s (merchant_id, subject, print)
    select merchant_id, subject, print from given order by 1, 2, 3
    on conflict (merchant_id, subject, print) do update set seen_at = excluded.seen_at
        where s.seen_at < clock_timestamp() - make_interval(secs => $4)
    returning merchant_id, subject, print
)
select place from given left join new using (merchant_id, subject, print) where new.print is null
"""
_SEEN = """
select exists (
    select from vault.card_sighting where merchant_id = $1 and subject = $2 and print = $3
        and seen_at > clock_timestamp() - make_interval(secs => $4)
)
"""
_KEPT_SECONDS = 2 * 86_400


class Counter(NamedTuple):
    """Whose slots of which limit: the merchant or empty, the client, address or keyed hash, the limit's name."""

    merchant_id: str
    subject: str
    name: str


class Watched(NamedTuple):
    """A counter with one window, and what may be taken in it."""

    counter: Counter
    span: int
    quota: int


class Left(NamedTuple):
    """What is left of a window, and the seconds until another slot is free."""

    slots: int
    wait: float


class Sighting(NamedTuple):
    """A card, by its keyed fingerprint, that was seen of somebody."""

    merchant_id: str
    subject: str
    print: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many slots are asked for under which windows, and how many of an earlier grant are given back."""

    spans: Sequence[int]
    quotas: Sequence[int]
    slots: int = 1
    unused: int = 0
    unused_slices: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Granted:
    """What was given, to be spent within `fresh` seconds, and how each window stands."""

    slots: int
    remaining: tuple[int, ...]
    waits: tuple[float, ...]
    slices: tuple[int, ...]
    fresh: float


@dataclass(frozen=True, slots=True)
class Noted:
    """How many distinct cards were seen of somebody, whether this one is known, and the wait if it is one too many."""

    seen: int
    known: bool
    wait: float | None


async def take(session: Session, counter: Counter, wanted: Wanted) -> Granted:
    """Take slots, all of them, some or none."""
    row = await session.row(
        _TAKE,
        *counter,
        wanted.spans,
        wanted.quotas,
        wanted.slots,
        wanted.unused,
        wanted.unused_slices,
    )
    assert row is not None  # noqa: S101 - a function gives one row
    return _granted(row)


async def take_each(session: Session, watched: Sequence[Watched]) -> None:
    """Take a slot of each of several counters of one merchant."""
    await session.rows(_TAKE_EACH, *_columns(watched))


async def look(session: Session, asked: Sequence[Sequence[Watched]]) -> list[list[Left]]:
    """Say how counters stand, those of each who asks by themselves; nothing is taken."""
    watched = [each for together in asked for each in together]
    rows = {row["place"]: row for row in await session.rows(_LOOK, *_columns(watched))}
    left = iter(_left(each, rows.get(place)) for place, each in enumerate(watched, 1))
    return [[next(left) for _ in together] for together in asked]


def _columns(watched: Sequence[Watched]) -> tuple[list[str] | list[int], ...]:
    return (
        [each.counter.merchant_id for each in watched],
        [each.counter.subject for each in watched],
        [each.counter.name for each in watched],
        [each.span for each in watched],
        [each.quota for each in watched],
    )


def _left(watched: Watched, row: asyncpg.Record | None) -> Left:
    return Left(watched.quota, 0.0) if row is None else Left(row["remaining"][0], row["waits"][0])


def _granted(row: asyncpg.Record) -> Granted:
    return Granted(
        row["granted"], tuple(row["remaining"]), tuple(row["waits"]), tuple(row["current_slices"]), row["fresh"]
    )


async def note_card(session: Session, sighting: Sighting, span: int, most: int) -> Noted:
    """Count a card of somebody, unless as many distinct ones were seen in so many seconds."""
    row = await session.row(_NOTE, *sighting, span, most)
    assert row is not None  # noqa: S101 - a function gives one row
    return Noted(row["seen"], row["known"], row["wait"])


async def remember(session: Session, sightings: Sequence[Sighting], span: int) -> list[Sighting]:
    """Write sightings down; gives those that were known within so many seconds."""
    columns = list(zip(*sightings, strict=True))
    return [sightings[row["place"] - 1] for row in await session.rows(_REMEMBER, *columns, span)]


async def seen(session: Session, sighting: Sighting, span: int) -> bool:
    """Tell whether a card was seen of somebody within so many seconds."""
    return bool(await session.value(_SEEN, *sighting, span))


async def prune(session: Session) -> None:
    """Forget what no window reaches back to."""
    for table, column in (("rate_counter", "touched_at"), ("card_sighting", "seen_at")):
        statement = f"delete from vault.{table} where {column} < clock_timestamp() - make_interval(secs => $1)"
        await session.rows(statement, _KEPT_SECONDS)
