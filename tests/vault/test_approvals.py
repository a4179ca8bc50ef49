"""Dual control on a real database: who may ask, approve and carry out, and what is left of it in the audit queue (T-32)."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from keys.operatorkey import OperatorKey
from keys.sealed import KeyMaterial
from vault.approval import Operation, Parameter, State, Verb
from vault.approval_policy import DEFAULT, Policy
from vault.approvals import ApprovalNeeded, ApprovalRefused, DualControl
from vault.audit.events import ActorKind, Origin
from vault.db import Database
from vault.errors import Conflict, NotFound
from vault.operators import Operators
from vault.roles import OPERATOR
from vault.store import alarms

pytestmark = pytest.mark.anyio
ORIGIN = Origin(ActorKind.OPERATOR, "tests")
DESTROY = Operation.KEY_DESTROY
ALTERATIONS = (
    'parameters = \'{"key": "key_2"}\'',
    "operation = 'keys.seals.add'",
    "expires_at = expires_at + interval '1 day'",
    "nonce = '\\x00'",
    "requester = (select id from vault.operator where person = 'bob')",
)
THIS: dict[str, Parameter] = {"key": "key_1"}


@dataclass
class Office:
    """An installation's operators at work, and the database behind them."""

    database: Database
    root: "asyncpg.Connection[asyncpg.Record]"
    policy: Policy = DEFAULT
    done: int = 0

    def control(self, name: str) -> DualControl:
        async def signer() -> OperatorKey:
            return key_of(name)

        return DualControl(self.database, self.policy, "development", signer, ORIGIN)

    async def enrol(self, name: str, by: str = "", person: str = "") -> str:
        operators = Operators(self.database, self.control(by), ORIGIN)
        return (await operators.enrol(person or name, key_of(name).public_key)).id

    async def revoke(self, operator_id: str, by: str = "alice") -> bool:
        return await Operators(self.database, self.control(by), ORIGIN).revoke(operator_id)

    async def destroy(
        self, by: str = "alice", parameters: dict[str, Parameter] = THIS, others: asyncio.Barrier | None = None
    ) -> None:
        """Carry the operation out, which is an alarm here: something that changes rows."""

        async def work(database: Database) -> None:
            if others is not None:
                await others.wait()
            async with database.transaction() as transaction:
                self.done += 1
                await alarms.raise_alarm(transaction, ORIGIN, "", "done", f"{self.done}", {})

        await self.control(by).guarded(DESTROY, parameters, work)

    async def asked(self, by: str = "alice", parameters: dict[str, Parameter] = THIS) -> str:
        with pytest.raises(ApprovalNeeded) as needed:
            await self.destroy(by, parameters)
        return needed.value.request_id

    async def decide(self, name: str, request_id: str, verb: Verb = Verb.APPROVE) -> State:
        control = self.control(name)
        return control.state(await control.decide(request_id, verb))

    async def refusal(self, name: str, request_id: str, verb: Verb = Verb.APPROVE) -> str:
        with pytest.raises(ApprovalRefused) as refused:
            await self.control(name).decide(request_id, verb)
        return refused.value.reason

    async def alarms(self) -> int:
        return int(await self.root.fetchval("select count(*) from vault.alarm"))

    async def tamper(self, statement: str) -> None:
        """Change rows past everything, as somebody with the database's own login could."""
        async with self.root.transaction():
            await self.root.execute(
                "insert into vault.audit_pending (event_id, merchant_id, body) values ('x', '', '{}')"
            )
            await self.root.execute(statement)

    async def events(self) -> list[dict[str, Any]]:
        rows = await self.root.fetch("select body from vault.audit_pending order by xid, ord")
        return [json.loads(row["body"]) for row in rows]


def key_of(name: str) -> OperatorKey:
    return OperatorKey(KeyMaterial(name.encode().ljust(32)))


async def conflict(work: Awaitable[object]) -> str:
    """Await what has to be a conflict, and give what it says."""
    with pytest.raises(Conflict) as refused:
        await work
    return refused.value.detail or ""


