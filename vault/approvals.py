"""Dual control at work: an operation under a policy waits for others' signatures and is carried out with them, once.

It refuses to know what operations do, key files and commands. Invariants: what an approval permits is judged again in
the transaction that carries it out, and consumed there; whatever is refused leaves an audit event (controls.md KEY-4,
KEY-11, ACC-3; tests-worth-having T-32).
"""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeVar

from keys.operatorkey import OperatorKey
from vault.approval import LIFETIME, Case, Decision, Operation, Operator, Parameter, Request, State, Verb
from vault.approval_policy import Policy
from vault.audit.events import Event, EventType, Origin, Outcome
from vault.db import Database, Transaction
from vault.ids import Prefix, new_id
from vault.store import approvals
from vault.store.audit import append

_Result = TypeVar("_Result")
Signer: TypeAlias = Callable[[], Awaitable[OperatorKey]]

_INSTALLATION: Final = ""
_NONCE_BYTES: Final = 32
_CLOSED: Final = {
    State.EXECUTED: "the request was carried out already: run the command again to ask anew",
    State.DENIED: "the request was denied: run the command again to ask anew",
    State.EXPIRED: "the request has expired: run the command again to ask anew",
    State.INVALID: "the request is not what its requester signed, or the requester was revoked: do not approve it",
}
_UNKNOWN: Final = "no request for approval has this id: see cardvault approvals list"
_STRANGER: Final = (
    "the key of CARDVAULT_OPERATOR_KEY_FILE is no operator's, or was revoked: see cardvault operators list"
)
_OWN: Final = "nobody approves what the same person asked for: another operator has to"
_CHANGED: Final = "the approval no longer holds, nothing was changed: look at it with cardvault approvals show"
_EVENTS: Final = {Verb.APPROVE: EventType.APPROVAL_GIVEN, Verb.DENY: EventType.APPROVAL_DENIED}


class ApprovalRefused(Exception):
    """Somebody may not do this under dual control; the text says why, `reason` is for the audit log."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class ApprovalNeeded(Exception):
    """An operation waits for others' approval; it was not carried out, and the text says how others approve it."""

    def __init__(self, request_id: str, operation: Operation, missing: int) -> None:
        super().__init__(
            f"{operation} waits for the approval of {missing} other operator{'s' if missing > 1 else ''}: each runs\n"
            f"  cardvault approvals approve {request_id}\n"
            f"within {LIFETIME.total_seconds() / 3600:.0f} hours; then run this command again as it is"
        )
        self.request_id = request_id


@dataclass(frozen=True, slots=True)
class _Permit:
    """Leave to carry out an approved request, as it was when it was found approved."""

    request: Request
    needed: int
    origin: Origin

    async def spend(self, transaction: Transaction) -> None:
        """Judge the approval again, with everything held that could change it, and consume it.

        Raises `ApprovalRefused`.
        """
        case = await approvals.case(transaction, self.request.id, self.request.environment, lock=True)
        if case is None or case.request.digest() != self.request.digest():
            raise ApprovalRefused("altered", _CHANGED)
        if (state := case.state(self.needed)) is not State.APPROVED:
            raise ApprovalRefused(state.lower(), _CLOSED.get(state, _CHANGED))
        approvers = sorted(each.id for each in case.approving())
        details = {"operation": self.request.operation.value, "approvers": " ".join(approvers)}
        event = _event(EventType.APPROVAL_EXECUTED, self.origin, self.request.id, details)
        await approvals.consume(transaction, self.request.id, event)


