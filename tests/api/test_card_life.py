"""What time does to cards: expiry is noted and told once, and the default goes on to a card that can be used."""

import asyncio
from typing import Any

import orjson
import pytest

from tests.api.shop import BUYER, Sql, card, store, stored, until, waiting
from tests.canary import MASTERCARD_CANARY, SECOND_VISA_CANARY
from tests.installation import Installation
from vault.store import card_life, cards, retention
from vault.worker import loop

pytestmark = pytest.mark.anyio
PAST = "update vault.card set expiry_month = 1, expiry_year = 2020 where id = $1"
LATER = {"expiryMonth": "01", "expiryYear": "42"}


async def _sweep(vault: Installation) -> None:
    while await vault.services.expiry_sweep.once():
        pass


async def _told(sql: Sql, card_id: str) -> list[dict[str, Any]]:
    rows = await sql.rows("select type, data from vault.event where object_id = $1 order by sequence", card_id)
    return [{"type": row["type"], "data": orjson.loads(row["data"])} for row in rows]


async def _shown(vault: Installation, card_id: str) -> dict[str, Any]:
    view: dict[str, Any] = (await vault.api.get(f"/v1/cards/{card_id}")).json()
    return view


async def _wallet(vault: Installation, sql: Sql) -> list[str]:
    """Store three cards of a buyer, the first of them the default, and give their ids in order."""
    bodies = (store(isDefault=True), store(SECOND_VISA_CANARY), store(MASTERCARD_CANARY))
    ids: list[str] = [(await stored(vault, body))["cardId"] for body in bodies]
    for age, card_id in enumerate(reversed(ids)):
        await sql.change(
            "update vault.card set created_at = now() - make_interval(days => $2) where id = $1", card_id, age
        )
    return ids


async def _default(sql: Sql) -> str | None:
    found: str | None = await sql.value("select id from vault.card where is_default")
    return found


async def test_an_expired_card_is_told_of_once(vault: Installation, sql: Sql) -> None:
    expired, kept = [(await stored(vault, body))["cardId"] for body in (store(), store(SECOND_VISA_CANARY))]
    await sql.change(PAST, expired)
    stop = asyncio.Event()
    sweep, _ = loop.card_life(vault.services.expiry_sweep, vault.services.retention, interval=0.05)
    working = asyncio.create_task(loop.run((sweep,), stop))

    async def noted() -> bool:
        return bool(await sql.events("card.expired"))

    await until(noted)
    stop.set()
    await working
    await _sweep(vault)
    (event,) = await sql.events("card.expired")
    assert (event["objects"], event["actor"]["id"]) == ([expired], "expiry")
    first, second = await _told(sql, expired)
    assert (first["type"], second["type"], second["data"]["status"]) == ("card.stored", "card.expired", "EXPIRED")
    assert [each["type"] for each in await _told(sql, kept)] == ["card.stored"]


async def test_two_workers_note_an_expiry_once(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    await sql.change(PAST, card_id)
    async with vault.services.database.transaction() as other:
        await cards.lock_buyer(other, vault.tenants[0].merchant_id, BUYER)
        sweeps = [asyncio.create_task(vault.services.expiry_sweep.once()) for _ in range(2)]
        await waiting(sql, 2)
    await asyncio.gather(*sweeps)
    assert len(await sql.events("card.expired")) == 1


async def test_a_new_expiry_makes_the_card_active_until_that_has_passed(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    await sql.change(PAST, card_id)
    await _sweep(vault)
    assert (await vault.api.patch(f"/v1/cards/{card_id}", json=LATER)).json()["status"] == "ACTIVE"
    assert (await _told(sql, card_id))[-1]["data"]["status"] == "ACTIVE"
    await sql.change(PAST, card_id)
    await _sweep(vault)
    assert [each["type"] for each in await _told(sql, card_id)][1:] == ["card.expired", "card.updated", "card.expired"]


async def test_a_change_of_something_else_leaves_the_expiry_noted(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    await sql.change(PAST, card_id)
    await _sweep(vault)
    same = {"expiryMonth": "01", "expiryYear": "20", "isDefault": True}
    assert (await vault.api.patch(f"/v1/cards/{card_id}", json=same)).json()["status"] == "EXPIRED"
    await _sweep(vault)
    assert len(await sql.events("card.expired")) == 1


@pytest.mark.parametrize(("moment", "passed"), [("2026-02-01 11:59:59.999Z", False), ("2026-02-01 12:00:00Z", True)])
async def test_a_month_ends_in_the_database_when_it_has_everywhere_on_earth(
    vault: Installation, sql: Sql, moment: str, *, passed: bool
) -> None:
    """T-34: the same moment as `Expiry.passed`, whatever the session's time zone."""
    await sql.change(
        "update vault.card set expiry_month = 1, expiry_year = 2026 where id = $1", (await stored(vault))["cardId"]
    )
    await sql.change("set time zone 'Pacific/Auckland'")
    at = card_life._PASSED.replace("clock_timestamp()", f"timestamptz '{moment}'")
    assert await sql.value(f"select {at} from vault.card") is passed
    due = f"select ({retention._DUE_AT}) <= timestamptz '{moment}' from vault.card c, (select 'EXPIRED' as starts, 0 as days) as r"
    assert await sql.value(due) is passed


async def test_an_expired_default_hands_the_flag_to_the_card_stored_last(vault: Installation, sql: Sql) -> None:
    first, _, last = await _wallet(vault, sql)
    await sql.change(PAST, first)
    await _sweep(vault)
    assert await _default(sql) == last
    assert (await _told(sql, last))[-1]["type"] == "card.updated"
    event = (await sql.events("card.updated"))[-1]
    assert (event["objects"], event["reason"]) == ([last], "default_handed_on")


async def test_a_deleted_default_hands_the_flag_to_a_card_that_can_be_used(vault: Installation, sql: Sql) -> None:
    first, middle, last = await _wallet(vault, sql)
    await sql.change(PAST, last)
    await vault.api.delete(f"/v1/cards/{first}")
    assert await _default(sql) == middle
    await sql.change("update vault.card set status = 'DISABLED' where id = $1", last)
    await vault.api.delete(f"/v1/cards/{middle}")
    assert await _default(sql) is None


async def test_an_expired_default_that_nothing_can_replace_stays_the_default(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault, store(isDefault=True)))["cardId"]
    await sql.change(PAST, card_id)
    await _sweep(vault)
    assert (await _default(sql), (await _shown(vault, card_id))["status"]) == (card_id, "EXPIRED")


async def test_a_buyer_without_a_default_gets_none_by_deleting_a_card(vault: Installation, sql: Sql) -> None:
    first, *_ = await _wallet(vault, sql)
    await vault.api.patch(f"/v1/cards/{first}", json={"isDefault": False})
    await vault.api.delete(f"/v1/cards/{first}")
    assert await _default(sql) is None


async def test_another_buyers_cards_are_no_heirs(vault: Installation, sql: Sql) -> None:
    first = (await stored(vault, store(isDefault=True)))["cardId"]
    await stored(vault, store(buyer="buyer-2", card=card(SECOND_VISA_CANARY)))
    await vault.api.delete(f"/v1/cards/{first}")
    assert await _default(sql) is None
