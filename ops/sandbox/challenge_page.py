"""The 3DS page: what a buyer would see at the issuer, with two buttons instead of a password.

Works without scripts. Refuses to know how a payment goes on. Invariant: a page is answered once; a second time only
sends the buyer back.
"""

from __future__ import annotations

from html import escape
from http import HTTPStatus

from aiohttp import web

from ops.sandbox.pages import message, page, send_back
from ops.sandbox.visits import CHALLENGE_PATH, Challenge, Pages

TITLE = "Sandbox bank"
QUESTION = """<h1>Sandbox bank: is this your payment?</h1>
<dl><dt>Amount</dt><dd>{subject}</dd><dt>Card</dt><dd>{brand} {card}</dd></dl>
<form method="post"><button name="outcome" value="success">Authenticate</button>
<button name="outcome" value="fail">Fail the authentication</button></form>
<p><small>A simulation. No money moves.</small></p>"""
OUTCOMES = {"success": True, "fail": False}


class ChallengePage:
    """The handlers of the 3DS page."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to serve."""
        path = CHALLENGE_PATH + "{page}"
        return [web.get(path, self.show), web.post(path, self.complete)]

    async def show(self, request: web.Request) -> web.Response:
        """Show the question, or that it was answered."""
        challenge = self._find(request)
        if challenge is None:
            return message(TITLE, HTTPStatus.NOT_FOUND, "There is no such payment.")
        if not challenge.is_open():
            return message(TITLE, HTTPStatus.OK, "This authentication is over.")
        question = QUESTION.format(
            subject=escape(challenge.subject), brand=escape(challenge.brand), card=escape(challenge.card)
        )
        return page(TITLE, HTTPStatus.OK, question, challenge.redirect_url)

    async def complete(self, request: web.Request) -> web.Response:
        """Take the outcome and send the buyer back; a form that only leads here shows the question."""
        challenge = self._find(request)
        if challenge is None:
            return message(TITLE, HTTPStatus.NOT_FOUND, "There is no such payment.")
        form = await request.post()
        if "creq" in form and "outcome" not in form:
            return await self.show(request)
        outcome = OUTCOMES.get(str(form.get("outcome")))
        if outcome is None:
            return message(TITLE, HTTPStatus.BAD_REQUEST, "The outcome is either success or fail.")
        if challenge.is_open():
            challenge.answer(outcome)
        return send_back(TITLE, challenge.redirect_url)

    def _find(self, request: web.Request) -> Challenge | None:
        return self._pages.challenges.get(request.match_info["page"])
