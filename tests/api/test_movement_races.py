"""Fifty at once, from two replicas, with lost answers among them: no bound is ever broken, here or at the gateway."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import httpx2
import pytest

from tests.api.conftest import QUICK
from tests.api.money import View, ask_capture, ask_refund, capture, captured, moved, refund
from tests.api.shop import Sql, paid, paid_in_silence, payment, problem, shown, waiting
from tests.api.test_capturing import due
from tests.installation import Blueprint, Installation, installed

pytestmark = pytest.mark.anyio
FAULTS = ["LOST_ANSWER", "RESET", "HTTP_500+NO_NOTIFICATION", "DECLINE:PROCESS_FAIL", "SLOW:100", "LATE_SUCCESS"]
FIFTY = range(50)
# On a slow machine so many at once wait for longer than the vault lets them: told to try again.
BUSY = {"database_unavailable", "deadline_exceeded"}
PATIENCE = 120


@pytest.fixture
async def replicas(blueprint: Blueprint, onboarded_url: str) -> AsyncIterator[tuple[Installation, Installation]]:
    """Two vaults on one database, in front of one gateway."""
    async with (
        installed(blueprint, onboarded_url, sandbox=QUICK) as first,
        installed(blueprint, onboarded_url, gateway_url=first.sandbox.url) as second,
    ):
        first.api.timeout = second.api.timeout = httpx2.Timeout(PATIENCE)
        yield first, second


def _total(entries: list[tuple[str, str]]) -> int:
    return sum(int(value) for _, value in entries)


def _amounts(view: View, kind: str, *statuses: str) -> int:
    return sum(int(each[f"{kind}Amount"]["value"]) for each in view[f"{kind}s"] if each["status"] in statuses)


async def _assert_the_gateway_had_nothing_to_refuse(sql: Sql) -> None:
    """What it refuses for its amount or state should not have been sent: the vault's own bounds come first."""
    rows = await sql.rows("select distinct result_code from vault.movement where result_code is not null")
    assert {row["result_code"] for row in rows} <= {"SUCCESS", "PROCESS_FAIL"}


async def _settled(vault: Installation, sql: Sql, view: View) -> View:
    """Work until nothing is open; a sender that never reached the gateway has long stopped by then."""
    async with asyncio.timeout(PATIENCE):
        while await sql.value("select count(*) from vault.movement where status in ('CREATED', 'PENDING')"):
            await sql.change("update vault.movement set send_deadline = now() - interval '1 hour'")
            await due(vault, sql)
            await asyncio.sleep(0.1)
    return await shown(vault, view["paymentId"])


@pytest.mark.parametrize("seed", range(2))
async def test_fifty_captures_at_once_never_take_more_than_was_authorised(
    replicas: tuple[Installation, Installation], sql: Sql, seed: int
) -> None:
    vault, chance = replicas[0], random.Random(seed)
    view = await paid(vault, payment())
    bodies = [capture(str(chance.randint(50, 300))) for _ in FIFTY]
    for body in chance.sample(bodies, 15):
        await vault.arm(body["captureRequestId"], chance.choice(FAULTS))
    answers = await asyncio.gather(*(ask_capture(chance.choice(replicas), view, body) for body in bodies))
    codes = Counter(answer.json().get("code", "made") for answer in answers)
    assert set(codes) <= {"made", "capture_amount_exceeded", "already_captured"} | BUSY, codes
    assert codes["made"] < 50
    open_or_done = await shown(vault, view["paymentId"])
    assert _amounts(open_or_done, "capture", "PENDING", "SUCCESS") <= 2590
    settled = await _settled(vault, sql, view)
    taken = await moved(vault, view, "capture")
    assert 0 < _total(taken) == _amounts(settled, "capture", "SUCCESS") <= 2590
    assert len({name for name, _ in taken}) == len(taken)
    sent = Counter(each["captureRequestId"] for each in await vault.sent(view["paymentRequestId"], "capture"))
    assert set(sent.values()) == {1}
    assert sent.keys() <= {each["captureRequestId"] for each in settled["captures"]}
    assert await sql.alarms() == set()
    await _assert_the_gateway_had_nothing_to_refuse(sql)


