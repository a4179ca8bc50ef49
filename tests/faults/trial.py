"""A run of cases: an installation with a gateway, servers of it that can be stopped, a worker that comes when called.

It refuses to judge (that is `verdict.py`). Invariant: everything here goes over HTTP or reads the database as its owner.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import asyncpg
import httpx2

from tests.faults.cases import Case, Flow, card, case, payment_body, typed_card
from tests.faults.steps import Step
from tests.faults.stoppable import Forge, Stoppable
from tests.faults.waiting import PATIENCE
from tests.installation import Blueprint, Installation, installed
from vault.worker.loop import reconciliation, run

GRACE = 0.2
CROWD = 20
# The server closes what was idle for five seconds; a request that meets the close would be lost.
_LIMITS = httpx2.Limits(max_connections=None, keepalive_expiry=2)
_UNANSWERED = (
    "select request_id from vault.payment where status not in ('SUCCESS', 'FAIL', 'CANCELLED') "
    "or store_state = 'PENDING'"
)


@dataclass(slots=True)
class Trial:
    """What a fault test works with; `vault` serves all the time and is never stopped."""

    vault: Installation
    database: "asyncpg.Connection[asyncpg.Record]"
    client: httpx2.AsyncClient
    blueprint: Blueprint
    database_url: str
    forge: Forge
    crowd: asyncio.Semaphore

    def server(
        self, step: Step, *, database_url: str | None = None, **settings: Any
    ) -> AbstractAsyncContextManager[Stoppable]:
        """Start another server of the same installation, which stands still at a step."""
        same = {
            "gateway_url": self.vault.settings.gateway_url,
            "public_url": self.vault.settings.public_url,
            "sender_deadline": self.vault.settings.sender_deadline,
            "pool_size": 120,
        }
        return self.forge.server(step, self.blueprint.folder, database_url or self.database_url, **(same | settings))

    @property
    def url(self) -> str:
        """Where the server is that is never stopped."""
        return str(self.vault.api.base_url)

    async def send(self, url: str, case: Case) -> httpx2.Response | None:
        """Send a case's request to a server; None when the server went away meanwhile."""
        try:
            return await self.client.post(url.rstrip("/") + case.path, json=case.body)
        except httpx2.TransportError:
            return None

    async def insist(self, case: Case) -> httpx2.Response:
        """Send a case's request to the healthy server, again as long as it says that this helps."""
        return await self.ask("POST", case.path, json=case.body)

    async def ask(self, method: str, path: str, **content: Any) -> httpx2.Response:
        """Ask the healthy server for something, again as long as it says that this helps."""
        async with asyncio.timeout(PATIENCE), self.crowd:
            while True:
                answer = await self.client.request(method, self.url.rstrip("/") + path, **content)
                if answer.status_code < HTTPStatus.BAD_REQUEST or not answer.json()["retryable"]:
                    return answer
                await asyncio.sleep(0.1)

    async def prepare(self, wanted: Sequence[tuple[str, Flow]], *, first: int = 0) -> list[Case]:
        """Make cases of scenarios and flows, with the cards that they need, and tell the gateway about them."""
        numbered = list(enumerate(wanted, first))
        cards = await asyncio.gather(*(self._card(number, flow) for number, (_, flow) in numbered))
        paying = zip(numbered, cards, strict=True)
        if any(flow is Flow.BY_TOKEN for _, flow in wanted):
            await self.work_until_final()
        cases = [case(number, scenario, flow, card_id) for (number, (scenario, flow)), card_id in paying]
        await asyncio.gather(*(self.vault.arm(each.request_id, each.scenario) for each in cases if each.scenario))
        return cases

    async def _card(self, number: int, flow: Flow) -> str | None:
        """Store the card that a case pays with; None where it is typed."""
        buyer = f"buyer-of-req-{number}"
        match flow:
            case Flow.BY_SEALED_PAN:
                body = {"referenceBuyerId": buyer, "card": card(), "storage": "VAULT"}
                answer = await self.ask("POST", "/v1/cards", json=body)
                assert answer.status_code == HTTPStatus.CREATED
                return str(answer.json()["cardId"])
            case Flow.BY_TOKEN:
                body = payment_body(f"first-{number}", buyer) | {"card": typed_card(), "storeCard": "GATEWAY"}
                answer = await self.ask("POST", "/v1/payments", json=body)
                assert answer.status_code == HTTPStatus.CREATED
                return str(answer.json()["card"]["cardId"])
            case _:
                return None

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """Run a worker's loop."""
        stop = asyncio.Event()
        running = asyncio.create_task(run((reconciliation(self.vault.services.reconciler, idle=0.05),), stop))
        try:
            yield
        finally:
            stop.set()
            await running

    async def work_until_final(self, cases: Sequence[Case] = ()) -> None:
        """Run a worker until nothing is open any more; buyers who authenticate do so as soon as they can."""
        buyers = {case.request_id for case in cases if case.authenticates}
        async with asyncio.timeout(PATIENCE), self.worker():
            while open_ids := {row[0] for row in await self.database.fetch(_UNANSWERED)}:
                buyers -= await self._authenticate(buyers & open_ids)
                await asyncio.sleep(0.05)

    async def _authenticate(self, request_ids: set[str]) -> set[str]:
        pages = await self.database.fetch(
            "select request_id, next_action->>'url' as url from vault.payment where request_id = any($1) "
            "and next_action is not null",
            list(request_ids),
        )
        for page in pages:
            await self.client.post(page["url"], data={"outcome": "success"})
        return {page["request_id"] for page in pages}

    async def reconnect(self) -> None:
        """Look into the database again after it was away."""
        self.database.terminate()
        self.database = await asyncpg.connect(self.database_url, ssl=False)

    async def nothing_is_open(self) -> bool:
        """Tell whether every payment is final and what it stores is stored."""
        return not await self.database.fetch(_UNANSWERED)

    async def nobody_waits_in_a_transaction(self) -> bool:
        """Tell whether no connection of the vault is left inside a transaction."""
        count: int = await self.database.fetchval(
            "select count(*) from pg_stat_activity where datname = current_database() "
            "and state like 'idle in transaction%' and application_name = 'cardvault'"
        )
        return count == 0


@asynccontextmanager
async def trial_in(blueprint: Blueprint, database_url: str, forge: Forge) -> AsyncIterator[Trial]:
    """Start an installation on a database made from the blueprint."""
    sandbox = {"late_after": 0.5, "capture_delay": 1.0, "notification_timeout": 2.0}
    settings = {"sender_deadline": 4.0, "not_sent_grace": GRACE, "pool_size": 40}
    async with (
        installed(blueprint, database_url, sandbox=sandbox, **settings) as vault,
        httpx2.AsyncClient(
            verify=False, headers=blueprint.tenants[0].headers, timeout=PATIENCE, limits=_LIMITS
        ) as client,
    ):
        database = await asyncpg.connect(database_url, ssl=False)
        trial = Trial(vault, database, client, blueprint, database_url, forge, asyncio.Semaphore(CROWD))
        try:
            yield trial
        finally:
            await trial.database.close()
