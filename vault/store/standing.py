"""How work stands, in numbers that any process can ask the database for: what waits, how much and for how long.

It refuses to know who is told. Invariants: every question looks at an index or at little; a label is a state, a code or
a purpose of ours, never an id, so that no answer grows with merchants or cards.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vault.db import Session
from vault.store.workers import LIVE_SECONDS


@dataclass(frozen=True, slots=True)
class Question:
    """A figure: its name, what it says, the label's name where it has one, and SQL that gives (label, value)."""

    name: str
    said: str
    label: str | None
    query: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A question, and its answers by label."""

    question: Question
    values: dict[str, float]


_OPEN: Final = (
    "from vault.payment_inquiry i join vault.payment p on p.merchant_id = i.merchant_id and p.id = i.payment_id "
    "where p.status in ('CREATED', 'UNKNOWN', 'PROCESSING')"
)
_SCHEDULES: Final = {
    "payments": "payment_inquiry",
    "vaultings": "vaulting_inquiry",
    "tokens": "token_deletion",
    "captures": "orphan_capture",
}


def _age(moment: str) -> str:
    return f"coalesce(greatest(extract(epoch from clock_timestamp() - {moment}), 0), 0)::float8"


def _each_schedule(value: str) -> str:
    return " union all ".join(
        f"select '{name}', {value} from vault.{table} where next_at <= clock_timestamp()"
        for name, table in _SCHEDULES.items()
    )


def _of_log(name: str, said: str, column: str) -> Question:
    return Question(f"cardvault_audit_{name}", said, None, f"select '', {column} from vault.audit_standing()")


_LIVE_LOOPS: Final = f"from vault.worker_loop where seen_at > clock_timestamp() - interval '{LIVE_SECONDS} s'"
# A worker's id begins with the milliseconds of its start (UUIDv7, base32): nine characters are the upper 45 bits of 48.
_STARTED: Final = (
    "(select to_timestamp((sum((strpos('abcdefghijklmnopqrstuvwxyz234567', "
    "substr(split_part(worker_id, '_', 2), i, 1)) - 1) * 32::numeric ^ (9 - i)) * 8 / 1000)::float8) "
    "from generate_series(1, 9) i)"
)
_JOBS: Final = "from vault.reencryption_part p join vault.reencryption j on j.id = p.job_id where j.state = 'running'"

QUESTIONS: Final = (
    Question(
        "cardvault_payments_open",
        "Payments without a final state",
        "state",
        f"select p.status, count(*) {_OPEN} group by 1",
    ),
    Question(
        "cardvault_payment_oldest_unknown_seconds",
        "Age of the oldest payment of which nobody knows whether it was made",
        None,
        f"select '', {_age('min(p.created_at)')} {_OPEN} and p.status in ('CREATED', 'UNKNOWN')",
    ),
    Question("cardvault_queue_due", "Questions to the gateway that are due", "queue", _each_schedule("count(*)")),
    Question(
        "cardvault_queue_oldest_due_seconds",
        "For how long the oldest question to the gateway has been due",
        "queue",
        _each_schedule(_age("min(next_at)")),
    ),
    Question(
        "cardvault_webhook_deliveries_pending",
        "Deliveries of events that are not acknowledged and not given up",
        None,
        "select '', count(*) from vault.webhook_delivery where next_at is not null",
    ),
    Question(
        "cardvault_webhook_oldest_due_seconds",
        "For how long the oldest delivery has been due",
        None,
        f"select '', {_age('min(next_at)')} from vault.webhook_delivery where next_at <= clock_timestamp()",
    ),
    _of_log("pending_events", "Audit events that are not in the log yet", "waiting"),
    _of_log("oldest_pending_seconds", "Age of the oldest audit event that is not in the log yet", "oldest_seconds"),
    _of_log("log_entries", "Entries of the audit log", "size"),
    _of_log("unsigned_entries", "Entries of the audit log without a signed checkpoint", "unsigned"),
    _of_log(
        "checkpoint_age_seconds",
        "Age of the newest checkpoint, or of the log's first key where there is none",
        f"coalesce(checkpoint_seconds, (select {_age('min(created_at)')} from vault.data_key where purpose = 'audit'))",
    ),
    Question(
        "cardvault_audit_sink_lag_seconds",
        "For how long what the furthest behind anchor or stream lacks has been there to be told",
        "told",
        "select told, seconds from vault.audit_sinks_standing()",
    ),
    Question(
        "cardvault_reencryption_rows_left",
        "Rows that a running re-encryption has still to do",
        None,
        f"select '', coalesce(sum(greatest(p.total - p.done, 0)), 0) {_JOBS}",
    ),
    Question("cardvault_keys", "Data keys", "state", "select state, count(*) from vault.data_key group by state"),
    Question(
        "cardvault_key_seals_max",
        "Seals reserved under the active data key that was used most",
        "purpose",
        "select k.purpose, max(u.reserved) from vault.data_key k join vault.key_usage u on u.key_id = k.id "
        "where k.state = 'active' group by 1",
    ),
    Question(
        "cardvault_key_age_seconds_max",
        "Age of the oldest active data key",
        "purpose",
        f"select purpose, {_age('min(created_at)')} from vault.data_key where state = 'active' group by 1",
    ),
    Question(
        "cardvault_alarms_recent",
        "Alarms of the last hour",
        "code",
        "select code, count(*) from vault.alarm where created_at > clock_timestamp() - interval '1 hour' group by 1",
    ),
    Question(
        "cardvault_oldest_expired_unpurged_seconds",
        "For how long a card has been past its period, as the last verification found it",
        None,
        "select '', coalesce(extract(epoch from clock_timestamp() - oldest_due_at), 0)::float8 "
        "from vault.retention_run where kind = 'VERIFY' and finished_at is not null order by started_at desc limit 1",
    ),
    Question(
        "cardvault_workers", "Workers that are there", None, f"select '', count(distinct worker_id) {_LIVE_LOOPS}"
    ),
    Question(
        "cardvault_worker_loop_failures",
        "Failures of a loop since a round ended well, at the worker where it does best",
        "loop",
        f"select loop, min(failures) {_LIVE_LOOPS} group by 1",
    ),
    Question(
        "cardvault_worker_loop_silent_seconds",
        "Time since a round of the loop ended well, or since the worker's start where none has",
        "loop",
        f"select loop, {_age(f'max(coalesce(worked_at, {_STARTED}))')} {_LIVE_LOOPS} group by 1",
    ),
)

_ALL: Final = " union all ".join(
    f"select {place}, q.label::text, q.value::float8 from ({question.query}) as q(label, value)"
    for place, question in enumerate(QUESTIONS)
)


async def standing(session: Session) -> Iterator[Figure]:
    """Ask everything at once."""
    answers: list[dict[str, float]] = [{} for _ in QUESTIONS]
    for place, label, value in await session.rows(_ALL):
        answers[place][label] = value
    return map(Figure, QUESTIONS, answers)