@pytest.mark.parametrize("seed", range(2))
async def test_fifty_refunds_at_once_never_give_back_more_than_was_captured(
    replicas: tuple[Installation, Installation], sql: Sql, seed: int
) -> None:
    vault, chance = replicas[0], random.Random(seed)
    view = await captured(vault, "2000")
    bodies = [refund(str(chance.randint(50, 300))) for _ in FIFTY]
    for body in chance.sample(bodies, 15):
        await vault.arm(body["refundRequestId"], chance.choice(FAULTS))
    answers = await asyncio.gather(*(ask_refund(chance.choice(replicas), view, body) for body in bodies))
    codes = Counter(answer.json().get("code", "made") for answer in answers)
    assert set(codes) <= {"made", "refund_amount_exceeded"} | BUSY, codes
    settled = await _settled(vault, sql, view)
    given = await moved(vault, view, "refund")
    assert 0 < _total(given) == _amounts(settled, "refund", "SUCCESS") <= 2000
    assert int(settled["refundedAmount"]["value"]) == _total(given)
    assert len({name for name, _ in given}) == len(given)
    assert await sql.alarms() == set()
    await _assert_the_gateway_had_nothing_to_refuse(sql)


async def test_fifty_requests_under_one_id_are_one_capture(replicas: tuple[Installation, Installation]) -> None:
    vault, body = replicas[0], capture("1000")
    view = await paid(vault, payment())
    answers = await asyncio.gather(*(ask_capture(replicas[number % 2], view, body) for number in FIFTY))
    assert {answer.json().get("code") for answer in answers} <= {None, "in_progress"} | BUSY
    assert len({answer.json()["captureId"] for answer in answers if answer.is_success}) == 1
    assert await moved(vault, view, "capture") == [(body["captureRequestId"], "1000")]
    assert len(await vault.sent(view["paymentRequestId"], "capture")) == 1


@asynccontextmanager
async def _held(url: str, view: View) -> AsyncIterator[None]:
    """Hold a payment's row for a while."""
    connection = await asyncpg.connect(url, ssl=False)
    try:
        async with connection.transaction():
            await connection.execute("select from vault.payment where id = $1 for update", view["paymentId"])
            yield
    finally:
        await connection.close()


async def test_one_id_for_two_payments_at_once_is_one_capture(
    vault: Installation, sql: Sql, onboarded_url: str
) -> None:
    slow, quick, body = await paid_in_silence(vault), await paid(vault, payment()), capture("1000")
    async with _held(onboarded_url, slow):
        late = asyncio.create_task(ask_capture(vault, slow, body))
        await waiting(sql, 1)
        assert (await ask_capture(vault, quick, body)).status_code == 201
    problem(await late, 409, "idempotency_conflict")
    assert (await moved(vault, slow, "capture"), len(await moved(vault, quick, "capture"))) == ([], 1)


async def test_a_repeat_that_waited_for_the_first_request_is_no_second_capture(
    vault: Installation, sql: Sql, onboarded_url: str
) -> None:
    view, body = await paid_in_silence(vault), capture()
    async with _held(onboarded_url, view):
        both = [asyncio.create_task(ask_capture(vault, view, body)) for _ in range(2)]
        await waiting(sql, 2)
    answers = [await each for each in both]
    assert {answer.json().get("code") for answer in answers} <= {None, "in_progress"}
    assert await moved(vault, view, "capture") == [(body["captureRequestId"], "2590")]


async def test_a_notification_and_an_answer_at_once_are_one_outcome(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, payment())
    bodies = [capture("100") for _ in range(10)]
    for body in bodies:
        await vault.arm(body["captureRequestId"], "NOTIFY_FIRST+DUPLICATE_NOTIFICATIONS")
    await asyncio.gather(*(ask_capture(vault, view, body) for body in bodies))
    assert len((await shown(vault, view["paymentId"]))["captures"]) == 10
    created, recorded = await sql.events("capture.created"), await sql.events("capture.recorded")
    assert len(created) == 10
    assert sorted(each["objects"][0] for each in recorded) == sorted(each["objects"][0] for each in created)
    assert await sql.alarms() == set()
