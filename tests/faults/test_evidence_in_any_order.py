"""Any evidence in any order: a payment never moves backwards, and never stays open unwatched."""

from datetime import UTC, datetime

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vault.money import Amount
from vault.payment import Credential, Evidence, Kind, Payment, Source, Status, StoreCard, StoreState, judge
from vault.payments.transitions import advanced, changed, unresolved
from vault.result import Result

_NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
_RANK = {Status.CREATED: 0, Status.UNKNOWN: 1, Status.PROCESSING: 2, Status.FAIL: 3, Status.SUCCESS: 4}
_FROM_FINAL = {(Status.SUCCESS, Status.CANCELLED)}
_FROM_NOT_SENT = {(Status.FAIL, Status.SUCCESS)}


def _fresh() -> Payment:
    return Payment(
        merchant_id="mer_x",
        id="pay_x",
        request_id="req-1",
        kind=Kind.ONE_OFF,
        status=Status.CREATED,
        amount=Amount("EUR", "1250"),
        order_reference="order-1",
        buyer="buyer-1",
        card_id=None,
        credential=Credential.CARD_DATA,
        store_card=StoreCard.BOTH,
        store_state=StoreState.PENDING,
        face=None,
        digest=b"",
        digest_key_id=b"",
        capture_mode="AUTOMATIC",
        capture_status="NONE",
        next_action=None,
        gateway_payment_id=None,
        result=None,
        result_info={},
        not_sent=False,
        metadata=None,
        consent=None,
        send_deadline=_NOON,
        expires_at=_NOON,
        authorisation_expires_at=None,
        cancel_requested_at=None,
        created_at=_NOON,
        updated_at=_NOON,
        read_at=_NOON,
    )


# A dictionary, because `builds` would make up the fields of a named tuple that have a default, too.
_EVIDENCE = st.fixed_dictionaries(
    {
        "source": st.sampled_from(Source),
        "status": st.none() | st.sampled_from([status for status in Status if status is not Status.CREATED]),
        "result": st.none()
        | st.builds(Result, st.sampled_from(["SUCCESS", "PROCESS_FAIL"]), st.just("S"), st.just("")),
        "gateway_payment_id": st.none() | st.sampled_from(["one", "two"]),
        "next_action": st.none() | st.just({"type": "REDIRECT", "url": "https://acs.example/c"}),
        "bound": st.sampled_from([True, True, True, False]),
    }
).map(lambda told: Evidence(**told))


class AnyEvidence(RuleBasedStateMachine):
    """T-30: one payment and everything that may be said about it."""

    def __init__(self) -> None:
        super().__init__()
        self.payment = _fresh()
        self.before = self.payment

    @rule(evidence=_EVIDENCE)
    def hear(self, evidence: Evidence) -> None:
        self._judge(evidence)

    @rule(source=st.sampled_from([Source.SENDER, Source.WORKER]))
    def give_up(self, source: Source) -> None:
        self._judge(Evidence(source, Status.FAIL, not_sent=True))

    @rule(evidence=_EVIDENCE)
    def hear_twice(self, evidence: Evidence) -> None:
        self._judge(evidence)
        once = self.payment
        self._judge(evidence)
        assert self.payment.status is once.status

    def _judge(self, evidence: Evidence) -> None:
        self.before = self.payment
        self.payment = advanced(self.payment, evidence, judge(self.payment.standing, evidence))
        self._arrow_is_allowed()

    def _arrow_is_allowed(self) -> None:
        arrow = (self.before.status, self.payment.status)
        if arrow[0] is arrow[1]:
            return
        if self.before.status.final:
            allowed = _FROM_FINAL | (_FROM_NOT_SENT if self.before.not_sent else set())
            assert arrow in allowed
        else:
            assert self.payment.status.final or _RANK[arrow[1]] > _RANK[arrow[0]]

    @invariant()
    def nothing_open_is_forgotten(self) -> None:
        payment = self.payment
        late = payment.status is Status.SUCCESS and payment.not_sent
        if not payment.status.final or payment.cancel_requested_at is not None or payment.not_sent or late:
            assert unresolved(payment)
        if payment.status is Status.SUCCESS and payment.store_state is StoreState.PENDING:
            assert unresolved(payment)

    @invariant()
    def what_is_known_stays_known(self) -> None:
        if self.before.gateway_payment_id is not None:
            assert self.payment.gateway_payment_id == self.before.gateway_payment_id

    @invariant()
    def nothing_waits_with_a_payment_that_failed(self) -> None:
        if self.payment.status in {Status.FAIL, Status.CANCELLED}:
            assert self.payment.store_state is StoreState.DROPPED
            assert self.payment.next_action is None

    @invariant()
    def a_late_authorisation_is_to_be_cancelled(self) -> None:
        if self.payment.status is Status.SUCCESS and self.payment.not_sent:
            assert self.payment.cancel_requested_at is not None

    @invariant()
    def a_change_of_state_is_written(self) -> None:
        if self.before.status is not self.payment.status:
            assert changed(self.before, self.payment)


TestAnyEvidence = AnyEvidence.TestCase
TestAnyEvidence.settings = settings(max_examples=50, stateful_step_count=20)
