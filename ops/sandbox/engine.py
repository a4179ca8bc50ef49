"""Moves payments: opens, authenticates, authorises, declines, cancels and expires them.

The only place that changes a payment. Refuses to know HTTP and signatures. Invariants: a payment is decided once;
what follows a `pay` (notifications, the automatic capture) waits for its answer unless told to come first.
"""

from __future__ import annotations

import base64
import secrets
from datetime import timedelta

from ops.sandbox.book import Book, Intake, Payment, PaymentStatus
from ops.sandbox.cards import NO_CARD
from ops.sandbox.config import SandboxConfig
from ops.sandbox.decisions import Feature, Route, Situation, decide, excludes
from ops.sandbox.identifiers import (
    directory_server_id,
    gateway_id,
    network_transaction_id,
)
from ops.sandbox.ledger import MovementKind, Row, RowStatus
from ops.sandbox.messages import AUTHORISATION_VALID, payment_notification
from ops.sandbox.notifier import Notifier, Sends, notice
from ops.sandbox.results import Code, Json, Refused
from ops.sandbox.till import Till
from ops.sandbox.timers import Timers
from ops.sandbox.visits import Challenge, Pages

DEFAULT_EXPIRY = timedelta(minutes=14)
AUTHENTICATED_ECI = {"MASTERCARD": "02", "MAESTRO": "02"}
OTHER_ECI = "05"


