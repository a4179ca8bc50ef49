"""Operators and requests for approval as an operator's command shows them.

It refuses to judge: the policy and the signatures do. Invariant: a record shows what is signed, as it is signed.
"""

import base64
from collections.abc import Awaitable, Iterable
from datetime import datetime
from typing import Any

from ops.operating import operator_origin
from ops.operator_keys import NoOperator, OwnKey
from ops.refusal import Refused
from vault.approval import Case, Operator, State, Verb
from vault.approvals import DualControl
from vault.db import Database
from vault.errors import NotFound
from vault.operators import Operators


def operator_record(operator: Operator) -> dict[str, Any]:
    """Give the fields of an operator that are shown."""
    return {
        "operatorId": operator.id,
        "person": operator.person,
        "status": "ACTIVE" if operator.live else "REVOKED",
        "publicKey": base64.b64encode(operator.public_key).decode(),
        "createdAt": _text(operator.created_at),
        "revokedAt": _text(operator.revoked_at),
    }


def case_record(control: DualControl, case: Case) -> dict[str, Any]:
    """Give the fields of a request that are shown; `digest` is the SHA-256 that every signature about it covers."""
    request = case.request
    return {
        "approvalId": request.id,
        "operation": request.operation.value,
        "parameters": dict(request.parameters),
        "requester": case.requester.person,
        "state": control.state(case).value,
        "needed": control.policy.needed(request.operation),
        "approvedBy": sorted(case.approvers()),
        "deniedBy": sorted({case.operators[one.operator_id].person for one in case.decisions if one.verb is Verb.DENY}),
        "environment": request.environment,
        "createdAt": _text(case.created_at),
        "expiresAt": _text(request.expires_at),
        "executedAt": _text(case.consumed_at),
        "digest": request.digest().hex(),
    }


async def shown_case(control: DualControl, work: Awaitable[Case]) -> dict[str, Any]:
    """Wait for a request, and give the fields that are shown."""
    return case_record(control, await work)


async def open_cases(control: DualControl) -> list[dict[str, Any]]:
    """Give the requests that can still be approved or carried out."""
    return _records(control, [case for case in await control.cases(everything=False) if _is_open(control, case)])


async def all_cases(control: DualControl) -> list[dict[str, Any]]:
    """Give every request that there ever was."""
    return _records(control, await control.cases(everything=True))


async def create_operator(database: Database, control: DualControl, person: str, key: OwnKey | bytes) -> Operator:
    """Make a person an operator, by a key file or a public key; raises what `Operators.enrol` does, and `Refused`."""
    public_key = key if isinstance(key, bytes) else await key.public_key()
    try:
        return await Operators(database, control, operator_origin()).enrol(person, public_key)
    except NoOperator:
        shown = base64.b64encode(public_key).decode()
        raise Refused(
            "an operator has to ask for this: if you are one, set CARDVAULT_OPERATOR_KEY_FILE; otherwise let one run\n"
            f"  cardvault operators create --person {person} --public-key {shown}"
        ) from None


async def revoke_operator(database: Database, control: DualControl, operator_id: str) -> bool:
    """End an operator's key, False when it had ended; raises `Refused` when there is none."""
    try:
        return await Operators(database, control, operator_origin()).revoke(operator_id)
    except NotFound:
        raise Refused("no operator has this id: see cardvault operators list") from None


async def list_operators(database: Database, control: DualControl) -> list[dict[str, Any]]:
    """Give all operators, oldest first."""
    return [operator_record(each) for each in await Operators(database, control, operator_origin()).listed()]


def _records(control: DualControl, cases: Iterable[Case]) -> list[dict[str, Any]]:
    return [case_record(control, case) for case in cases]


def _is_open(control: DualControl, case: Case) -> bool:
    return control.state(case) in {State.PENDING, State.APPROVED}


def _text(at: datetime | None) -> str | None:
    return at.isoformat(timespec="seconds") if at is not None else None
