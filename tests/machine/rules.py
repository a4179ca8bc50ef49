"""Any sequence of everything that merchants, buyers, clerks, billers, the post, the clock and death can do to payments.

Two vaults share the database and nothing else; what is asked twice at once is asked of both. Whatever happens, the
invariants of `books` hold after every step, and in the end both books tell the same story.
"""

import asyncio
import itertools
import random
from collections.abc import Awaitable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.api import money
from tests.api.shop import card_on_file, payment, store
from tests.api.subscriptions import charge, consent
from tests.api.vaultings import keep, vaulting_session
from tests.canary import CVV_CANARY, VISA_CANARY
from tests.faults.steps import Step
from tests.machine import books
from tests.machine.asked import CHARGING, FAULTS, MOVING, MOVING_FAULTS, STORED, Card, Mandate, Payment, Vaulting
from tests.machine.dying import STEPS
from tests.machine.world import VAULTS, Answer, Json, Stage

CAP = 5000
DAYS = 10
FEW = 5
PATIENCE = 60.0
PAY = st.fixed_dictionaries(
    {
        "way": st.sampled_from(["typed", "typed", "page", "session", "stored", "stored"]),
        "keep": st.sampled_from([None, "GATEWAY", "VAULT", "BOTH"]),
        "mode": st.sampled_from(["MANUAL", "MANUAL", "AUTOMATIC"]),
        "challenged": st.sampled_from([False, False, True]),
        "fault": st.none() | st.sampled_from(FAULTS),
    }
)
PLAIN: Json = {"way": "typed", "keep": None, "mode": "MANUAL", "challenged": False, "fault": None}
MOVE = st.tuples(
    st.sampled_from(["capture"] * 4 + ["refund"] * 2 + ["cancel"]),
    st.sampled_from(["500", "1295", "1296", "2590"]),
    st.none() | st.sampled_from(MOVING_FAULTS),
    st.sampled_from([False, False, False, True]),
)
Move = tuple[str, str, str | None, bool]
BILL = st.tuples(
    st.sampled_from([1, 700, CAP, CAP + 1]),
    st.sampled_from(["EUR"] * 7 + ["USD"]),
    st.none() | st.sampled_from(FAULTS),
)
Bill = tuple[int, str, str | None]
KIND = st.sampled_from(["SCHEDULED", "UNSCHEDULED"])
ANY = st.integers(0, 99)
VAULT = st.sampled_from(VAULTS)
VISIT = st.sampled_from([None, "success", "success", "fail"])
DEATH = st.sampled_from([None] * 2 * len(STEPS) + list(STEPS))


