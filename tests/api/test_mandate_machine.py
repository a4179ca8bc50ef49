"""Any sequence of consents, charges by two billers at once, faults, cancellations and ends, against the gateway's ledger.

Whatever happens: nothing is authorised outside its mandate, and nothing twice for one interval.
"""

import asyncio
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.api.machine import Shop, open_shop
from tests.api.shop import store, stored
from tests.api.subscriptions import attempt, charge, consent, recorded, shown_mandate
from tests.installation import Blueprint

CAP = 5000
DAYS = 10
FAULTS = ["DECLINE:DO_NOT_HONOR", "REQUIRE_3DS", "LATE_SUCCESS", "LOST_ANSWER", "BAD_SIGNATURE", "RESET", "SLOW:60"]
BILL = st.tuples(
    st.sampled_from([1, CAP, CAP + 1]),
    st.sampled_from(["EUR", "EUR", "EUR", "USD"]),
    st.none() | st.sampled_from(FAULTS),
)


@pytest.fixture
def shop(blueprint: Blueprint, onboarded_url: str) -> Iterator[Shop]:
    with open_shop(blueprint, onboarded_url) as shop:
        yield shop


class Billing(RuleBasedStateMachine):
    """One mandate, two billers who do not know of each other."""

    shop: ClassVar[Shop]
    numbers: ClassVar[Iterator[int]] = iter(range(1_000_000))

    @initialize(kind=st.sampled_from(["SCHEDULED", "UNSCHEDULED"]))
    def agree(self, kind: str) -> None:
        """Record a mandate of a buyer of its own."""
        self.asked: dict[str, tuple[int, str]] = {}
        self.ended = False
        self.refused: set[str] = set()
        self.period = 0
        self.periods: dict[str, int] = {}
        self.mandate = self.shop.run(self._recorded(kind))

    async def _recorded(self, kind: str) -> dict[str, Any]:
        card = await stored(self.shop.vault, store(buyer=f"buyer-{next(self.numbers)}"))
        terms = {"maxAmount": {"currency": "EUR", "value": str(CAP)}, "minimumIntervalDays": DAYS}
        return await recorded(self.shop.vault, consent(cardId=card["cardId"], recurringType=kind, **terms))

    @rule(first=BILL, second=BILL)
    def bill_twice_at_once(self, first: tuple[int, str, str | None], second: tuple[int, str, str | None]) -> None:
        """Let both billers charge at the same time."""
        self.shop.run(self._billed([first, second]))

    async def _billed(self, bills: list[tuple[int, str, str | None]]) -> None:
        bodies = []
        for value, currency, fault in bills:
            body = charge(str(value), currency)
            if fault is not None:
                await self.shop.vault.arm(body["paymentRequestId"], fault)
            self.asked[body["paymentRequestId"]] = (value, currency)
            self.periods[body["paymentRequestId"]] = self.period
            bodies.append(body)
        answers = await asyncio.gather(*(attempt(self.shop.vault, self.mandate, body) for body in bodies))
        for body, answer in zip(bodies, answers, strict=True):
            if answer.status_code in {201, 202}:
                assert not self.ended
                assert answer.json()["nextAction"] is None
            else:
                assert answer.status_code in {409, 422}, answer.text
                assert answer.json()["code"].startswith("mandate_")
                self.refused.add(body["paymentRequestId"])

    @rule()
    def resolve(self) -> None:
        """Do what a worker would do now."""
        self.shop.run(self._worked())

    async def _worked(self) -> None:
        await self.shop.sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
        await self.shop.vault.work()

    @rule()
    def let_an_interval_pass(self) -> None:
        """Let everything have happened that much earlier; what is still open has to be found out before."""
        self.period += 1
        self.shop.run(
            self.shop.sql.change(
                "update vault.payment set created_at = created_at - make_interval(days => $1) where mandate_id = $2",
                DAYS,
                self.mandate["mandateId"],
            )
        )

    @rule()
    def void(self) -> None:
        """Cancel the newest charge."""
        self.shop.run(self._voided())

    async def _voided(self) -> None:
        payment_id = await self.shop.sql.value(
            "select id from vault.payment where mandate_id = $1 order by created_at desc limit 1",
            self.mandate["mandateId"],
        )
        if payment_id is not None:
            answer = await self.shop.vault.api.post(f"/v1/payments/{payment_id}/cancel", json={})
            assert answer.status_code in {200, 202, 409}, answer.text

    @precondition(lambda self: not self.ended and self.period)
    @rule()
    def end(self) -> None:
        """End the mandate."""
        answer = self.shop.run(self.shop.vault.api.delete(f"/v1/mandates/{self.mandate['mandateId']}"))
        assert answer.status_code == 204
        self.ended = True

    @invariant()
    def nothing_is_authorised_outside_the_mandate(self) -> None:
        """Read the gateway's own book."""
        self.shop.run(self._checked())

    async def _checked(self) -> None:
        rows = (await self.shop.vault.sandbox_api.get("/_sandbox/ledger")).json()
        mine = [row for row in rows if row["paymentRequestId"] in self.asked]
        standing: list[int] = []
        for row in mine:
            assert row["paymentRequestId"] not in self.refused
            assert row["amount"]["currency"] == "EUR"
            assert int(row["amount"]["value"]) <= CAP
            if row["status"] == "AUTHORISED":
                standing.append(self.periods[row["paymentRequestId"]])
        assert len(standing) == len(set(standing)), "two charges stand for one interval"
        status = (await shown_mandate(self.shop.vault, self.mandate))["status"]
        assert status == ("ENDED" if self.ended else "ACTIVE")


def test_no_sequence_charges_outside_the_mandate_or_twice_for_one_interval(shop: Shop) -> None:
    """T-30."""
    Billing.shop = shop
    run_state_machine_as_test(
        Billing,
        settings=settings(
            max_examples=12,
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
