"""Tokens of deleted cards: the gateway is asked to delete them, a few times, and nothing waits for it."""

import asyncio
from typing import Any

import pytest

from tests.api.gateway import SUCCESS, TOKEN, Puppet, courier, failure
from tests.api.shop import BUYER, Sql, paid, paid_on_file, payment, problem, stored, until
from tests.api.vaultings import KEPT, Json, forgotten, keep, kept, told, until_forgotten
from tests.canary import SECOND_VISA_CANARY
from tests.installation import Blueprint, Installation
from vault import cards, erasure, tokens
from vault.store import token_deletions, vaultings
from vault.worker import loop

pytestmark = pytest.mark.anyio
STORED: Json = {"result": SUCCESS, "paymentMethodDetail": {"paymentMethodType": "CARD", "card": KEPT}}
UNCLEAR: Json = {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U"}}


async def _deleted(puppeteer: Installation, puppet: Puppet, answer: Json) -> str:
    """Delete a card with a token, at a gateway that answers so, and give its id."""
    puppet.says("vaultPaymentMethod", STORED)
    puppet.says("deleteToken", answer)
    card_id = str((await kept(puppeteer))["cardId"])
    assert (await puppeteer.api.delete(f"/v1/cards/{card_id}")).status_code == 204
    return card_id


async def _due(vault: Installation, sql: Sql) -> None:
    await sql.change("update vault.token_deletion set next_at = now() - interval '1 second'")
    await vault.work()


async def test_the_gateway_deletes_what_the_vault_deleted(vault: Installation, sql: Sql) -> None:
    card_id = (await kept(vault))["cardId"]
    assert (await vault.api.delete(f"/v1/cards/{card_id}")).status_code == 204
    assert await sql.count("card_secret") == 0
    assert await forgotten(vault) == []
    stop = asyncio.Event()
    working = asyncio.create_task(loop.run((loop.token_deletions(vault.services.tokens, idle=0.05),), stop))

    async def told() -> bool:
        return bool(await sql.events("card.forgotten_at_gateway"))

    await until(told)
    stop.set()
    await working
    (event,) = await sql.events("card.forgotten_at_gateway")
    assert (event["outcome"], event["objects"], event["details"]["gateway_result"]) == ("success", [card_id], "SUCCESS")
    assert (len(await forgotten(vault)), await sql.count("token_deletion")) == (1, 0)


async def test_a_buyers_tokens_are_deleted_with_the_buyer(vault: Installation, sql: Sql) -> None:
    await kept(vault)
    await paid(vault, payment(SECOND_VISA_CANARY, storeCard="BOTH"))
    await vault.api.delete(f"/v1/buyers/{BUYER}")
    assert (await sql.count("token_deletion"), await sql.count("card_secret")) == (2, 0)
    await until_forgotten(vault, sql, 2)
    assert len(set(await forgotten(vault))) == 2


async def test_a_card_without_a_token_is_none_of_the_gateways_business(vault: Installation, sql: Sql) -> None:
    await vault.api.delete(f"/v1/cards/{(await stored(vault))['cardId']}")
    assert await sql.count("token_deletion") == 0


async def test_a_token_by_which_another_card_is_known_stays(vault: Installation, sql: Sql) -> None:
    first, second = (await kept(vault))["cardId"], (await kept(vault, keep(buyer="buyer-2")))["cardId"]
    shared = "token_print = (select token_print from vault.card where id = $1)"
    await sql.change(f"update vault.card set {shared} where id = $2", first, second)
    await vault.api.delete(f"/v1/cards/{first}")
    await _due(vault, sql)
    assert (await sql.count("token_deletion"), await forgotten(vault)) == (0, [])
    assert (await paid_on_file(vault, second))["paymentStatus"] == "SUCCESS"


async def test_a_gateway_that_does_not_answer_is_asked_again(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    await _deleted(puppeteer, puppet, UNCLEAR)
    await _due(puppeteer, sql)
    assert await sql.value("select attempts from vault.token_deletion where next_at > now()") == 1
    client = puppeteer.services.tokens._client
    there, client._origin = client._origin, "http://127.0.0.1:9"
    await _due(puppeteer, sql)
    client._origin = there
    puppet.says("deleteToken", {"result": SUCCESS})
    await _due(puppeteer, sql)
    assert [body["token"] for name, body in puppet.asked if name == "deleteToken"] == [TOKEN, TOKEN]
    assert await sql.count("token_deletion") == 0


async def test_a_refusal_is_the_last_word(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    await _deleted(puppeteer, puppet, {"result": failure("PARAM_ILLEGAL")})
    await _due(puppeteer, sql)
    (event,) = await sql.events("card.forgotten_at_gateway")
    assert (event["outcome"], event["details"]["gateway_result"]) == ("failure", "PARAM_ILLEGAL")
    assert (await sql.count("token_deletion"), puppet.count("deleteToken")) == (0, 1)


async def test_trying_ends(puppeteer: Installation, puppet: Puppet, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_TRIES", 2)
    await _deleted(puppeteer, puppet, UNCLEAR)
    for _ in range(3):
        await _due(puppeteer, sql)
    assert (puppet.count("deleteToken"), await sql.count("token_deletion")) == (2, 0)
    (event,) = await sql.events("card.forgotten_at_gateway")
    assert (event["outcome"], event["details"]["gateway_result"]) == ("failure", None)


async def test_a_damaged_token_is_given_up_and_alarmed(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    """T-2."""
    await _deleted(puppeteer, puppet, {"result": SUCCESS})
    await sql.change("update vault.token_deletion set owner_id = 'card_other'")
    await _due(puppeteer, sql)
    assert (await sql.alarms(), await sql.count("token_deletion")) == ({"integrity_failure"}, 0)
    assert puppet.count("deleteToken") == 0


async def test_two_workers_delete_a_token_once(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    await _deleted(puppeteer, puppet, {"result": SUCCESS})
    await asyncio.gather(*(puppeteer.services.tokens.delete_due() for _ in range(3)))
    assert (puppet.count("deleteToken"), len(await sql.events("card.forgotten_at_gateway"))) == (1, 1)


async def test_what_another_worker_concluded_meanwhile_is_told_once(
    puppeteer: Installation, puppet: Puppet, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _deleted(puppeteer, puppet, {"result": SUCCESS})
    asked = puppeteer.services.tokens._asked

    async def slow(*arguments: object) -> object:
        await sql.change("delete from vault.token_deletion")
        return await asked(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(puppeteer.services.tokens, "_asked", slow)
    await _due(puppeteer, sql)
    assert await sql.events("card.forgotten_at_gateway") == []


async def test_a_token_that_comes_while_its_card_is_deleted_is_deleted_too(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    puppet.says("vaultPaymentMethod", UNCLEAR)
    body = keep()
    card_id, keeper = (
        (await kept(puppeteer, body, status=202))["cardId"],
        puppeteer.services.vaultings._recorder._keeper,
    )
    plan = keeper.plan

    async def late(*arguments: Any) -> Any:
        made = await plan(*arguments)
        await puppeteer.api.delete(f"/v1/cards/{card_id}")
        return made

    monkeypatch.setattr(keeper, "plan", late)
    assert (await courier(puppeteer, blueprint).bring(told(body["vaultingRequestId"]))).status_code == 200
    assert (await sql.count("token_deletion"), await sql.count("card")) == (1, 0)


async def test_a_token_that_can_never_be_put_down_is_told_again(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any) -> bool:
        return False

    puppet.says("vaultPaymentMethod", UNCLEAR)
    body, bringing = keep(), courier(puppeteer, blueprint)
    await puppeteer.api.delete(f"/v1/cards/{(await kept(puppeteer, body, status=202))['cardId']}")
    with monkeypatch.context() as patched:
        patched.setattr(token_deletions, "put", refused)
        problem(await bringing.bring(told(body["vaultingRequestId"])), 503, "overloaded")
    assert await sql.count("token_deletion") == 0
    assert (await bringing.bring(told(body["vaultingRequestId"]))).status_code == 200
    assert await sql.count("token_deletion") == 1


async def test_a_card_that_goes_away_while_it_is_looked_for_is_deleted(
    vault: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    card_id = (await kept(vault))["cardId"]
    path, find = f"/v1/cards/{card_id}", cards.locate

    async def late(*arguments: Any) -> Any:
        found = await find(*arguments)
        monkeypatch.setattr(erasure, "locate", find)
        assert (await vault.api.delete(path)).status_code == 204
        return found

    monkeypatch.setattr(erasure, "locate", late)
    problem(await vault.api.delete(path), 410, "card_deleted")


async def test_a_card_that_can_never_be_caught_is_told_as_busy(
    vault: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> list[str]:
        return []

    card_id = (await kept(vault, keep(is3DSAuthentication=True)))["cardId"]
    monkeypatch.setattr(vaultings, "abandon_card", nothing)
    problem(await vault.api.delete(f"/v1/cards/{card_id}"), 503, "overloaded")
