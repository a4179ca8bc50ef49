"""Rows of re-encryption jobs: claimed batches, values under another key, counts of what is left.

It refuses to know key material and what was sealed. Invariants: a value is replaced only if it is still the one that
was read, so traffic is never overwritten; a batch is claimed by moving the part's position on under its lock, and what
a worker claimed and did not write is found again by the count that ends a pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from keys.keyring import Location
from vault.db import Session, Transaction
from vault.ids import Prefix, new_id
from vault.key_uses import PLACES, Place
from vault.store.columns import keys_active

_PLACES: Final = {place.name: place for place in PLACES}
_RETIRED: Final = "k.state in ('decrypt_only', 'compromised')"
_JOB: Final = "id, state, rate, deadline, running_since, done_before, created_at, finished_at"
_CLAIM_PART: Final = """
select place, merchant_id, key_id, position from vault.reencryption_part p where job_id = $1 and open
order by (select state from vault.data_key k where k.id = p.key_id) = 'compromised' desc, merchant_id, place
limit 1 for update skip locked
"""
_OF_PART: Final = "where job_id = $1 and place = $2 and merchant_id = $3 and key_id = $4"


@dataclass(frozen=True, slots=True)
class Job:
    """A job: `running`, `paused`, `done`, or `blocked` by rows that do not open; `rate` in rows a second."""

    id: str
    state: str
    rate: int | None
    deadline: datetime | None
    running_since: datetime
    done_before: int
    created_at: datetime
    finished_at: datetime | None

    @property
    def open(self) -> bool:
        """Tell whether there is still something to be done."""
        return self.state in {"running", "paused"}


@dataclass(frozen=True, slots=True)
class Part:
    """What one key of one merchant still holds in one place."""

    place: Place
    merchant_id: str
    key_id: bytes
    total: int = 0
    done: int = 0
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class Old:
    """A value under a retired key: which row, what is stored there, and what is opened to make it anew."""

    row: tuple[str, ...]
    value: bytes
    envelope: bytes
    home: Location


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that a worker has claimed, and in how many seconds their turn comes; none: the part's end."""

    part: Part
    rows: list[Old]
    wait: float


@dataclass(frozen=True, slots=True)
class Fresh:
    """A value that takes the place of an old one, and the key it was made with."""

    old: Old
    value: bytes
    key_id: bytes


async def newest(session: Session) -> Job | None:
    """Give the job that was started last."""
    row = await session.row(f"select {_JOB} from vault.reencryption order by created_at desc, id desc limit 1")
    return Job(*row) if row else None


async def lock_open(transaction: Transaction, *, wait: bool = True) -> Job | None:
    """Give the job that runs or is paused, locked; None when there is none, or without `wait` when it is locked."""
    row = await transaction.row(
        f"select {_JOB} from vault.reencryption where state in ('running', 'paused') "
        f"for update {'' if wait else 'skip locked'}"
    )
    return Job(*row) if row else None


async def create(transaction: Transaction, *, rate: int) -> Job:
    """Make a job; the unique index refuses a second one that is not over."""
    statement = f"insert into vault.reencryption (id, rate) values ($1, $2) returning {_JOB}"
    row = await transaction.row(statement, new_id(Prefix.REENCRYPTION), rate)
    assert row is not None  # noqa: S101 - an insert gives its row or fails
    return Job(*row)


async def set_state(transaction: Transaction, job: Job, state: str) -> None:
    """Move a job to another state; its pace is measured from here on."""
    await transaction.rows(
        "update vault.reencryption set state = $2, running_since = clock_timestamp(), next_at = clock_timestamp(), "
        "done_before = (select coalesce(sum(done), 0) from vault.reencryption_part where job_id = $1), "
        "finished_at = case when $2 in ('done', 'blocked') then clock_timestamp() end where id = $1",
        job.id,
        state,
    )


async def set_bounds(transaction: Transaction, job: Job, *, rate: int | None, deadline: datetime | None) -> Job:
    """Limit a job's pace (None: as it is, 0: not at all), and bring its deadline forward, never back; gives the job."""
    row = await transaction.row(
        "update vault.reencryption set rate = nullif(coalesce($2, rate), 0), deadline = least(deadline, $3) "
        f"where id = $1 returning {_JOB}",
        job.id,
        rate,
        deadline,
    )
    assert row is not None  # noqa: S101 - the job's row is locked
    return Job(*row)


async def parts(session: Session, job: Job) -> list[Part]:
    """Give a job's parts."""
    rows = await session.rows(
        "select place, merchant_id, key_id, total, done, damaged from vault.reencryption_part where job_id = $1 "
        "order by merchant_id, place, key_id",
        job.id,
    )
    return [Part(_PLACES[row[0]], *row[1:]) for row in rows]


async def left(session: Session, place: Place) -> list[Part]:
    """Count what retired keys hold in a place, by merchant and key; counts all rows of the table."""
    rows = await session.rows(
        f"select t.{place.merchant}, k.id, count(*) from {place.origin} join vault.data_key k "
        f"on k.id = t.{place.key_column} and {_RETIRED} where {place.only} group by 1, 2"
    )
    return [Part(place, row[0], row[1], row[2]) for row in rows]


