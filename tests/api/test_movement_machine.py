"""Any sequence of captures, refunds, voids and faults on one authorisation, against the gateway's ledger.

Whatever happens: no bound is broken at the gateway, and once everything is known both sides tell the same story.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import httpx2
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.api.machine import Shop, open_shop
from tests.api.money import View, ask_cancel, ask_capture, ask_refund, capture, refund
from tests.api.shop import paid, payment, shown
from tests.installation import Blueprint

AUTHORISED = 2590
FAULTS = ["DECLINE:PROCESS_FAIL", "LATE_SUCCESS", "LOST_ANSWER", "BAD_SIGNATURE", "RESET", "SLOW:60", "NOTIFY_FIRST"]
MOVE = st.tuples(
    st.sampled_from(["capture", "capture", "refund"]),
    st.sampled_from([1, 500, 1295, AUTHORISED]),
    st.none() | st.sampled_from(FAULTS),
    st.booleans(),
)
Move = tuple[str, int, str | None, bool]
REFUSALS = {
    "already_captured",
    "cancellation_pending",
    "capture_amount_exceeded",
    "capture_pending",
    "not_captured",
    "payment_not_cancellable",
    "payment_not_capturable",
    "payment_not_refundable",
    "refund_amount_exceeded",
}


@pytest.fixture
def shop(blueprint: Blueprint, onboarded_url: str) -> Iterator[Shop]:
    with open_shop(blueprint, onboarded_url) as shop:
        yield shop


class Money(RuleBasedStateMachine):
    """One authorisation, and two clerks who do not know of each other."""

    shop: ClassVar[Shop]

    @initialize()
    def authorise(self) -> None:
        """Pay, to be captured by hand."""
        self.asked: set[str] = set()
        self.view = self.shop.run(paid(self.shop.vault, payment()))

    @rule(first=MOVE, second=MOVE)
    def move_twice_at_once(self, first: Move, second: Move) -> None:
        """Let both clerks capture or refund at the same time."""
        self.shop.run(self._moved([first, second]))

    async def _moved(self, moves: list[Move]) -> None:
        vault, asking = self.shop.vault, []
        for kind, value, fault, last in moves:
            body = capture(str(value), isLastCapture=last) if kind == "capture" else refund(str(value))
            request_id = body[f"{kind}RequestId"]
            self.asked.add(request_id)
            if fault is not None:
                await vault.arm(request_id, fault)
            asking.append((ask_capture if kind == "capture" else ask_refund)(vault, self.view, body))
        for answer in await asyncio.gather(*asking):
            self._expected(answer)

    def _expected(self, answer: httpx2.Response) -> None:
        assert answer.is_success or answer.json()["code"] in REFUSALS, answer.text

    @rule(move=MOVE)
    def capture_and_void_at_once(self, move: Move) -> None:
        """Let one clerk void what the other captures or refunds."""
        self.shop.run(self._raced(move))

    async def _raced(self, move: Move) -> None:
        voiding, _ = await asyncio.gather(ask_cancel(self.shop.vault, self.view), self._moved([move]))
        self._expected(voiding)

    @rule()
    def resolve(self) -> None:
        """Do what a worker would do some time later."""
        self.shop.run(self._worked())

    async def _worked(self) -> None:
        await self.shop.sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
        await self.shop.vault.work()

    @invariant()
    def the_gateway_never_moves_too_much(self) -> None:
        """Read the gateway's own book."""
        self.shop.run(self._checked())

    async def _row(self) -> View:
        (row,) = await self.shop.vault.ledger(self.view["paymentRequestId"])
        return row

    async def _checked(self) -> None:
        row = await self._row()
        taken, given = _total(row["captures"]), _total(row["refunds"])
        assert given <= taken <= AUTHORISED
        assert row["status"] == "AUTHORISED" or taken == 0
        names = [each["captureRequestId"] for each in row["captures"]]
        names += [each["refundRequestId"] for each in row["refunds"]]
        assert len(names) == len(set(names))
        assert set(names) <= self.asked

    def teardown(self) -> None:
        """Find everything out, and compare both books."""
        self.shop.run(self._compared())

    async def _compared(self) -> None:
        async with asyncio.timeout(60):
            while await self.shop.sql.value(
                "select count(*) from vault.movement where status in ('CREATED', 'PENDING')"
            ):
                await self.shop.sql.change("update vault.movement set send_deadline = now() - interval '1 hour'")
                await self._worked()
                await asyncio.sleep(0.05)
            await self._worked()
        settled, row = await shown(self.shop.vault, self.view["paymentId"]), await self._row()
        for kind in ("capture", "refund"):
            done = {
                each[f"{kind}RequestId"]: each[f"{kind}Amount"]
                for each in settled[f"{kind}s"]
                if each["status"] == "SUCCESS"
            }
            assert done == {each[f"{kind}RequestId"]: each["amount"] for each in row[f"{kind}s"]}
            codes = {each["gateway"]["resultCode"] for each in settled[f"{kind}s"]}
            assert codes <= {None, "SUCCESS", "PROCESS_FAIL"}, (
                "the gateway had to refuse what should not have been sent"
            )
        assert (settled["paymentStatus"] == "CANCELLED") is (row["status"] == "CANCELLED")
        assert await self.shop.sql.alarms() == set()


def _total(entries: list[dict[str, Any]]) -> int:
    return sum(int(each["amount"]["value"]) for each in entries)


def test_no_sequence_takes_more_than_was_authorised_or_gives_back_more_than_was_taken(shop: Shop) -> None:
    """T-30."""
    Money.shop = shop
    run_state_machine_as_test(
        Money,
        settings=settings(
            max_examples=12,
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
