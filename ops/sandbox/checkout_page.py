"""The page on which a buyer types a card: the gateway's hosted form, and what stands for its widget in tests.

Works without scripts; programs post the same fields. Refuses to know how a payment goes on. Invariant: what was typed
is never shown again and never put into an address.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from http import HTTPStatus

from aiohttp import web

from ops.sandbox.card_fields import read_typed_card
from ops.sandbox.challenge_page import OUTCOMES
from ops.sandbox.fields import Fields
from ops.sandbox.pages import message, page, send_back
from ops.sandbox.results import Refused, illegal
from ops.sandbox.visits import CHECKOUT_PATH, Checkout, Pages, Typed

TITLE = "Sandbox checkout"
FORM = """<h1>Sandbox checkout</h1><dl><dt>Paying</dt><dd>{subject}</dd></dl>
<form method="post">{card}
<label>Security code <input name="cvv" inputmode="numeric" autocomplete="cc-csc"></label>{save}
<button>Go on</button><button name="outcome" value="fail">Give up</button></form>
<p><small>A simulation. No money moves.</small></p>"""
CARD = """<label>Card number <input name="cardNo" inputmode="numeric" autocomplete="cc-number" required></label>
<label>Month <input name="expiryMonth" placeholder="MM" autocomplete="cc-exp-month" required></label>
<label>Year <input name="expiryYear" placeholder="YY" autocomplete="cc-exp-year" required></label>"""
SAVE = '<label><input type="checkbox" name="save" value="true"> Save this card</label>'
TICKED = frozenset({"true", "on", "yes", "1"})
INSTALLMENTS = re.compile(r"[2-9]|[1-3][0-9]")


class CheckoutPage:
    """The handlers of the page for typing a card."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to serve."""
        path = CHECKOUT_PATH + "{page}"
        return [web.get(path, self.show), web.post(path, self.complete)]

    async def show(self, request: web.Request) -> web.Response:
        """Show the form, or that it is over."""
        checkout = self._find(request)
        if checkout is None:
            return message(TITLE, HTTPStatus.NOT_FOUND, "There is no such payment.")
        if not checkout.is_open():
            return message(TITLE, HTTPStatus.OK, "This payment is over.")
        card, save = (CARD, SAVE) if checkout.asks_card else ("", "")
        form = FORM.format(subject=escape(checkout.subject), card=card, save=save)
        return page(TITLE, HTTPStatus.OK, form, checkout.redirect_url)

    async def complete(self, request: web.Request) -> web.Response:
        """Take what was typed; on to the 3DS page or back to the merchant. A second time only sends back."""
        checkout = self._find(request)
        if checkout is None:
            return message(TITLE, HTTPStatus.NOT_FOUND, "There is no such payment.")
        form = {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
        onwards = None
        if checkout.is_open():
            try:
                onwards = checkout.submit(_typed(form, checkout))
            except Refused as refusal:
                return message(TITLE, HTTPStatus.UNPROCESSABLE_ENTITY, f"Please try again: {refusal.code}")
        return send_back(TITLE, onwards or checkout.redirect_url)

    def _find(self, request: web.Request) -> Checkout | None:
        return self._pages.checkouts.get(request.match_info["page"])


def _typed(form: Mapping[str, str], checkout: Checkout) -> Typed:
    """Read the form; a buyer who gives up need not type anything."""
    chosen, installments = form.get("outcome", ""), form.get("installmentNum", "")
    if chosen and chosen not in OUTCOMES:
        raise illegal("outcome")
    if installments and not INSTALLMENTS.fullmatch(installments):
        raise illegal("installmentNum")
    outcome = OUTCOMES.get(chosen)
    card, cvv_letter = read_typed_card(
        Fields(dict(form)), luhn=checkout.luhn, asked=checkout.asks_card and outcome is not False
    )
    return Typed(
        card=card,
        cvv_letter=cvv_letter,
        save=form.get("save", "").lower() in TICKED,
        installments=int(installments) if installments else None,
        outcome=outcome,
    )
