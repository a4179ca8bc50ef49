"""The 3DS page: what a buyer would see at the issuer, with two buttons instead of a password.

Works without scripts. Refuses to know how a payment goes on. Invariant: nothing from a request reaches the page
unescaped, and the page loads nothing from anywhere.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from http import HTTPStatus

from aiohttp import web

from ops.sandbox.book import Book, Payment, PaymentStatus
from ops.sandbox.engine import CHALLENGE_PATH, Engine

STYLE = """
body{margin:0;background:#f2f4f7;color:#1d2733;font:16px/1.5 system-ui,sans-serif}
main{max-width:24rem;margin:10vh auto;padding:2rem;background:#fff;border:1px solid #d5dbe3;border-radius:.75rem}
h1{font-size:1.15rem;margin:0 0 1.25rem}p{margin:.75rem 0}
dl{display:grid;grid-template-columns:auto 1fr;gap:.35rem 1.25rem;margin:0 0 1.5rem}
dt{color:#5a6775}dd{margin:0;text-align:right;font-variant-numeric:tabular-nums}
button{display:block;width:100%;margin-top:.75rem;padding:.7rem;font:inherit;border-radius:.5rem;cursor:pointer;
border:1px solid #1d5fbf;background:#1d5fbf;color:#fff}button+button{background:#fff;color:#a32020;border-color:#a32020}
small{color:#5a6775}
"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Sandbox bank</title><style>{style}</style></head><body><main>{content}</main></body></html>
"""
QUESTION = """<h1>Sandbox bank: is this your payment?</h1>
<dl><dt>Amount</dt><dd>{amount}</dd><dt>Card</dt><dd>{brand} {card}</dd></dl>
<form method="post"><button name="outcome" value="success">Authenticate</button>
<button name="outcome" value="fail">Fail the authentication</button></form>
<p><small>A simulation. No money moves.</small></p>"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
OUTCOMES = {"success": True, "fail": False}


class ChallengePage:
    """The handlers of the 3DS page."""

    def __init__(self, book: Book, engine: Engine) -> None:
        self._book = book
        self._engine = engine

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to serve."""
        path = CHALLENGE_PATH + "{challenge}"
        return [web.get(path, self.show), web.post(path, self.complete)]

    async def show(self, request: web.Request) -> web.Response:
        """Show the question, or that it was answered."""
        payment = self._find(request)
        if payment is None:
            return _message(HTTPStatus.NOT_FOUND, "There is no such payment.")
        if payment.challenge_url is None or payment.status is not PaymentStatus.PROCESSING:
            return _message(HTTPStatus.OK, "This authentication is over.")
        amount = payment.intake.request.amount
        question = QUESTION.format(
            amount=escape(f"{amount.currency} {amount.value} (smallest unit)"),
            brand=escape(payment.intake.brand),
            card=escape(payment.intake.card.masked),
        )
        return _page(HTTPStatus.OK, question, payment)

    async def complete(self, request: web.Request) -> web.Response:
        """Take the outcome and send the buyer back; a second time only sends back."""
        payment = self._find(request)
        if payment is None:
            return _message(HTTPStatus.NOT_FOUND, "There is no such payment.")
        outcome = OUTCOMES.get(str((await request.post()).get("outcome")))
        if outcome is None:
            return _message(HTTPStatus.BAD_REQUEST, "The outcome is either success or fail.")
        self._engine.authenticate(payment, success=outcome)
        if payment.intake.request.redirect_url is None:
            return _message(HTTPStatus.OK, "Done. The merchant gave no address to return to.")
        headers = {"Location": payment.intake.request.redirect_url, "Cache-Control": "no-store"}
        return web.Response(status=HTTPStatus.SEE_OTHER, headers=headers)

    def _find(self, request: web.Request) -> Payment | None:
        return self._book.find_by_challenge(request.match_info["challenge"])


def _message(status: HTTPStatus, sentence: str) -> web.Response:
    return _page(status, f"<h1>Sandbox bank</h1><p>{escape(sentence)}</p>", None)


def _page(status: HTTPStatus, content: str, payment: Payment | None) -> web.Response:
    # Browsers apply form-action to the redirect that follows the form, so an app's own scheme has to be named.
    scheme = (payment.intake.request.redirect_url or "https:").partition(":")[0] if payment else "https"
    policy = (
        f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self' http: https: {scheme}:"
    )
    headers = {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    text = PAGE.format(style=STYLE, content=content)
    return web.Response(status=status, text=text, content_type="text/html", headers=headers)
