"""What is signed about a request, and when enough have signed (T-32)."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keys.operatorkey import OperatorKey
from keys.sealed import KeyMaterial
from vault.approval import Case, Decision, Operation, Operator, Request, State, Verb

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Signer:
    """An operator with the key."""

    operator: Operator
    key: OperatorKey


def signer(name: str, person: str = "") -> Signer:
    key = OperatorKey(KeyMaterial(name.encode().ljust(32)))
    return Signer(Operator(f"opr_{name}", person or name, key.public_key, NOW), key)


ALICE, BOB, CAROL = signer("alice"), signer("bob"), signer("carol")
BOB_AGAIN = signer("bob2", "bob")
ALICE_AGAIN = signer("alice2", "alice")
EVERYBODY = {each.operator.id: each.operator for each in (ALICE, BOB, CAROL, BOB_AGAIN, ALICE_AGAIN)}
REQUEST = Request(
    id="apr_1",
    environment="production",
    operation=Operation.KEY_DESTROY,
    parameters={"key": "key_1", "count": 3, "undo": False, "reason": None},
    requester=ALICE.operator.id,
    expires_at=NOW + timedelta(hours=1),
    nonce=bytes(32),
)
OTHERS: list[dict[str, Any]] = [
    {"id": "apr_2"},
    {"environment": "development"},
    {"operation": Operation.SEAL_ADD},
    {"parameters": {**REQUEST.parameters, "key": "key_2"}},
    {"parameters": {**REQUEST.parameters, "count": "3"}},
    {"requester": BOB.operator.id},
    {"expires_at": NOW + timedelta(hours=2)},
    {"nonce": bytes(31) + b"\1"},
]


def decision(by: Signer, verb: Verb = Verb.APPROVE, request: Request = REQUEST) -> Decision:
    return Decision(by.operator.id, verb, by.key.sign(request.statement(verb)), NOW)


def case(*decisions: Decision, **changes: Any) -> Case:
    values: dict[str, Any] = {
        "request": REQUEST,
        "signature": ALICE.key.sign(REQUEST.statement(Verb.REQUEST)),
        "created_at": NOW,
        "consumed_at": None,
        "decisions": decisions,
        "operators": EVERYBODY,
        "read_at": NOW,
    }
    return Case(**(values | changes))


def revoked(*signers: Signer) -> dict[str, Operator]:
    return EVERYBODY | {each.operator.id: replace(each.operator, revoked_at=NOW) for each in signers}


@pytest.mark.parametrize("change", OTHERS, ids=lambda change: next(iter(change)))
def test_a_signature_fits_no_other_request(change: dict[str, Any]) -> None:
    other = replace(REQUEST, **change)
    assert other.digest() != REQUEST.digest()
    assert case(decision(BOB), request=other).approvers() == frozenset()


def test_the_order_of_parameters_and_the_zone_do_not_matter() -> None:
    shuffled = dict(reversed(list(REQUEST.parameters.items())))
    zone = REQUEST.expires_at.astimezone(tz=None)
    assert replace(REQUEST, parameters=shuffled, expires_at=zone).digest() == REQUEST.digest()


def test_what_is_signed_never_changes() -> None:
    """A changed encoding would end every approval that is under way."""
    assert REQUEST.statement(Verb.APPROVE) == (
        b"cardvault/approval/v1\napprove\n"
        b"a44207f112569ae12eaa86b20e2030bbbc065d6e6e4fb86d7edfd9593b4f2960\n"
        b"a379441e86257da1ec3618ac534d221fdf29c06af2f3eea869972484b3a666e8"
    )


def test_a_request_waits_until_enough_have_approved() -> None:
    assert case().state(1) is State.PENDING
    assert case(decision(BOB)).state(1) is State.APPROVED
    assert case(decision(BOB)).state(2) is State.PENDING
    assert case(decision(BOB), decision(CAROL)).state(2) is State.APPROVED


def test_the_requester_does_not_count_under_any_key() -> None:
    assert case(decision(ALICE), decision(ALICE_AGAIN)).approvers() == frozenset()


def test_a_person_with_two_keys_counts_once() -> None:
    assert case(decision(BOB), decision(BOB_AGAIN)).state(2) is State.PENDING


def test_a_denial_is_final_whatever_came_before_and_after() -> None:
    denied = case(decision(BOB), decision(BOB, Verb.DENY), decision(CAROL))
    assert denied.state(1) is State.DENIED


def test_a_denial_stays_when_its_operator_is_revoked() -> None:
    assert case(decision(BOB, Verb.DENY), operators=revoked(BOB)).state(1) is State.DENIED


def test_an_approval_is_not_taken_for_a_denial_or_a_request() -> None:
    for verb in (Verb.DENY, Verb.REQUEST):
        forged = replace(decision(BOB), signature=decision(BOB, verb).signature)
        assert case(forged).state(1) is State.PENDING
    unsigned = replace(decision(BOB, Verb.DENY), signature=decision(BOB).signature)
    assert case(unsigned).state(1) is State.PENDING


def test_a_signature_under_another_name_does_not_count() -> None:
    assert case(replace(decision(BOB), operator_id=CAROL.operator.id)).approvers() == frozenset()


def test_what_a_revoked_operator_approved_no_longer_counts() -> None:
    assert case(decision(BOB), operators=revoked(BOB)).state(1) is State.PENDING


def test_a_revoked_requester_gets_nothing() -> None:
    assert case(decision(BOB), operators=revoked(ALICE)).state(1) is State.INVALID


def test_a_request_that_its_requester_did_not_sign_is_invalid() -> None:
    assert case(decision(BOB), signature=decision(BOB).signature).state(1) is State.INVALID


def test_a_request_ends_at_its_very_moment() -> None:
    last = REQUEST.expires_at - timedelta(microseconds=1)
    assert case(decision(BOB), read_at=last).state(1) is State.APPROVED
    assert case(decision(BOB), read_at=REQUEST.expires_at).state(1) is State.EXPIRED


def test_what_was_carried_out_stays_so() -> None:
    assert case(decision(BOB), decision(CAROL, Verb.DENY), consumed_at=NOW).state(1) is State.EXECUTED