@pytest.fixture
async def empty_office(database_url: str) -> AsyncIterator[Office]:
    database = Database(database_url, role=OPERATOR, pool_size=4)
    root = await asyncpg.connect(database_url, ssl=False)
    yield Office(database, root)
    await root.close()
    await database.close()


@pytest.fixture
async def office(empty_office: Office) -> Office:
    """Alice and Bob, who came first."""
    await empty_office.enrol("alice")
    await empty_office.enrol("bob")
    return empty_office


async def test_an_operation_waits_for_another_person_and_happens_once(office: Office) -> None:
    request = await office.asked()
    assert await office.asked() == request
    assert await office.decide("bob", request) is State.APPROVED
    await office.destroy()
    assert await office.alarms() == 1
    assert await office.asked() != request
    assert await office.refusal("bob", request) == "executed"


async def test_two_executions_at_once_are_one(office: Office) -> None:
    await office.decide("bob", await office.asked())
    others = asyncio.Barrier(3)
    results = await asyncio.gather(*(office.destroy(others=others) for _ in range(3)), return_exceptions=True)
    refused = [each for each in results if isinstance(each, ApprovalRefused)]
    assert ([each.reason for each in refused], await office.alarms()) == (["executed", "executed"], 1)


async def test_a_denial_and_an_execution_at_once_come_one_after_the_other(office: Office) -> None:
    for number in range(5):
        parameters: dict[str, Parameter] = {"number": number}
        request = await office.asked(parameters=parameters)
        await office.decide("bob", request)
        executed, denied = await asyncio.gather(
            office.destroy(parameters=parameters), office.decide("bob", request, Verb.DENY), return_exceptions=True
        )
        outcome = (executed is None, denied is State.DENIED)
        assert outcome in {(True, False), (False, True)}, (executed, denied)


async def test_approvals_that_come_at_once_all_count(office: Office) -> None:
    office.policy = Policy({DESTROY: 2})
    await office.enrol("carol")
    request = await office.asked()
    await asyncio.gather(office.decide("bob", request), office.decide("carol", request))
    await office.destroy()
    assert await office.alarms() == 1


async def test_nobody_approves_what_the_same_person_asked_for(office: Office) -> None:
    request = await office.asked()
    assert await office.refusal("alice", request) == "own_request"
    office.policy = Policy({DESTROY: 1})
    await office.enrol("alice's other key", by="bob", person="alice")
    assert await office.refusal("alice's other key", request) == "own_request"


async def test_a_person_with_two_keys_counts_once(office: Office) -> None:
    office.policy = Policy({DESTROY: 2})
    await office.enrol("bob's other key", by="alice", person="bob")
    await office.enrol("carol", by="alice")
    request = await office.asked()
    assert await office.decide("bob", request) is State.PENDING
    assert await office.decide("bob", request) is State.PENDING
    assert await office.decide("bob's other key", request) is State.PENDING
    assert await office.asked() == request
    assert await office.decide("carol", request) is State.APPROVED


async def test_an_approval_is_for_these_parameters_and_this_requester(office: Office) -> None:
    await office.decide("bob", await office.asked())
    await office.asked(parameters={"key": "key_2"})
    await office.asked(by="bob")
    assert await office.alarms() == 0


async def test_a_denial_after_an_approval_is_final(office: Office) -> None:
    request = await office.asked()
    await office.decide("bob", request)
    assert await office.decide("bob", request, Verb.DENY) is State.DENIED
    assert await office.refusal("bob", request) == "denied"
    assert await office.asked() != request
    assert await office.alarms() == 0


async def test_a_requester_may_withdraw(office: Office) -> None:
    assert await office.decide("alice", await office.asked(), Verb.DENY) is State.DENIED


