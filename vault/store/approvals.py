"""Rows of operators, of requests for approval and of what was signed about them.

It refuses to judge. Invariants: whoever decides about a request or carries it out holds its row, so that one of the two
comes first; a request is consumed once.
"""

from collections.abc import Mapping
from datetime import datetime

import asyncpg
import orjson

from vault.approval import Case, Decision, Operation, Operator, Request, Verb
from vault.audit.events import Event
from vault.db import Session, Transaction
from vault.store.audit import append

_OPERATOR = "select id, person, public_key, created_at, revoked_at from vault.operator"
_REQUEST = """
select id, operation, parameters, requester, nonce, expires_at, signature, created_at, consumed_at,
    clock_timestamp() as read_at
from vault.approval_request
"""
_DECISION = "select operator_id, verb, signature, created_at from vault.approval where request_id = $1"
_ENROLMENT_LOCK = 0x6F70657261746F72  # any number that nobody else locks


async def operators(session: Session, *, lock: bool = False) -> dict[str, Operator]:
    """Give all operators by id, oldest first; with `lock`, none of them is revoked before the transaction ends."""
    rows = await session.rows(f"{_OPERATOR} order by created_at, id{' for share' if lock else ''}")
    return {row["id"]: Operator(*row) for row in rows}


async def now(session: Session) -> datetime:
    """Give the database's time in whole seconds, as requests state it."""
    moment: datetime = await session.value("select date_trunc('second', clock_timestamp())")
    return moment


async def hold_enrolment(transaction: Transaction) -> None:
    """Let one transaction at a time make operators."""
    await transaction.rows("select pg_advisory_xact_lock($1)", _ENROLMENT_LOCK)


async def insert_operator(transaction: Transaction, operator: Operator, event: Event) -> None:
    """Keep a new operator."""
    await transaction.rows(
        "insert into vault.operator (id, person, public_key, created_at) values ($1, $2, $3, $4)",
        operator.id,
        operator.person,
        operator.public_key,
        operator.created_at,
    )
    await append(transaction, event)


async def revoke_operator(transaction: Transaction, operator_id: str, event: Event) -> bool:
    """End an operator's key at once; False when it had ended before."""
    rows = await transaction.rows(
        "update vault.operator set revoked_at = clock_timestamp() where id = $1 and revoked_at is null returning id",
        operator_id,
    )
    if rows:
        await append(transaction, event)
    return bool(rows)


async def insert_request(transaction: Transaction, request: Request, signature: bytes, event: Event) -> None:
    """Keep a request with the requester's signature."""
    await transaction.rows(
        "insert into vault.approval_request (id, operation, parameters, requester, nonce, expires_at, signature) "
        "values ($1, $2, $3::jsonb, $4, $5, $6, $7)",
        request.id,
        request.operation,
        orjson.dumps(dict(request.parameters)).decode(),
        request.requester,
        request.nonce,
        request.expires_at,
        signature,
    )
    await append(transaction, event)


async def insert_decision(transaction: Transaction, request_id: str, decision: Decision, event: Event) -> None:
    """Keep what an operator signed, unless it has signed the same before."""
    rows = await transaction.rows(
        "insert into vault.approval (request_id, operator_id, verb, signature) values ($1, $2, $3, $4) "
        "on conflict do nothing returning request_id",
        request_id,
        decision.operator_id,
        decision.verb,
        decision.signature,
    )
    if rows:
        await append(transaction, event)


async def consume(transaction: Transaction, request_id: str, event: Event) -> None:
    """Mark a request, whose row the transaction holds, as carried out."""
    await transaction.rows(
        "update vault.approval_request set consumed_at = clock_timestamp() where id = $1", request_id
    )
    await append(transaction, event)


async def case(session: Session, request_id: str, environment: str, *, lock: bool = False) -> Case | None:
    """Give a request with all about it; with `lock`, nobody decides, consumes or revokes until the transaction ends."""
    row = await session.row(f"{_REQUEST} where id = $1{' for update' if lock else ''}", request_id)
    return await _case(session, row, environment, await operators(session, lock=lock)) if row else None


async def cases(session: Session, environment: str, *, everything: bool) -> list[Case]:
    """Give the requests that were neither carried out nor have expired, or all of them, newest first."""
    rows = await session.rows(
        f"{_REQUEST} where $1 or (consumed_at is null and expires_at > clock_timestamp()) order by created_at desc, id",
        everything,
    )
    signers = await operators(session)
    return [await _case(session, row, environment, signers) for row in rows]


async def _case(session: Session, row: asyncpg.Record, environment: str, signers: Mapping[str, Operator]) -> Case:
    decided = await session.rows(_DECISION, row["id"])
    return Case(
        Request(
            row["id"],
            environment,
            Operation(row["operation"]),
            row["parameters"],
            row["requester"],
            row["expires_at"],
            row["nonce"],
        ),
        row["signature"],
        row["created_at"],
        row["consumed_at"],
        tuple(
            Decision(each["operator_id"], Verb(each["verb"]), each["signature"], each["created_at"]) for each in decided
        ),
        signers,
        row["read_at"],
    )
