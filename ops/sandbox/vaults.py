"""Cards stored without a payment: asked for, verified, kept as a token or refused (antom-api.md 2.8).

The only place that changes a vaulting. Refuses to know HTTP and signatures. Invariants: a vaulting is decided once; no
token exists before the card was verified; what follows an answer waits for it.
"""

from __future__ import annotations

from dataclasses import replace

from ops.sandbox.admission import admit
from ops.sandbox.book import Book
from ops.sandbox.cards import NO_CARD
from ops.sandbox.config import SandboxConfig
from ops.sandbox.decisions import Route, Situation, decide
from ops.sandbox.identifiers import network_transaction_id
from ops.sandbox.notifier import Notifier, Sends, notice
from ops.sandbox.results import Code
from ops.sandbox.timers import Timers
from ops.sandbox.vaulting import Vaulting, VaultingStatus
from ops.sandbox.vaulting_messages import vaulting_notification
from ops.sandbox.visits import Challenge, Checkout, Pages, Typed

SUBJECT = "Storing a card"


class Vaults:
    """The vaultings of one sandbox and what happens to them over time."""

    def __init__(self, config: SandboxConfig, book: Book, pages: Pages, timers: Timers, notifier: Notifier) -> None:
        self._config = config
        self._book = book
        self._pages = pages
        self._timers = timers
        self._notifier = notifier

    def find(self, client_id: str, request_id: str) -> Vaulting | None:
        """Return a client's vaulting by its own id."""
        return self._book.vaultings.get((client_id, request_id))

    def open(self, vaulting: Vaulting) -> None:
        """Take a vaulting in: on to verification, or to the page on which the buyer types a card."""
        self._book.vaultings[vaulting.client_id, vaulting.request.request_id] = vaulting
        if vaulting.card is NO_CARD:
            self._ask_for_card(vaulting)
        else:
            self._enter(vaulting)
        left = vaulting.expires_at - vaulting.created_at
        self._timers.later(left.total_seconds(), lambda: self._decide(vaulting, Code.ORDER_IS_CLOSED))

    def release(self, vaulting: Vaulting) -> Sends:
        """Let go of what waited for the answer; return the notifications that this started."""
        vaulting.held = False
        return self._follow(vaulting)

    def _ask_for_card(self, vaulting: Vaulting) -> None:
        vaulting.checkout_url = self._pages.checkout(
            lambda url: Checkout(
                subject=SUBJECT,
                redirect_url=vaulting.request.redirect_url,
                asks_card=True,
                luhn=self._config.luhn,
                is_open=lambda: vaulting.checkout_url == url,
                submit=lambda typed: self._take_card(vaulting, typed),
            )
        )

    def _take_card(self, vaulting: Vaulting, typed: Typed) -> str | None:
        """Go on with a typed card; here the buyer need not tick anything, since storing is what the page is for."""
        if typed.card is None:
            self._decide(vaulting, Code.USER_PAYMENT_VERIFICATION_FAILED)
            return None
        admitted = admit(self._config, self._book, typed.card, vaulting.request.fields)
        fields = replace(vaulting.request.fields, card=typed.card, cvv_letter=typed.cvv_letter)
        vaulting.request = replace(vaulting.request, fields=fields)
        vaulting.card, vaulting.brand, vaulting.checkout_url = typed.card, admitted.brand, None
        self._enter(vaulting)
        if typed.outcome:
            self._authenticate(vaulting, success=True)
        return vaulting.challenge_url

    def _enter(self, vaulting: Vaulting) -> None:
        fields = vaulting.request.fields
        route = decide(
            Situation(
                authenticate=fields.authenticate,
                upgrade=fields.upgrade is not False,
                issuer_insists=vaulting.scenario.require_3ds,
                authenticated_elsewhere=fields.mpi is not None,
            )
        )
        match route:
            case Route.CHALLENGE:
                self._challenge(vaulting)
            case Route.REFUSED:
                self._decide(vaulting, Code.AUTHENTICATION_REQUIRED)
            case Route.DIRECT:
                self._submit(vaulting)

    def _challenge(self, vaulting: Vaulting) -> None:
        vaulting.challenge_url = self._pages.challenge(
            lambda url: Challenge(
                subject=SUBJECT,
                brand=vaulting.brand,
                card=vaulting.card.masked,
                redirect_url=vaulting.request.redirect_url,
                is_open=lambda: vaulting.challenge_url == url,
                answer=lambda success: self._authenticate(vaulting, success=success),
            )
        )

    def _authenticate(self, vaulting: Vaulting, *, success: bool) -> None:
        if vaulting.challenge_url is None:
            return
        vaulting.challenge_url = None
        if success:
            self._submit(vaulting)
        else:
            self._decide(vaulting, Code.USER_PAYMENT_VERIFICATION_FAILED)

    def _submit(self, vaulting: Vaulting) -> None:
        if vaulting.scenario.late_success or self._config.asynchronous:
            self._timers.later(self._config.late_after, lambda: self._ask_issuer(vaulting))
        else:
            self._ask_issuer(vaulting)

    def _ask_issuer(self, vaulting: Vaulting) -> None:
        if vaulting.scenario.decline is not None:
            self._decide(vaulting, vaulting.scenario.decline)
        elif vaulting.card.expired(self._config.clock()):
            self._decide(vaulting, Code.CARD_EXPIRED)
        else:
            self._decide(vaulting, Code.SUCCESS)

    def _decide(self, vaulting: Vaulting, code: str) -> None:
        if vaulting.status is not VaultingStatus.PROCESSING:
            return
        vaulting.code = code
        vaulting.challenge_url = vaulting.checkout_url = None
        vaulting.status = VaultingStatus.FAIL
        if code == Code.SUCCESS:
            vaulting.status = VaultingStatus.SUCCESS
            vaulting.network_transaction_id = network_transaction_id()
            self._book.issue_scheme_id(vaulting.network_transaction_id, vaulting.card)
            stable = self._config.stable_tokens
            vaulting.token = self._book.tokenise(vaulting.client_id, vaulting.card, stable=stable)
        self._follow(vaulting)

    def _follow(self, vaulting: Vaulting) -> Sends:
        if vaulting.held or vaulting.status is VaultingStatus.PROCESSING:
            return ()
        if vaulting.request.notify_url is None:
            return ()
        item = notice(vaulting.client_id, vaulting.request.notify_url, vaulting_notification(vaulting))
        return self._notifier.announce(item, vaulting.scenario.notifying)
