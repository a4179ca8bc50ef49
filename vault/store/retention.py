"""Rows of retention: classes and their versions, which cards are past their period, how far a run over all cards is.

It refuses to know what becomes of such cards. Invariants: classes are added, never changed; a run is in the hands of
the transaction that locked its row; a card that somebody still needs counts as held, not as due.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

import asyncpg

from vault.audit.events import Event
from vault.db import Session, Transaction
from vault.ids import Prefix, new_id
from vault.retention_class import RetentionClass, Starts
from vault.store.audit import append

# An unexpired mandate is a reason to keep a card; the outcome of a payment or of storing it may still need it.
_HELD: Final = """
exists (select from vault.mandate m where m.merchant_id = c.merchant_id and m.card_id = c.id and m.status = 'ACTIVE'
    and (m.valid_until is null or m.valid_until > clock_timestamp()))
or exists (select from vault.payment p where p.merchant_id = c.merchant_id and p.card_id = c.id
    and p.status in ('CREATED', 'UNKNOWN', 'PROCESSING'))
or exists (select from vault.vaulting v where v.merchant_id = c.merchant_id and v.card_id = c.id
    and v.status in ('CREATED', 'UNKNOWN', 'PROCESSING'))
"""
# The end of the month is that of `Expiry.passed`. Days have 24 hours, whatever the session's time zone.
_DUE_AT: Final = """
case when r.starts = 'EXPIRED' and c.expiry_year is not null
    then (make_timestamp(c.expiry_year, c.expiry_month, 1, 12, 0, 0) + interval '1 month') at time zone 'UTC'
    else greatest(c.created_at, (select max(p.created_at) from vault.payment p
        where p.merchant_id = c.merchant_id and p.card_id = c.id)) end + make_interval(hours => 24 * r.days)
"""
_RUN: Final = "select r.*, clock_timestamp() as read_at from vault.retention_run r"


def _past(which: str) -> str:
    """Give the statement for the cards past their period among `which`."""
    return f"""
select c.merchant_id, c.id, c.due_at, ({_HELD}) as held from (
    select c.merchant_id, c.id, {_DUE_AT} as due_at
    from vault.card c join vault.retention_class r on r.merchant_id = c.merchant_id and r.version = c.retention
    where c.status <> 'DELETED' and {which}
) as c where c.due_at <= clock_timestamp() order by c.merchant_id, c.id
"""


_PAST_BETWEEN: Final = _past("(c.merchant_id, c.id) > ($1, $2) and (c.merchant_id, c.id) <= ($3, $4)")
_PAST_ONE: Final = _past("c.merchant_id = $1 and c.id = $2")


class RunKind(StrEnum):
    """What a run does: purge what is past its period, count what is, or rewrite files that held what was deleted."""

    PURGE = "PURGE"
    VERIFY = "VERIFY"
    SCRUB = "SCRUB"


@dataclass(frozen=True, slots=True)
class Place:
    """A card, as a place in the order of all cards."""

    merchant_id: str = ""
    card_id: str = ""


@dataclass(frozen=True, slots=True)
class PastCard:
    """A card past its period, since when, and whether somebody still needs it."""

    place: Place
    due_at: datetime
    held: bool


@dataclass(frozen=True, slots=True)
class Run:
    """A run over all cards: how far it is and what it met; `overdue` cards are past their period and not held."""

    id: str
    kind: RunKind
    started_at: datetime
    finished_at: datetime | None
    place: Place
    examined: int
    purged: int
    held: int
    overdue: int
    oldest_due_at: datetime | None
    read_at: datetime


def _run(row: asyncpg.Record) -> Run:
    return Run(
        row["id"],
        RunKind(row["kind"]),
        row["started_at"],
        row["finished_at"],
        Place(row["last_merchant_id"], row["last_card_id"]),
        row["examined"],
        row["purged"],
        row["held"],
        row["overdue"],
        row["oldest_due_at"],
        row["read_at"],
    )


async def current_class(session: Session, merchant_id: str) -> RetentionClass:
    """Give the class that the new cards of a merchant that is there get."""
    row = await session.row(
        "select days, starts, reason from vault.retention_class where merchant_id = $1 order by version desc limit 1",
        merchant_id,
    )
    assert row is not None  # noqa: S101 - merchants are made with one, and none is ever deleted
    return RetentionClass(row["days"], Starts(row["starts"]), row["reason"])


async def add_class(transaction: Transaction, merchant_id: str, new: RetentionClass, event: Event) -> None:
    """Give a merchant's future cards another class; the merchant is locked, so that versions follow each other."""
    await transaction.rows("select from vault.merchant where id = $1 for no key update", merchant_id)
    await transaction.rows(
        "insert into vault.retention_class (merchant_id, version, days, starts, reason) "
        "select $1, coalesce(max(version), 0) + 1, $2, $3, $4 from vault.retention_class where merchant_id = $1",
        merchant_id,
        new.days,
        new.starts,
        new.reason,
    )
    await append(transaction, event)