async def test_who_is_revoked_between_approval_and_execution_does_not_count(office: Office) -> None:
    [_, bob] = await Operators(office.database, office.control("alice"), ORIGIN).listed()
    request = await office.asked()
    await office.decide("bob", request)
    assert await office.revoke(bob.id)
    assert not await office.revoke(bob.id)
    assert await office.asked() == request
    assert await office.refusal("bob", request) == "unknown_operator"
    assert await office.alarms() == 0


async def test_a_stranger_can_neither_ask_nor_approve(office: Office) -> None:
    assert await office.refusal("mallory", await office.asked()) == "unknown_operator"
    with pytest.raises(ApprovalRefused, match="no operator's"):
        await office.destroy(by="mallory")


async def test_an_expired_request_is_over(office: Office) -> None:
    request = await office.asked()
    await office.decide("bob", request)
    await office.tamper("update vault.approval_request set expires_at = now() - interval '1 second'")
    assert await office.refusal("bob", request) == "expired"
    assert await office.asked() != request


async def test_a_request_that_was_altered_in_the_database_is_worth_nothing(office: Office) -> None:
    for number, change in enumerate(ALTERATIONS):
        parameters: dict[str, Parameter] = {"number": number}
        request = await office.asked(parameters=parameters)
        await office.decide("bob", request)
        await office.tamper(f"update vault.approval_request set {change} where id = '{request}'")
        assert await office.refusal("bob", request) == "invalid", change
        assert await office.asked(parameters=parameters) != request, change


async def test_approvals_cannot_be_taken_to_another_request(office: Office) -> None:
    await office.decide("bob", await office.asked())
    await office.asked(parameters={"key": "key_2"})
    await office.tamper(
        "insert into vault.approval select r.id, a.operator_id, a.verb, a.signature from vault.approval a, "
        "vault.approval_request r where r.id <> a.request_id"
    )
    await office.asked(parameters={"key": "key_2"})


@pytest.mark.parametrize(
    ("between", "reason"),
    [
        ("update vault.approval_request set parameters = '{}'", "altered"),
        ("delete from vault.approval; delete from vault.approval_request", "altered"),
        ("update vault.approval_request set consumed_at = now()", "executed"),
        ("update vault.operator set revoked_at = now() where person = 'bob'", "pending"),
        ("update vault.operator set revoked_at = now() where person = 'alice'", "invalid"),
    ],
)
async def test_what_changes_after_the_permit_is_noticed_in_the_transaction(
    office: Office, between: str, reason: str
) -> None:
    await office.decide("bob", await office.asked())

    async def work(database: Database) -> None:
        await office.tamper(between)
        async with database.transaction() as transaction:
            await alarms.raise_alarm(transaction, ORIGIN, "", "done", "1", {})

    with pytest.raises(ApprovalRefused) as refused:
        await office.control("alice").guarded(DESTROY, THIS, work)
    assert (refused.value.reason, await office.alarms()) == (reason, 0)
    assert (await office.events())[-1]["reason"] == reason


async def test_an_operation_that_fails_keeps_its_approval(office: Office) -> None:
    await office.decide("bob", await office.asked())

    async def failing(database: Database) -> None:
        async with database.transaction():
            raise NotFound

    with pytest.raises(NotFound):
        await office.control("alice").guarded(DESTROY, THIS, failing)
    await office.destroy()


async def test_an_operation_of_several_transactions_consumes_its_approval_with_the_first(office: Office) -> None:
    request = await office.asked()
    await office.decide("bob", request)

    async def work(database: Database) -> list[State]:
        states = []
        for _ in range(2):
            async with database.transaction():
                states.append(office.control("alice").state(await office.control("alice").case(request)))
        return states

    done = await office.control("alice").guarded(DESTROY, THIS, work)
    assert done == [State.APPROVED, State.EXECUTED]


async def test_without_a_policy_nobody_is_asked(office: Office) -> None:
    office.policy = Policy({})
    await office.destroy(by="nobody")
    assert await office.alarms() == 1


