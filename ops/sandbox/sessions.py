"""Payment sessions: what a client SDK is opened with, and the payment that the buyer makes in it (antom-api.md 2.7).

Refuses to know HTTP and signatures. Invariants: a session leads to one payment at most, which exists from the moment
that the buyer submits a card; one request id is one session or one payment, never both.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ops.sandbox.admission import admit
from ops.sandbox.book import Book, Intake, Payment, PaymentStatus
from ops.sandbox.cards import NO_CARD, Card
from ops.sandbox.config import SandboxConfig
from ops.sandbox.engine import Engine
from ops.sandbox.identifiers import session_data, session_id
from ops.sandbox.installments import check_plan
from ops.sandbox.pay_request import PayRequest
from ops.sandbox.scenarios import Scenario
from ops.sandbox.visits import Checkout, Pages, Typed

LONGEST_SESSION = timedelta(hours=1)


@dataclass(slots=True)
class Session:
    """One session; `card` is the one that the request named, if any."""

    client_id: str
    request: PayRequest
    card: Card
    scenario: Scenario
    fingerprint: bytes
    expires_at: datetime
    session_id: str = field(default_factory=session_id)
    data: str = field(default_factory=session_data, repr=False)
    url: str = ""
    payment: Payment | None = None


class Sessions:
    """The sessions of one sandbox, and the pages on which buyers type cards."""

    def __init__(self, config: SandboxConfig, book: Book, engine: Engine, pages: Pages) -> None:
        self._config = config
        self._book = book
        self._engine = engine
        self._pages = pages
        self._sessions: dict[tuple[str, str], Session] = {}

    def find(self, client_id: str, payment_request_id: str) -> Session | None:
        """Return a client's session by its own id."""
        return self._sessions.get((client_id, payment_request_id))

    def open(self, session: Session) -> None:
        """Remember a session and give it a page."""
        self._sessions[session.client_id, session.request.payment_request_id] = session
        session.url = self._pages.checkout(
            lambda _url: Checkout(
                subject=session.request.amount.in_words(),
                redirect_url=session.request.redirect_url,
                asks_card=session.card is NO_CARD,
                luhn=self._config.luhn,
                is_open=lambda: session.payment is None and self._config.clock() < session.expires_at,
                submit=lambda typed: self._submit(session, typed),
            )
        )

    def ask_for_card(self, payment: Payment) -> None:
        """Give a payment without a card the page on which its buyer types one."""
        payment.checkout_url = self._pages.checkout(
            lambda url: Checkout(
                subject=payment.intake.request.amount.in_words(),
                redirect_url=payment.intake.request.redirect_url,
                asks_card=True,
                luhn=self._config.luhn,
                is_open=lambda: payment.checkout_url == url and payment.status is PaymentStatus.PROCESSING,
                submit=lambda typed: self._engine.take_card(
                    payment, self._with_card(payment.intake, typed), outcome=typed.outcome
                ),
            )
        )

    def _submit(self, session: Session, typed: Typed) -> str | None:
        waiting = Intake(
            session.client_id, session.request, session.card, "", "GLOBAL", session.scenario, session.fingerprint
        )
        intake = self._with_card(waiting, typed)
        session.payment = self._engine.open(replace(waiting, card=NO_CARD))
        onwards = self._engine.take_card(session.payment, intake, outcome=typed.outcome)
        self._engine.release(session.payment)
        return onwards

    def _with_card(self, intake: Intake, typed: Typed) -> Intake:
        """Add what was typed; raises `Refused` for a card that does not do. Who gave up has typed nothing."""
        card = typed.card or intake.card
        if card is NO_CARD:
            return intake
        fields = replace(
            intake.request.card,
            cvv_letter=typed.cvv_letter or intake.request.card.cvv_letter,
            tokenize=typed.save or intake.request.card.tokenize,
        )
        automatic = intake.request.captures_itself
        admitted = admit(self._config, self._book, card, fields, captures_itself=automatic)
        installments = typed.installments or intake.request.installments
        check_plan(self._config, card, intake.request.amount, installments)
        request = replace(intake.request, card=fields, installments=installments)
        return replace(intake, request=request, card=card, brand=admitted.brand, region=admitted.region)