class DualControl:
    """The policy applied to one operator at work; `signer` opens that operator's key, only when it is needed."""

    def __init__(self, database: Database, policy: Policy, environment: str, signer: Signer, origin: Origin) -> None:
        self.policy = policy
        self._database = database
        self._environment = environment
        self._signer = signer
        self._origin = origin

    async def guarded(
        self, operation: Operation, parameters: Mapping[str, Parameter], work: Callable[[Database], Awaitable[_Result]]
    ) -> _Result:
        """Carry out an operation once its policy is met; the first transaction that it commits consumes the approval.

        `work` gets the database on which that is so. Raises `ApprovalNeeded`, having asked for approval unless that was
        done before, or `ApprovalRefused`.
        """
        needed = self.policy.needed(operation)
        if not needed:
            return await work(self._database)
        permit = await self._permit(operation, parameters, needed)
        try:
            return await work(self._database.beginning_with(permit.spend))
        except ApprovalRefused as refusal:
            await self._record_refusal(permit.request.id, refusal, operation)
            raise

    async def decide(self, request_id: str, verb: Verb) -> Case:
        """Sign an approval or a denial of a request and give the case as it is then; raises `ApprovalRefused`."""
        me, key = await self._me(request_id, verb)
        async with self._database.transaction() as transaction:
            case = await approvals.case(transaction, request_id, self._environment, lock=True)
            refusal = self._why_not(case, me, verb)
            if case is not None and refusal is None:
                decision = Decision(me.id, verb, key.sign(case.request.statement(verb)), case.read_at)
                event = _event(_EVENTS[verb], _signed_by(self._origin, me), request_id, _about(case.request.operation))
                await approvals.insert_decision(transaction, request_id, decision, event)
        if refusal is not None:
            await self._record_refusal(request_id, refusal, verb)
            raise refusal
        return await self.case(request_id)

    async def case(self, request_id: str) -> Case:
        """Give a request with all that was signed about it; raises `ApprovalRefused` where there is none."""
        async with self._database.session() as session:
            case = await approvals.case(session, request_id, self._environment)
        if case is None:
            raise ApprovalRefused("unknown_request", _UNKNOWN)
        return case

    async def cases(self, *, everything: bool) -> list[Case]:
        """Give the requests that were neither carried out nor have expired, or all, newest first."""
        async with self._database.session() as session:
            return await approvals.cases(session, self._environment, everything=everything)

    def state(self, case: Case) -> State:
        """Judge a request by the policy."""
        return case.state(self.policy.needed(case.request.operation))

    async def _permit(self, operation: Operation, parameters: Mapping[str, Parameter], needed: int) -> _Permit:
        me, key = await self._me("", operation)
        asked = [each for each in await self.cases(everything=False) if _is_about(each, me, operation, parameters)]
        approved = [each.request for each in asked if each.state(needed) is State.APPROVED]
        if approved:
            return _Permit(approved[0], needed, _signed_by(self._origin, me))
        pending = [each for each in asked if each.state(needed) is State.PENDING]
        if pending:
            raise ApprovalNeeded(pending[0].request.id, operation, needed - len(pending[0].approvers()))
        raise ApprovalNeeded(await self._ask(me, key, operation, parameters), operation, needed)

    async def _ask(
        self, me: Operator, key: OperatorKey, operation: Operation, parameters: Mapping[str, Parameter]
    ) -> str:
        event = _event(EventType.APPROVAL_REQUESTED, _signed_by(self._origin, me), "", _about(operation))
        async with self._database.transaction() as transaction:
            expires_at = await approvals.now(transaction) + LIFETIME
            request = Request(
                new_id(Prefix.APPROVAL),
                self._environment,
                operation,
                parameters,
                me.id,
                expires_at,
                os.urandom(_NONCE_BYTES),
            )
            signature = key.sign(request.statement(Verb.REQUEST))
            await approvals.insert_request(transaction, request, signature, event.about(request.id))
        return request.id

    async def _me(self, request_id: str, doing: str) -> tuple[Operator, OperatorKey]:
        key = await self._signer()
        async with self._database.session() as session:
            known = await approvals.operators(session)
        for operator in known.values():
            if operator.public_key == key.public_key and operator.live:
                return operator, key
        refusal = ApprovalRefused("unknown_operator", _STRANGER)
        await self._record_refusal(request_id, refusal, doing)
        raise refusal

    def _why_not(self, case: Case | None, me: Operator, verb: Verb) -> ApprovalRefused | None:
        if case is None:
            return ApprovalRefused("unknown_request", _UNKNOWN)
        state = self.state(case)
        if state in _CLOSED:
            return ApprovalRefused(state.lower(), _CLOSED[state])
        if verb is Verb.APPROVE and me.person == case.requester.person:
            return ApprovalRefused("own_request", _OWN)
        return None

    async def _record_refusal(self, request_id: str, refusal: ApprovalRefused, doing: str) -> None:
        event = Event(
            EventType.ACCESS_DENIED,
            self._origin,
            _INSTALLATION,
            (request_id,) if request_id else (),
            Outcome.DENIED,
            refusal.reason,
            {"operation": str(doing)},
        )
        async with self._database.session() as session:
            await append(session, event)


def _is_about(case: Case, me: Operator, operation: Operation, parameters: Mapping[str, Parameter]) -> bool:
    request = case.request
    return (request.requester, request.operation, request.parameters) == (me.id, operation, parameters)


def _about(operation: Operation) -> dict[str, str]:
    return {"operation": operation.value}


def _signed_by(origin: Origin, operator: Operator) -> Origin:
    return replace(origin, actor_id=operator.id, key_id=operator.id)


def _event(kind: EventType, origin: Origin, request_id: str, details: Mapping[str, str]) -> Event:
    return Event(kind, origin, _INSTALLATION, (request_id,) if request_id else (), details=details)
