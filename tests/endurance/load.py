"""Buyers who store cards and pay, and a merchant's application that asks again until it has an answer.

It refuses to judge. Invariants: what is noted as acknowledged was answered so; a request that had no final answer is
asked again with the same ids, at whichever server takes it, as a merchant would.
"""

import asyncio
import itertools
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from typing import Any

import httpx2

from ops.bench.traffic import card_number

_PATIENCE = 25.0
_LAST_PATIENCE = 120.0
_PAUSE = 0.2
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_MOST_CARDS = 5_000


@dataclass(slots=True)
class Acknowledged:
    """What the application was told: cards with their buyer, payments with id and state, and when."""

    cards: dict[str, str] = field(default_factory=dict)
    payments: dict[str, tuple[str, str]] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    asked_again: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def gap(self, since: float, until: float) -> float:
        """Give the longest time without an answer of 2xx between two moments, in seconds."""
        moments = [since, *(each for each in self.times if since <= each <= until), until]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))

    def in_time(self, since: float, until: float) -> int:
        """Count the answers between two moments."""
        return sum(since <= each <= until for each in self.times)


@dataclass(slots=True)
class Load:
    """So many buyers at once; together they begin at most `rate` requests a second. `name` is in every id."""

    servers: list[str]
    api_key: str
    buyers: int
    rate: float
    name: str = "load"
    told: Acknowledged = field(default_factory=Acknowledged)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)

    def begin(self) -> None:
        """Let the buyers in."""
        self._tasks = [asyncio.create_task(self._buyer(number)) for number in range(self.buyers)]

    async def end(self) -> None:
        """Let every buyer finish what was begun; who is never answered counts as refused."""
        self._ended.set()
        _, waiting = await asyncio.wait(self._tasks, timeout=_LAST_PATIENCE)
        self.told.refused += Counter({"no answer at all": len(waiting)})
        for task in waiting:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _buyer(self, number: int) -> None:
        choice = Random(f"{self.name}-{number}")
        headers = {"Authorization": f"Bearer {self.api_key}"}
        async with httpx2.AsyncClient(headers=headers, timeout=_PATIENCE) as client:
            known: list[str] = []
            await asyncio.sleep(number / self.rate)
            for turn in itertools.count():
                if self._ended.is_set():
                    return
                began = time.monotonic()
                await self._visit(client, choice, f"{self.name}-{number}-{turn}", known)
                await asyncio.sleep(max(0.0, self.buyers / self.rate - (time.monotonic() - began)))

    async def _visit(self, client: httpx2.AsyncClient, choice: Random, name: str, known: list[str]) -> None:
        """Store a card, or pay: with a card that was stored, or with a new one that is to be kept."""
        card = {"cardNo": card_number(choice), "expiryMonth": "11", "expiryYear": "39"}
        kind = choice.choice(("store", "pay", "pay", "pay and keep")) if known else "store"
        match kind:
            case "store":
                body: dict[str, Any] = {"referenceBuyerId": f"buyer-{name}", "card": card, "storage": "VAULT"}
                view = await self._insist(client, choice, "/v1/cards", body)
                if view is not None and len(self.told.cards) < _MOST_CARDS:
                    self.told.cards[view["cardId"]] = body["referenceBuyerId"]
                    known.append(view["cardId"])
            case "pay":
                await self._pay(client, choice, f"/v1/cards/{choice.choice(known)}/payments", _payment(name))
            case _:
                kept = {"card": card | {"cvv": "123"}, "storeCard": "VAULT"}
                await self._pay(client, choice, "/v1/payments", _payment(name, f"buyer-{name}") | kept)

    async def _pay(self, client: httpx2.AsyncClient, choice: Random, path: str, body: dict[str, Any]) -> None:
        view = await self._insist(client, choice, path, body)
        if view is not None:
            self.told.payments[body["paymentRequestId"]] = (view["paymentId"], view["paymentStatus"])

    async def _insist(
        self, client: httpx2.AsyncClient, choice: Random, path: str, body: dict[str, Any]
    ) -> dict[str, Any] | None:
        """Ask one server or another until one has answered for good; None for a refusal."""
        for server in itertools.cycle(choice.sample(self.servers, len(self.servers))):
            try:
                answer = await client.post(server + path, json=body)
            except httpx2.TransportError as error:
                self.told.asked_again[type(error).__name__] += 1
            else:
                if answer.status_code < HTTPStatus.BAD_REQUEST:
                    self.told.times.append(time.monotonic())
                    view: dict[str, Any] = answer.json()
                    return view
                if answer.status_code not in _RETRIED:
                    self.told.refused[f"{answer.status_code} {answer.json().get('code')}"] += 1
                    return None
                self.told.asked_again[f"{answer.status_code} {answer.json().get('code')}"] += 1
            await asyncio.sleep(_PAUSE)
        raise AssertionError("a cycle has no end")


def _payment(name: str, buyer: str | None = None) -> dict[str, Any]:
    order: dict[str, Any] = {"referenceOrderId": f"order-{name}", "orderDescription": "One more book"}
    if buyer:
        order["buyer"] = {"referenceBuyerId": buyer}
    amount = {"currency": "EUR", "value": "1290"}
    return {"paymentRequestId": f"request-{name}", "paymentAmount": amount, "order": order}