@dataclass(frozen=True, slots=True)
class KeptClass:
    """A class with its version and the number of cards that are kept under it."""

    merchant_id: str
    version: int
    retention: RetentionClass
    cards: int


async def classes(session: Session) -> list[KeptClass]:
    """Give all classes, by merchant and version, with their cards counted (controls.md, evidence of RET-1)."""
    rows = await session.rows(
        "select r.merchant_id, r.version, r.days, r.starts, r.reason, (select count(*) from vault.card c where "
        "c.merchant_id = r.merchant_id and c.retention = r.version and c.status <> 'DELETED') as cards "
        "from vault.retention_class r order by r.merchant_id, r.version"
    )
    return [
        KeptClass(
            row["merchant_id"],
            row["version"],
            RetentionClass(row["days"], Starts(row["starts"]), row["reason"]),
            row["cards"],
        )
        for row in rows
    ]


async def latest(session: Session, *kinds: RunKind) -> Run | None:
    """Give the run of these kinds that began last."""
    row = await session.row(f"{_RUN} where kind = any($1) order by started_at desc limit 1", list(kinds))
    return _run(row) if row else None


async def latest_finished(session: Session, kind: RunKind, *, before: datetime | None = None) -> Run | None:
    """Give the run of a kind that began last, or last before a moment, of those that came to their end."""
    row = await session.row(
        f"{_RUN} where kind = $1 and finished_at is not null and started_at < coalesce($2, 'infinity'::timestamptz) "
        "order by started_at desc limit 1",
        kind,
        before,
    )
    return _run(row) if row else None


async def begin(session: Session, kind: RunKind) -> None:
    """Begin a run, unless one of its kind is open."""
    await session.rows(
        "insert into vault.retention_run (id, kind, started_at) values ($1, $2, clock_timestamp()) "
        "on conflict do nothing",
        new_id(Prefix.RETENTION_RUN),
        kind,
    )


async def claim(transaction: Transaction, kind: RunKind) -> Run | None:
    """Give the open run of a kind, in this transaction's hands; None when there is none or another has it."""
    row = await transaction.row(f"{_RUN} where kind = $1 and finished_at is null for update skip locked", kind)
    return _run(row) if row else None


async def next_cards(session: Session, after: Place, limit: int) -> list[Place]:
    """Give the places of live cards, in order."""
    rows = await session.rows(
        "select merchant_id, id from vault.card where status <> 'DELETED' and (merchant_id, id) > ($1, $2) "
        "order by merchant_id, id limit $3",
        after.merchant_id,
        after.card_id,
        limit,
    )
    return [Place(*row) for row in rows]


async def past(session: Session, after: Place, last: Place) -> list[PastCard]:
    """Give the cards past their period between two places, the first exclusive."""
    rows = await session.rows(_PAST_BETWEEN, after.merchant_id, after.card_id, last.merchant_id, last.card_id)
    return [PastCard(Place(row["merchant_id"], row["id"]), row["due_at"], row["held"]) for row in rows]


async def still_due(transaction: Transaction, place: Place) -> bool:
    """Tell whether a locked card is past its period and nobody needs it."""
    row = await transaction.row(_PAST_ONE, place.merchant_id, place.card_id)
    return row is not None and not row["held"]


async def save(transaction: Transaction, run: Run, *, finished: bool) -> None:
    """Write how far a claimed run is."""
    await transaction.rows(
        "update vault.retention_run set last_merchant_id = $2, last_card_id = $3, examined = $4, purged = $5, "
        "held = $6, overdue = $7, oldest_due_at = $8, finished_at = case when $9 then clock_timestamp() end "
        "where id = $1",
        run.id,
        run.place.merchant_id,
        run.place.card_id,
        run.examined,
        run.purged,
        run.held,
        run.overdue,
        run.oldest_due_at,
        finished,
    )


async def oldest_expired_unpurged_seconds(session: Session) -> float | None:
    """Give for how long a card has been past its period, 0 for none, as the last verification found it; None before."""
    run = await latest_finished(session, RunKind.VERIFY)
    if run is None:
        return None
    return (run.read_at - run.oldest_due_at).total_seconds() if run.oldest_due_at else 0.0


async def unverified_days(session: Session) -> float | None:
    """Give the days since the last verification began, or since there was something to verify; None without both."""
    days: float | None = await session.value(
        "select extract(epoch from clock_timestamp() - coalesce((select max(started_at) from vault.retention_run "
        "where kind = 'VERIFY' and finished_at is not null), (select min(created_at) from vault.retention_class)"
        "))::float8 / 86400"
    )
    return days


async def add_scrub(transaction: Transaction, seconds: float, event: Event) -> None:
    """Keep that the files were rewritten, which took so many seconds until now."""
    await transaction.rows(
        "insert into vault.retention_run (id, kind, started_at, finished_at) "
        "values ($1, 'SCRUB', clock_timestamp() - make_interval(secs => $2), clock_timestamp())",
        event.objects[0],
        seconds,
    )
    await append(transaction, event)
