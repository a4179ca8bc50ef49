"""A vault whose connections go through PgBouncer in transaction mode, which hands each transaction any server connection."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.conftest import QUICK
from tests.api.shop import BUYER, card_on_file, payment, store, stored
from tests.installation import Blueprint, Installation, installed
from tests.lacking import need
from tests.pooler import pooling, program
from vault.worker.sequencing import audit_loops

pytestmark = pytest.mark.anyio


@pytest.fixture
async def vault(blueprint: Blueprint, onboarded_url: str, tmp_path: Path) -> AsyncIterator[Installation]:
    bouncer = program()
    need(bouncer, "PgBouncer is not installed (Debian: apt-get install pgbouncer), so transaction mode is not tested")
    assert bouncer is not None
    with pooling(bouncer, onboarded_url, tmp_path) as url:
        async with installed(blueprint, url, sandbox=QUICK) as installation:
            yield installation


async def _visit(vault: Installation, number: int) -> dict[str, Any]:
    """Store a card, pay with it and with a typed one, and list what there is."""
    buyer = f"{BUYER}-{number}"
    card = await stored(vault, store(buyer=buyer))
    path = f"/v1/cards/{card['cardId']}/payments"
    answers = [
        await vault.api.post(path, json=card_on_file()),
        await vault.api.post("/v1/payments", json=payment(buyer=buyer, storeCard="VAULT")),
    ]
    assert [answer.status_code for answer in answers] == [201, 201], [answer.text for answer in answers]
    listed = await vault.api.get(f"/v1/buyers/{buyer}/cards")
    assert [each["cardId"] for each in listed.json()["cards"]] == [card["cardId"]]
    return dict(answers[0].json())


async def test_many_at_once_are_served_over_few_connections(vault: Installation) -> None:
    payments = await asyncio.gather(*(_visit(vault, number) for number in range(12)))
    assert [each["paymentStatus"] for each in payments] == ["SUCCESS"] * 12


async def test_what_was_refused_or_given_up_leaves_nothing_to_the_next(vault: Installation) -> None:
    """Neither a role nor a transaction outlives the statement that it belongs to."""
    body = payment(storeCard="VAULT")
    changed = body | {"paymentAmount": {"currency": "EUR", "value": "1"}}
    assert (await vault.api.post("/v1/payments", json=body)).status_code == 201
    assert (await vault.api.post("/v1/payments", json=changed)).status_code == 409
    async with vault.services.database.session() as session:
        sleeping = asyncio.create_task(session.value("select pg_sleep(600)"))
        await asyncio.wait([sleeping], timeout=0.1)
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
    await asyncio.gather(*(_visit(vault, number) for number in range(4)))


async def test_the_audit_log_grows_in_a_role_of_its_own(vault: Installation) -> None:
    """Two roles share the server's connections here, and neither meets the other's."""
    async with audit_loops(vault.services) as loops:
        await asyncio.gather(_visit(vault, 1), *(loop.once() for loop in loops))
        await asyncio.gather(*(loop.once() for loop in loops))
    async with vault.services.database.session() as session:
        assert await session.value("select current_user") == "cardvault_app"