async def test_only_the_first_two_persons_come_without_approval(empty_office: Office) -> None:
    office = empty_office
    await office.enrol("alice")
    await office.enrol("alice's other key", person="alice")
    bob = await office.enrol("bob")
    with pytest.raises(ApprovalNeeded) as needed:
        await office.enrol("carol", by="alice")
    assert await office.refusal("alice's other key", needed.value.request_id) == "own_request"
    await office.decide("bob", needed.value.request_id)
    await office.enrol("carol", by="alice")
    await office.revoke(bob)
    with pytest.raises(ApprovalNeeded):
        await office.enrol("dave", by="alice")


async def test_founders_who_come_at_once_are_two(empty_office: Office) -> None:
    await empty_office.enrol("alice")
    names = ("bob", "carol", "dave")
    results = await asyncio.gather(*(empty_office.enrol(name) for name in names), return_exceptions=True)
    assert sum(isinstance(each, str) for each in results) == 1
    assert all(isinstance(each, str | Conflict | ApprovalRefused) for each in results), results


async def test_a_founder_who_comes_too_late_is_told(office: Office) -> None:
    """The look at who is there, and the lock, are two moments."""
    operators = Operators(office.database, office.control("alice"), ORIGIN)
    carol = (await operators.listed())[0]
    assert "meanwhile" in await conflict(operators._insert(office.database, carol, founding=True))


async def test_a_key_belongs_to_one_operator_for_ever(office: Office) -> None:
    office.policy = Policy({})
    await office.revoke((await Operators(office.database, office.control("alice"), ORIGIN).listed())[1].id)
    assert "make another one" in await conflict(office.enrol("bob"))


async def test_there_are_as_many_persons_as_the_policy_allows(office: Office) -> None:
    office.policy = Policy({}, most_operators=2)
    assert "as many" in await conflict(office.enrol("carol"))
    await office.enrol("bob's other key", person="bob")


async def test_a_person_has_a_plain_name(office: Office) -> None:
    operators = Operators(office.database, office.control("alice"), ORIGIN)
    for name in ("", "a", "Alice", "4111111111111111", "alice bob", "älice", "a" * 65):
        with pytest.raises(ApprovalRefused, match="small letters"):
            await operators.enrol(name, key_of("carol").public_key)


async def test_what_is_not_there_is_said_to_be(office: Office) -> None:
    assert await office.refusal("bob", "apr_none") == "unknown_request"
    with pytest.raises(ApprovalRefused, match="no request"):
        await office.control("bob").case("apr_none")
    with pytest.raises(NotFound):
        await office.revoke("opr_none")


async def test_every_step_leaves_an_audit_event(office: Office) -> None:
    request = await office.asked()
    await office.refusal("alice", request)
    await office.decide("bob", request)
    await office.destroy()
    told = [(one["type"], one["actor"]["id"], one["objects"], one["reason"]) for one in await office.events()]
    ids = [each.id for each in await Operators(office.database, office.control("alice"), ORIGIN).listed()]
    assert told == [
        ("operator.created", "tests", ids[:1], None),
        ("operator.created", "tests", ids[1:], None),
        ("approval.requested", ids[0], [request], None),
        ("access.denied", "tests", [request], "own_request"),
        ("approval.given", ids[1], [request], None),
        ("approval.executed", ids[0], [request], None),
        ("alarm.raised", "tests", ["1"], "done"),
    ]
    executed = (await office.events())[-2]
    assert executed["details"] == {"operation": "keys.destroy", "approvers": ids[1]}
    assert executed["actor"]["key"] == ids[0]
    await office.decide("bob", await office.asked(), Verb.DENY)
    await office.revoke(ids[1])
    assert [one["type"] for one in await office.events()][-2:] == ["approval.denied", "operator.revoked"]


async def test_all_requests_are_listed_on_demand(office: Office) -> None:
    request = await office.asked()
    await office.decide("bob", request)
    await office.destroy()
    newer = await office.asked()
    control = office.control("alice")
    assert [case.request.id for case in await control.cases(everything=False)] == [newer]
    assert [case.request.id for case in await control.cases(everything=True)] == [newer, request]