class Engine:
    """The payments of one sandbox and what happens to them over time."""

    def __init__(self, config: SandboxConfig, book: Book, notifier: Notifier, timers: Timers, pages: Pages) -> None:
        self._config = config
        self._book = book
        self._notifier = notifier
        self._timers = timers
        self._pages = pages
        self.till = Till(config, book, notifier, timers)

    def open(self, intake: Intake) -> Payment:
        """Decide where a payment goes and take it there; what follows is held back until `release`."""
        now = self._config.clock()
        expires_at = intake.request.expires_at
        payment = Payment(
            intake=intake,
            payment_id=gateway_id(now),
            created_at=now,
            expires_at=expires_at if expires_at is not None and expires_at > now else now + DEFAULT_EXPIRY,
        )
        self._book.add(payment)
        if intake.card is not NO_CARD:
            self._enter(payment)
        if payment.status is PaymentStatus.PROCESSING:
            self._timers.later((payment.expires_at - now).total_seconds(), lambda: self._expire(payment))
        return payment

    def take_card(self, payment: Payment, intake: Intake, *, outcome: bool | None) -> str | None:
        """Go on with the card that the buyer typed; the address of the 3DS page where one is still to be visited.

        `outcome` is what the buyer does about authentication: None goes to the page, False gives up.
        """
        payment.intake, payment.checkout_url = intake, None
        if outcome is False:
            self._decline(payment, Code.USER_PAYMENT_VERIFICATION_FAILED)
            return None
        self._enter(payment)
        if outcome:
            self.authenticate(payment, success=True)
        return payment.challenge_url

    def release(self, payment: Payment) -> Sends:
        """Let go of what waited for the answer to `pay`; return the notifications that this started."""
        payment.held = False
        return self._follow(payment)

    def authenticate(self, payment: Payment, *, success: bool) -> None:
        """Record how the buyer did on the 3DS page; anything after the first time changes nothing."""
        if payment.status is not PaymentStatus.PROCESSING or payment.challenge_url is None:
            return
        payment.challenge_url = None
        if not success:
            self._decline(payment, Code.USER_PAYMENT_VERIFICATION_FAILED)
            return
        payment.authentication = {
            "threeDSVersion": "2.2.0",
            "eci": AUTHENTICATED_ECI.get(payment.intake.brand, OTHER_ECI),
            "cavv": base64.b64encode(secrets.token_bytes(20)).decode(),
            "dsTransactionId": directory_server_id(),
            "threeDSOffered": True,
            "challenged": True,
        }
        self._submit(payment)

    def cancel(self, payment: Payment) -> None:
        """Void an authorisation or close an open payment; again is harmless. Raises `Refused` in other states."""
        if payment.status is PaymentStatus.CANCELLED:
            return
        captured = payment.row is not None and bool(payment.row.of(MovementKind.CAPTURE))
        if payment.status is PaymentStatus.FAIL or captured:
            raise Refused(Code.ORDER_STATUS_INVALID)
        if payment.decided_at is not None and self._config.clock() > payment.decided_at + AUTHORISATION_VALID:
            raise Refused(Code.CANCEL_WINDOW_EXCEED)
        payment.status = PaymentStatus.CANCELLED
        if payment.row is not None:
            payment.row.status = RowStatus.CANCELLED

    def _enter(self, payment: Payment) -> None:
        """Take a payment whose card is known where the tables say."""
        match self._route(payment):
            case Route.CHALLENGE:
                self._challenge(payment)
            case Route.REFUSED:
                self._decline(payment, Code.AUTHENTICATION_REQUIRED)
            case Route.DIRECT:
                self._submit(payment)

    def _challenge(self, payment: Payment) -> None:
        intake = payment.intake
        payment.challenge_url = self._pages.challenge(
            lambda url: Challenge(
                subject=intake.request.amount.in_words(),
                brand=intake.brand,
                card=intake.card.masked,
                redirect_url=intake.request.redirect_url,
                is_open=lambda: payment.challenge_url == url and payment.status is PaymentStatus.PROCESSING,
                answer=lambda success: self.authenticate(payment, success=success),
            )
        )

    def _route(self, payment: Payment) -> Route:
        fields, region = payment.intake.request.card, payment.intake.region
        initiated = fields.recurring_type is not None
        if initiated and payment.intake.scenario.require_3ds:
            # The tables would refuse; the scenario is for clients that have to survive a gateway that does not.
            return Route.CHALLENGE
        threshold = self._config.risk_challenge_from
        risk = None if excludes(region, Feature.RISK_SERVICE) or threshold is None else threshold
        return decide(
            Situation(
                authenticate=fields.authenticate and not excludes(region, Feature.AUTHENTICATION),
                upgrade=fields.upgrade is not False and not excludes(region, Feature.UPGRADE),
                issuer_insists=payment.intake.scenario.require_3ds,
                risk_challenges=None if risk is None else int(payment.intake.request.amount.value) >= risk,
                merchant_initiated=initiated,
                authenticated_elsewhere=fields.mpi is not None,
            )
        )

    def _submit(self, payment: Payment) -> None:
        if payment.intake.scenario.late_success or self._config.asynchronous:
            self._timers.later(self._config.late_after, lambda: self._ask_issuer(payment))
        else:
            self._ask_issuer(payment)

    def _ask_issuer(self, payment: Payment) -> None:
        if payment.status is not PaymentStatus.PROCESSING:
            return
        initiated = payment.intake.request.card.recurring_type is not None
        if payment.intake.scenario.decline is not None:
            self._decline(payment, payment.intake.scenario.decline)
        elif payment.intake.card.expired(self._config.clock()) and not initiated:
            self._decline(payment, Code.CARD_EXPIRED)
        else:
            self._authorise(payment)

    def _authorise(self, payment: Payment) -> None:
        payment.network_transaction_id = network_transaction_id()
        self._book.issue_scheme_id(payment.network_transaction_id, payment.intake.card)
        if payment.intake.request.card.tokenize:
            stable = self._config.stable_tokens
            payment.token = self._book.tokenise(payment.intake.client_id, payment.intake.card, stable=stable)
        self._decided(payment, PaymentStatus.SUCCESS, Code.SUCCESS, RowStatus.AUTHORISED)

    def _decline(self, payment: Payment, code: str) -> None:
        self._decided(payment, PaymentStatus.FAIL, code, RowStatus.DECLINED)

    def _decided(self, payment: Payment, status: PaymentStatus, code: str, verdict: RowStatus) -> None:
        payment.status, payment.code = status, code
        payment.decided_at = self._config.clock()
        payment.row = Row(
            payment.intake.request.payment_request_id, payment.payment_id, payment.intake.request.amount, verdict
        )
        self._book.rows.append(payment.row)
        self._follow(payment)

    def _expire(self, payment: Payment) -> None:
        if payment.status is not PaymentStatus.PROCESSING:
            return
        payment.status, payment.code = PaymentStatus.FAIL, Code.ORDER_IS_CLOSED
        payment.challenge_url = payment.checkout_url = None
        self._follow(payment)

    def _follow(self, payment: Payment) -> Sends:
        """Do what follows a decision, unless the answer to `pay` has to go out first."""
        if payment.held or payment.status not in (PaymentStatus.SUCCESS, PaymentStatus.FAIL):
            return ()
        if payment.status is PaymentStatus.SUCCESS and payment.intake.request.captures_itself:
            self._timers.later(self._config.capture_delay, lambda: self.till.capture_all(payment))
        return self._notify(payment, payment_notification(payment))

    def _notify(self, payment: Payment, body: Json) -> Sends:
        url = payment.intake.request.notify_url
        if url is None:
            return ()
        return self._notifier.announce(notice(payment.intake.client_id, url, body), payment.intake.scenario.notifying)
