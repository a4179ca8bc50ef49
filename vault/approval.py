"""Dual control as values: which operations need others' approval, what exactly is signed, and when enough have signed.

It refuses to know storage, files and commands. Invariants: a signature is over one request in canonical JSON behind a
label of its own, so it fits no other request, decision or environment; the requester's person never counts, a person
counts once, one denial is final, and a signature that does not verify is none (controls.md KEY-4, KEY-11, ACC-3).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final, TypeAlias

import orjson

from keys.operatorkey import verify

LIFETIME: Final = timedelta(hours=24)
DUTIES: Final = (
    "My operator key is mine alone: I keep its file and its passphrase from everybody, and report at once when either "
    "may be known to somebody else. I sign only what I have read and understood, never on another's behalf, and I deny "
    "what I was not told about."
)
_LABEL: Final = b"cardvault/approval/v1"
_DUTIES_DIGEST: Final = sha256(DUTIES.encode()).hexdigest().encode()

Parameter: TypeAlias = str | int | bool | None


class Operation(StrEnum):
    """What a policy can put under dual control; the value is its name in the policy file."""

    CLIENT_WIDEN = "clients.widen"
    OPERATOR_CREATE = "operators.create"
    OPERATOR_REVOKE = "operators.revoke"
    KEY_DESTROY = "keys.destroy"
    SHRED = "keys.shred"
    SEAL_ADD = "keys.seals.add"
    SEAL_REMOVE = "keys.seals.remove"
    SHARES_CREATE = "keys.shares.create"
    AUDIT_EPOCH = "audit.new-epoch"
    AUDIT_PRUNE = "audit.prune"


class Verb(StrEnum):
    """What a signature says about a request."""

    REQUEST = "request"
    APPROVE = "approve"
    DENY = "deny"


class State(StrEnum):
    """How far a request is; only `APPROVED` can be carried out."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    DENIED = "DENIED"
    EXPIRED = "EXPIRED"
    EXECUTED = "EXECUTED"
    INVALID = "INVALID"


@dataclass(frozen=True, slots=True)
class Operator:
    """A person's signing key; a person may have several, one after the other or side by side."""

    id: str
    person: str
    public_key: bytes
    created_at: datetime
    revoked_at: datetime | None = None

    @property
    def live(self) -> bool:
        """Whether what it signs counts."""
        return self.revoked_at is None


@dataclass(frozen=True, slots=True)
class Request:
    """One operation with its parameters that an operator wants to carry out once, before it expires."""

    id: str
    environment: str
    operation: Operation
    parameters: Mapping[str, Parameter]
    requester: str
    expires_at: datetime
    nonce: bytes

    def digest(self) -> bytes:
        """Give the SHA-256 of the request's canonical JSON: sorted members, no spaces, whole seconds of UTC."""
        body = {
            "id": self.id,
            "environment": self.environment,
            "operation": self.operation,
            "parameters": dict(self.parameters),
            "requester": self.requester,
            "expiresAt": self.expires_at.astimezone(UTC).isoformat(),
            "nonce": self.nonce.hex(),
        }
        return sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).digest()

    def statement(self, verb: Verb) -> bytes:
        """Give the octets that are signed to say `verb` about this request.

        They cover the duties of operators, so that whoever signs anything acknowledges them anew, and in their present
        wording (controls.md KEY-13).
        """
        return b"\n".join((_LABEL, verb.encode(), self.digest().hex().encode(), _DUTIES_DIGEST))


@dataclass(frozen=True, slots=True)
class Decision:
    """What one operator signed about a request."""

    operator_id: str
    verb: Verb
    signature: bytes = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Case:
    """A request with everything that was signed about it, as it stood at `read_at` by the database's clock."""

    request: Request
    signature: bytes = field(repr=False)
    created_at: datetime
    consumed_at: datetime | None
    decisions: tuple[Decision, ...]
    operators: Mapping[str, Operator]
    read_at: datetime

    @property
    def requester(self) -> Operator:
        """Who asks."""
        return self.operators[self.request.requester]

    def state(self, needed: int) -> State:
        """Judge the request by a policy that wants the approval of `needed` others."""
        if self.consumed_at is not None:
            return State.EXECUTED
        if any(decision.verb is Verb.DENY and self._genuine(decision) for decision in self.decisions):
            return State.DENIED
        if self.read_at >= self.request.expires_at:
            return State.EXPIRED
        if not (self.requester.live and self._signed(self.requester, Verb.REQUEST, self.signature)):
            return State.INVALID
        return State.APPROVED if len(self.approvers()) >= needed else State.PENDING

    def approvers(self) -> frozenset[str]:
        """Give the persons whose approval counts."""
        return frozenset(operator.person for operator in self.approving())

    def approving(self) -> frozenset[Operator]:
        """Give the operators whose approval counts; a person may be there with more than one key."""
        approving = {
            self.operators[decision.operator_id]
            for decision in self.decisions
            if decision.verb is Verb.APPROVE and self._genuine(decision)
        }
        return frozenset(each for each in approving if each.live and each.person != self.requester.person)

    def _genuine(self, decision: Decision) -> bool:
        return self._signed(self.operators[decision.operator_id], decision.verb, decision.signature)

    def _signed(self, operator: Operator, verb: Verb, signature: bytes) -> bool:
        return verify(operator.public_key, self.request.statement(verb), signature)