class Anything(RuleBasedStateMachine):
    """One buyer, two vaults."""

    stage: ClassVar[Stage]
    numbers: ClassVar = itertools.count()
    failures: ClassVar[list[Exception]] = []

    @initialize()
    def come(self) -> None:
        """Begin with a buyer whom nobody knows."""
        self.world = self.stage.world
        self.buyer = f"buyer-{next(self.numbers)}"
        self.payments: dict[str, Payment] = {}
        self.vaultings: dict[str, Vaulting] = {}
        self.cards: dict[str, Card] = {}
        self.mandate: Mandate | None = None
        self.begun = False  # what a rule waits for must not depend on answers, or Hypothesis cannot follow
        self.last: dict[str, str] = {}
        self.mark = len(self.world.sandbox.book.rows)
        self.told = self._run(self.world.sql.mark())
        self.world.post.closed = False

    def _run(self, work: Awaitable[Any]) -> Any:
        try:
            return self.stage.run(work)
        except (AssertionError, TimeoutError) as failure:
            self.failures.append(failure)
            raise

    # What merchants and buyers do.

    @rule(wanted=PAY, twice=st.booleans(), visit=VISIT, closed=st.booleans(), death=DEATH)
    def pay(self, wanted: Json, *, twice: bool, visit: str | None, closed: bool, death: Step | None) -> None:
        """Pay by any way, at one vault or with the same request at both; the buyer may go to the page at once."""
        self.begun = True
        self.world.post.closed = closed
        self._run(self._paid(wanted, VAULTS if twice else VAULTS[:1], visit, death))

    async def _paid(self, wanted: Json, vaults: tuple[int, ...], visit: str | None, death: Step | None) -> None:
        asked = self._payment(wanted["way"], wanted["keep"], challenged=wanted["challenged"])
        asked.body["captureMode"] = wanted["mode"]
        self.payments[asked.request_id] = asked
        await self.world.die_at(death)
        await self._asked(asked, wanted["fault"], vaults, STORED)
        if visit and asked.page:
            await self._visited(asked.page, visit)

    def _payment(self, way: str, keep: str | None, *, challenged: bool) -> Payment:
        here = [card for card in self.cards.values() if card.active and not card.gone]
        if way == "stored" and here:
            return Payment(f"/v1/cards/{here[-1].card_id}/payments", card_on_file(self.buyer))
        body = payment(buyer=self.buyer, is3DSAuthentication=challenged)
        if way in {"page", "session"}:
            del body["card"]
            keep = "GATEWAY" if keep else None
        if keep:
            body["storeCard"] = keep
        return Payment("/v1/payment-sessions" if way == "session" else "/v1/payments", body)

    async def _asked(self, asked: Payment, fault: str | None, vaults: tuple[int, ...], refusals: set[str]) -> None:
        if fault is not None:
            await self.world.arm(asked.request_id, fault)
        asking = (self.world.ask(number, "POST", asked.path, asked.body) for number in vaults)
        self._heard(asked, await asyncio.gather(*asking), refusals)

    def _heard(self, asked: Payment, answers: list[Answer | None], refusals: set[str]) -> None:
        first_made = sorted(answers, key=lambda answer: answer is None or not answer.done or answer.replayed)
        for answer in first_made:
            asked.hear(answer, refusals)
            self._met(answer.body.get("card") if answer and answer.done else None)

    def _met(self, card: Json | None) -> None:
        """Remember a card that a vault has shown."""
        if card and card["status"] in {"ACTIVE", "PENDING"}:
            known = self.cards.setdefault(card["cardId"], Card(card["cardId"]))
            known.active = known.active or card["status"] == "ACTIVE"

    @rule(wanted=PAY, twice=st.booleans(), visit=VISIT, death=DEATH)
    def store(self, wanted: Json, *, twice: bool, visit: str | None, death: Step | None) -> None:
        """Store a card at the gateway without a payment, typed here or in a session."""
        self.begun = True
        if wanted["way"] in {"page", "session"}:
            asked = Vaulting("/v1/vaulting-sessions", vaulting_session(referenceBuyerId=self.buyer))
        else:
            asked = Vaulting("/v1/cards", keep(buyer=self.buyer, is3DSAuthentication=wanted["challenged"]))
        self.vaultings[asked.request_id] = asked
        self._run(self._stored(asked, wanted["fault"], VAULTS if twice else VAULTS[:1], visit, death))

    async def _stored(
        self, asked: Vaulting, fault: str | None, vaults: tuple[int, ...], visit: str | None, death: Step | None
    ) -> None:
        if fault is not None:
            await self.world.arm(asked.request_id, fault)
        await self.world.die_at(death)
        asking = (self.world.ask(number, "POST", asked.path, asked.body) for number in vaults)
        for answer in await asyncio.gather(*asking):
            asked.hear(answer)
            if answer and answer.done:
                self._met(answer.body if "cardId" in answer.body else answer.body.get("card"))
        if visit and asked.page:
            await self._visited(asked.page, visit)

    @precondition(lambda self: self.begun)
    @rule(which=ANY, number=VAULT)
    def store_again(self, which: int, number: int) -> None:
        """Ask again for a card to be stored, as a merchant does who has lost the answer."""
        if self.vaultings:
            asked = list(self.vaultings.values())[which % len(self.vaultings)]
            self._run(self._stored(asked, None, (number,), None, None))

    @precondition(lambda self: self.begun)
    @rule(which=ANY, number=VAULT)
    def repeat(self, which: int, number: int) -> None:
        """Send a request again, as a merchant does who has lost the answer."""
        if not self.payments:
            return
        asked = list(self.payments.values())[which % len(self.payments)]
        now = self.mandate and (self.mandate.mandate_id, self.mandate.interval)
        if asked.payment_id is None and asked.interval not in {None, now}:
            return  # it may not have been made then, and would be made now, for another interval
        refusals = STORED if asked.interval is None else CHARGING
        self._run(self._asked(asked, None, (number,), refusals))

    @precondition(lambda self: self.begun)
    @rule(which=ANY, outcome=st.sampled_from(["success", "fail"]))
    def visit(self, which: int, outcome: str) -> None:
        """Be the buyer on the page of the gateway or of the bank, some time later."""
        pages = [each.page for each in self._all() if each.page and not each.shut]
        if pages:
            self._run(self._visited(pages[which % len(pages)], outcome))

    def _all(self) -> list[Payment | Vaulting]:
        return [*self.payments.values(), *self.vaultings.values()]

    async def _visited(self, page: str, outcome: str) -> None:
        card = {"cardNo": VISA_CANARY, "cvv": CVV_CANARY, "expiryMonth": "11", "expiryYear": "39", "save": "true"}
        answer = await self.world.browser.post(page, data=card | {"outcome": outcome})
        assert answer.status_code in {200, 303}, answer.text

    @precondition(lambda self: self.begun)
    @rule(which=ANY, number=VAULT)
    def delete_card(self, which: int, number: int) -> None:
        """Delete a card, and with it what was agreed about it."""
        if not self.cards:
            return
        card = list(self.cards.values())[which % len(self.cards)]
        self._run(self._deleted(card, number))

    async def _deleted(self, card: Card, number: int) -> None:
        answer = await self.world.ask(number, "DELETE", f"/v1/cards/{card.card_id}")
        if answer is not None:
            # The card may have another name, or a buyer who has not come yet and may not come.
            sure = card.active and not card.gone and not self.vaultings
            assert answer.status in ({204} if sure else {204, 404, 410}), answer
            card.gone = True

    # What clerks do.

    @rule(which=ANY, first=MOVE, second=MOVE, death=DEATH)
    def move_twice_at_once(self, which: int, first: Move, second: Move, death: Step | None) -> None:
        """Capture, refund or void one payment at both vaults at the same time."""
        self._run(self._moved(which, (first, second), death))

    async def _moved(self, which: int, moves: tuple[Move, Move], death: Step | None) -> None:
        paid = await self._movable(which)
        if paid is None:
            return
        await self.world.die_at(death)
        for answer in await asyncio.gather(*(self._move(number, paid, move) for number, move in enumerate(moves))):
            assert answer is None or answer.done or answer.code in MOVING, answer

    async def _movable(self, which: int) -> Payment | None:
        """Choose a payment: mostly one on which money can still move, made for it where there is none."""
        known = [each for each in self.payments.values() if each.payment_id]
        if which % 4 == 0 and known:
            return known[which % len(known)]
        good = [each for each in known if each.status == "SUCCESS" and len(each.moves) < FEW]
        if not good:
            await self._paid(PLAIN, VAULTS[:1], None, None)
            good = [each for each in self.payments.values() if each.payment_id and not each.moves][-1:]
        return good[which % len(good)] if good else None

    async def _move(self, number: int, paid: Payment, move: Move) -> Answer | None:
        kind, value, fault, last = move
        path = f"/v1/payments/{paid.payment_id}"
        if kind == "cancel":
            return await self.world.ask(number, "POST", f"{path}/cancel", {})
        body = money.capture(value, isLastCapture=last) if kind == "capture" else money.refund(value)
        request_id = body[f"{kind}RequestId"]
        paid.moves.add(request_id)
        if fault is not None:
            await self.world.arm(request_id, fault)
        return await self.world.ask(number, "POST", f"{path}/{kind}s", body)

    # What billers do.

    @rule(kind=KIND, first=BILL, second=BILL, death=DEATH, later=st.booleans())
    def bill_twice_at_once(self, kind: str, first: Bill, second: Bill, death: Step | None, *, later: bool) -> None:
        """Charge one mandate at both vaults at the same time: in the next interval, or once more in the last one."""
        if self.mandate is None or (self.mandate.over and first[0] > 1):
            self._run(self._agreed(kind))
        if self.mandate is not None:
            self._run(self._billed(self.mandate, (first, second), death, later=later))

    async def _agreed(self, kind: str) -> None:
        stored = await self.world.ask(0, "POST", "/v1/cards", store(buyer=self.buyer))
        if stored is None:
            return
        self._met(stored.body)
        card = self.cards[stored.body["cardId"]]
        terms = {"maxAmount": {"currency": "EUR", "value": str(CAP)}, "minimumIntervalDays": DAYS}
        agreed = await self.world.ask(
            1, "POST", "/v1/mandates", consent(cardId=card.card_id, recurringType=kind, **terms)
        )
        if agreed is not None:
            assert agreed.done, agreed
            self.mandate = Mandate(agreed.body["mandateId"], card)

    async def _billed(self, mandate: Mandate, bills: tuple[Bill, Bill], death: Step | None, *, later: bool) -> None:
        if later:  # every charge was made that much earlier
            mandate.interval += 1
            earlier = "set created_at = created_at - make_interval(days => $1) where mandate_id = $2"
            await self.world.sql.change(f"update vault.payment {earlier}", DAYS, mandate.mandate_id)
        charges = []
        for value, currency, _ in bills:
            asked = Payment(f"/v1/mandates/{mandate.mandate_id}/payments", charge(str(value), currency))
            asked.interval = (mandate.mandate_id, mandate.interval)
            self.payments[asked.request_id] = asked
            charges.append(asked)
        await self.world.die_at(death)
        asking = (
            self._asked(asked, bills[number][2], (number,), CHARGING | STORED) for number, asked in enumerate(charges)
        )
        await asyncio.gather(*asking)
        assert all(each.page is None for each in charges), "nobody is there to go to a page"
        assert not mandate.over or all(each.payment_id is None for each in charges), "charged after its end"

    @rule(number=VAULT, of_card=st.booleans())
    def end(self, number: int, *, of_card: bool) -> None:
        """End the mandate, or delete its card."""
        if self.mandate is None or self.mandate.over:
            return
        if of_card:
            self._run(self._deleted(self.mandate.card, number))
            return
        answer = self._run(self.world.ask(number, "DELETE", f"/v1/mandates/{self.mandate.mandate_id}"))
        if answer is not None:
            assert answer.status == 204, answer
            self.mandate.ended = True

    # What the post, the workers, the clock and death do.

    @rule(seed=ANY, again=st.integers(0, 3))
    def bring_letters(self, seed: int, again: int) -> None:
        """Bring some of what was kept back in any order, and some that came before once more."""
        self._run(self._brought(random.Random(seed), again))

    async def _brought(self, chance: random.Random, again: int) -> None:
        post = self.world.post
        chance.shuffle(post.kept)
        some = chance.randint(0, len(post.kept))
        letters, post.kept = post.kept[:some], post.kept[some:]
        letters += chance.choices(post.brought, k=again) if post.brought else []
        for letter, status in zip(letters, await asyncio.gather(*map(post.bring, letters)), strict=True):
            if status != 200:
                post.kept.append(letter)

    @rule(numbers=st.sampled_from([(0,), (1,), VAULTS]), death=DEATH)
    def work(self, numbers: tuple[int, ...], death: Step | None) -> None:
        """Let one worker, or both at once, do what is due."""
        self._run(self.world.die_at(death))
        self._run(self._worked(numbers))

    async def _worked(self, numbers: tuple[int, ...] = VAULTS) -> None:
        await self.world.sql.change(
            "update vault.payment_inquiry set next_at = now() - interval '1 second', attempts = 0"
        )
        for table in ("orphan_capture", "vaulting_inquiry", "token_deletion"):
            await self.world.sql.change(f"update vault.{table} set next_at = now() - interval '1 second'")
        await asyncio.gather(*map(self.world.work, numbers))

    @rule(pages=st.booleans(), holds=st.booleans(), number=st.sampled_from([None] * 5 + list(VAULTS)))
    def let_time_pass(self, number: int | None, *, pages: bool, holds: bool) -> None:
        """Let the time of every sender be over, that of open pages and authorisations too; renew a vault."""
        self._run(self._passed(pages=pages))
        if not holds:
            over = "set authorisation_expires_at = now() - interval '1 hour' where buyer = $1"
            self._run(self.world.sql.change(f"update vault.payment {over}", self.buyer))
        if number is not None:
            self._run(self.world.restart(number))

    async def _passed(self, *, pages: bool) -> None:
        """Move the clock for one buyer; nobody sends anything meanwhile."""
        gone = "now() - interval '1 hour'"
        await self.world.sql.change(f"update vault.payment set send_deadline = {gone} where buyer = $1", self.buyer)
        await self.world.sql.change(f"update vault.vaulting set send_deadline = {gone} where buyer = $1", self.buyer)
        await self.world.sql.change(f"update vault.movement set send_deadline = {gone} where send_deadline is not null")
        if pages:
            for each in self._all():
                each.shut = True
            ended = f"expires_at = {gone}, created_at = now() - interval '25 hours'"
            await self.world.sql.change(f"update vault.vaulting set {ended} where buyer = $1", self.buyer)
            await self.world.sql.change(f"update vault.payment set expires_at = {gone} where buyer = $1", self.buyer)

    @invariant()
    def nothing_moved_that_must_not(self) -> None:
        """Read both books as they are."""
        self._run(self._checked())

    async def _checked(self) -> None:
        rows = books.ledger(self.world.sandbox.book, self.payments, self.mark)
        books.check_ledger(rows, self.payments)
        books.check_mandate(rows, self.payments, CAP)
        await books.check_states(self.world.sql, self.buyer, self.last)

    def teardown(self) -> None:
        """Find everything out, and compare the books."""
        if hasattr(self, "told"):
            self._run(self._compared())

    async def _compared(self) -> None:
        await self.world.die_at(None)
        await self._passed(pages=True)
        async with asyncio.timeout(PATIENCE):
            while True:
                await self._worked()
                if await books.all_known(self.world.sql, self.buyer):
                    break
                await asyncio.sleep(0.02)
        await self._agree()
        self.world.post.kept += self.world.post.brought
        await self._brought(random.Random(0), 0)
        self.world.post.kept.clear()
        self.world.post.brought.clear()
        await self._worked()
        await self._agree()
        await self.world.sql.change("delete from vault.payment_inquiry")  # what follows shall not look after this

    async def _agree(self) -> None:
        rows: list[Json] = books.ledger(self.world.sandbox.book, self.payments, self.mark)
        books.check_ledger(rows, self.payments)
        await books.check_states(self.world.sql, self.buyer, self.last)
        await books.compare(self.world.sql, self.buyer, rows, self.payments)
        await books.compare_vaultings(self.world.sql, self.buyer, self.world.sandbox.book, self.vaultings)
        await books.check_events(self.world.sql, self.told, self.buyer)