async def open_part(transaction: Transaction, job: Job, part: Part) -> None:
    """Have a part done (again) from its beginning; `total` is what it holds now."""
    await transaction.rows(
        "insert into vault.reencryption_part (job_id, place, merchant_id, key_id, total) values ($1, $2, $3, $4, $5) "
        "on conflict (job_id, place, merchant_id, key_id) do update set open = true, position = '{}', damaged = 0, "
        "total = reencryption_part.done + excluded.total",
        *_of(job, part),
        part.total,
    )


async def unfinished(session: Session, job: Job) -> bool:
    """Tell whether any part has not been gone through to its end."""
    found = "select exists (select from vault.reencryption_part where job_id = $1 and open)"
    return bool(await session.value(found, job.id))


async def claim(transaction: Transaction, job: Job, limit: int) -> Batch | None:
    """Take the next rows of a part that nobody is claiming from at this moment; None when there is no such part."""
    row = await transaction.row(_CLAIM_PART, job.id)
    if row is None:
        return None
    part = Part(_PLACES[row["place"]], row["merchant_id"], row["key_id"])
    rows = await _next(transaction, part, row["position"], limit)
    if not rows:
        await transaction.rows(f"update vault.reencryption_part set open = false {_OF_PART}", *_of(job, part))
        return Batch(part, [], 0.0)
    position = list(rows[-1].row)
    await transaction.rows(f"update vault.reencryption_part set position = $5 {_OF_PART}", *_of(job, part), position)
    return Batch(part, rows, await _turn(transaction, job, len(rows)))


async def _next(transaction: Transaction, part: Part, position: Sequence[str], limit: int) -> list[Old]:
    place = part.place
    columns = ", ".join(f"t.{name}" for name in place.row)
    start = ", ".join(f"coalesce(($3::text[])[{number}], '')" for number in range(1, len(place.row) + 1))
    found = await transaction.rows(
        f"select array[{columns}], t.{place.column}, {place.envelope}, {', '.join(place.home)} from {place.origin} "
        f"where t.{place.merchant} = $1 and t.{place.key_column} = $2 and ({columns}) > ({start}) and {place.only} "
        f"order by {columns} limit $4",
        part.merchant_id,
        part.key_id,
        list(position),
        limit,
    )
    return [Old(tuple(row[0]), row[1], row[2], Location(part.merchant_id, *row[3:])) for row in found]


async def _turn(transaction: Transaction, job: Job, count: int) -> float:
    """Give the seconds until it is this batch's turn, at the pace that all workers share."""
    if job.rate is None:
        return 0.0
    wait = await transaction.value(
        "update vault.reencryption set next_at = greatest(next_at, clock_timestamp()) + make_interval(secs => $2) "
        "where id = $1 returning extract(epoch from next_at - clock_timestamp())::float8 - $2",
        job.id,
        count / job.rate,
    )
    return max(float(wait), 0.0)


async def put(transaction: Transaction, part: Part, fresh: Sequence[Fresh]) -> int | None:
    """Replace values that are still the old ones; gives how many, or None and nothing done if a key is not active."""
    place = part.place
    matches = " and ".join(f"t.{name} = u.{name}" for name in place.row)
    arrays = [[each.old.row[number] for each in fresh] for number in range(len(place.row))]
    texts = ", ".join(f"${number + 5}::text[]" for number in range(len(place.row)))
    values = (
        part.merchant_id,
        [each.old.value for each in fresh],
        [each.value for each in fresh],
        [each.key_id for each in fresh],
        *arrays,
    )
    origin = f"unnest($2::bytea[], $3::bytea[], $4::bytea[], {texts}) as u(old, new, new_key, {', '.join(place.row)})"
    where = f"where t.{place.merchant} = $1 and {matches} and t.{place.column} = u.old"
    gone = 0
    if place.gives_way is not None:
        gone = await transaction.value(
            f"with gone as (update vault.{place.table} t set {place.column} = null, {place.key_column} = null "
            f"from {origin} {where} and {place.gives_way} returning 1) select count(*) from gone",
            *values,
        )
    row = await transaction.row(
        f"with key as (select {keys_active('$4')} as active), moved as ("
        f"update vault.{place.table} t set {place.column} = u.new, {place.key_column} = u.new_key "
        f"from {origin}, key {where} and key.active returning 1) "
        "select key.active, (select count(*) from moved) from key",
        *values,
    )
    assert row is not None  # noqa: S101 - a select from a one-row CTE
    return gone + int(row[1]) if row[0] else None


async def count_done(transaction: Transaction, job: Job, part: Part, *, done: int, damaged: int) -> None:
    """Note what became of a batch."""
    await transaction.rows(
        f"update vault.reencryption_part set done = done + $5, damaged = damaged + $6 {_OF_PART}",
        *_of(job, part),
        done,
        damaged,
    )


async def writers(session: Session) -> list[str]:
    """Name the transactions that are writing where keys are used, at this moment."""
    rows = await session.rows(
        "select distinct virtualtransaction from pg_locks where locktype = 'relation' and mode = 'RowExclusiveLock' "
        "and database = (select oid from pg_database where datname = current_database()) "
        "and relation = any($1::text[]::regclass[])",
        sorted({f"vault.{place.table}" for place in PLACES}),
    )
    return [row[0] for row in rows]


def _of(job: Job, part: Part) -> tuple[str, str, str, bytes]:
    return job.id, part.place.name, part.merchant_id, part.key_id
