"""`POST /v1/vaulting-sessions`: the buyer types a card in a client SDK, and it becomes the buyer's card."""

from typing import Any

import pytest

from keys.keyring import Purpose
from tests.api.gateway import SUCCESS, TOKEN, UNKNOWN_ORDER, Puppet, courier, failure
from tests.api.retiring import retire_while_sealing
from tests.api.shop import BUYER, Sql, paid_on_file, problem, type_card
from tests.api.vaultings import (
    KEPT,
    concluded,
    keep,
    looked_up,
    opened,
    passed,
    sent,
    told,
    vaulting_session,
)
from tests.canary import VISA_CANARY
from tests.installation import REDIRECT, Blueprint, Installation

pytestmark = pytest.mark.anyio
PATH = "/v1/vaulting-sessions"
OPENS = {"vaultingSessionData", "vaultingSessionId", "vaultingSessionExpiryTime", "normalUrl"}


async def test_a_session_is_a_vaulting_with_something_to_open_it(vault: Installation, sql: Sql) -> None:
    mark, body = await sql.mark(), vaulting_session(metadata={"shelf": "a"})
    answer = await vault.api.post(PATH, json=body)
    view, path = answer.json(), f"/v1/vaultings/{body['vaultingRequestId']}"
    assert (answer.status_code, answer.headers["Location"]) == (201, path)
    assert (view["vaultingStatus"], view["card"], view["nextAction"]) == ("PROCESSING", None, None)
    assert (view["referenceBuyerId"], view["metadata"]) == (BUYER, {"shelf": "a"})
    assert all(view[name] for name in OPENS)
    assert await sql.since(mark) == ["vaulting.created", "vaulting.changed", "vaulting.session_opened"]
    plain = (await vault.api.get(path)).json()
    assert set(view) - set(plain) == OPENS


async def test_what_is_sent_leaves_the_card_to_the_widget(vault: Installation) -> None:
    body = vaulting_session()
    await opened(vault, body)
    message = await sent(vault, body["vaultingRequestId"], "createVaultingSession")
    assert message.pop("vaultingNotificationUrl").endswith(vault.tenants[0].merchant_id)
    usual = {"paymentMethodType": "CARD", "vaultingRequestId": body["vaultingRequestId"], "redirectUrl": REDIRECT}
    assert message == usual
    asked = {"is3DSAuthentication": True, "merchantRegion": "BR"}
    body = vaulting_session(paymentRedirectUrl="https://shop.example/cards", **asked)
    await opened(vault, body)
    message = await sent(vault, body["vaultingRequestId"], "createVaultingSession")
    assert {name: message[name] for name in asked} == asked
    assert message["redirectUrl"] == body["paymentRedirectUrl"]


async def test_the_card_that_is_typed_becomes_the_buyers(vault: Installation, sql: Sql) -> None:
    body = vaulting_session(isDefault=True, metadata={"shelf": "a"})
    view = await opened(vault, body)
    assert (await type_card(view["normalUrl"])).status_code == 303
    settled = await concluded(vault, body["vaultingRequestId"])
    card = settled["card"]
    assert (settled["vaultingStatus"], card["status"], card["storage"]) == ("SUCCESS", "ACTIVE", "GATEWAY")
    assert (card["lastFour"], card["isDefault"], card["expiryYear"]) == (VISA_CANARY[-4:], True, None)
    assert (await vault.api.get(f"/v1/buyers/{BUYER}/cards")).json()["cards"] == [card]
    assert (await paid_on_file(vault, card["cardId"]))["paymentStatus"] == "SUCCESS"
    later = await opened(vault, body)
    assert (later["card"]["cardId"], {later[name] for name in OPENS}) == (card["cardId"], {None})
    assert (await sql.count("vaulting_secret"), await sql.alarms()) == (0, set())


async def test_a_card_with_a_token_that_is_known_is_the_same_card(vault: Installation, sql: Sql) -> None:
    first = vaulting_session()
    await type_card((await opened(vault, first))["normalUrl"])
    card_id = (await concluded(vault, first["vaultingRequestId"]))["card"]["cardId"]
    again = vaulting_session()
    view = await opened(vault, again)
    token = (await sql.rows("select token_print from vault.card"))[0]["token_print"]
    assert token is not None
    await type_card(view["normalUrl"])
    assert (await concluded(vault, again["vaultingRequestId"]))["vaultingStatus"] == "SUCCESS"
    assert card_id in {row["id"] for row in await sql.rows("select id from vault.card")}


async def test_a_buyer_who_gives_up_has_no_card(vault: Installation, sql: Sql) -> None:
    body = vaulting_session(is3DSAuthentication=True)
    page = (await type_card((await opened(vault, body))["normalUrl"])).headers["Location"]
    await passed({"nextAction": {"url": page}}, "fail")
    assert (await concluded(vault, body["vaultingRequestId"]))["card"] is None
    problem(await vault.api.post(PATH, json=body), 422, "vaulting_failed")
    assert (await sql.count("card"), await sql.count("vaulting_secret")) == (0, 0)


async def test_a_repeat_gets_the_same_session_as_long_as_there_is_one(vault: Installation, sql: Sql) -> None:
    body = vaulting_session()
    first = await opened(vault, body)
    again = await vault.api.post(PATH, json=body)
    assert (again.status_code, again.headers["Idempotent-Replayed"], again.json()) == (201, "true", first)
    problem(await vault.api.post(PATH, json=body | {"isDefault": True}), 409, "idempotency_conflict")
    problem(await vault.api.post("/v1/cards", json=keep(**body)), 409, "idempotency_conflict")
    assert len(await vault.sent(body["vaultingRequestId"], "createVaultingSession")) == 1
    for table in ("vaulting", "vaulting_secret", "audit_pending"):
        assert first["vaultingSessionData"] not in str(await sql.rows(f"select * from vault.{table}"))
    await sql.change("update vault.vaulting_secret set envelope = envelope || ''::bytea || '\\x00'::bytea")
    problem(await vault.api.post(PATH, json=body), 500, "integrity_failure")


async def test_an_answer_that_was_lost_leaves_a_session_that_nobody_can_open(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("createVaultingSession", {"result": SUCCESS})
    puppet.says("inquireVaulting", UNKNOWN_ORDER)
    body = vaulting_session()
    view = await opened(puppeteer, body, status=202)
    assert (view["vaultingStatus"], view["vaultingSessionData"]) == ("UNKNOWN", None)
    await sql.change("update vault.vaulting set send_deadline = now() - interval '1 hour'")
    await sql.change("update vault.vaulting_inquiry set next_at = now() - interval '1 second'")
    await puppeteer.work()
    assert (await looked_up(puppeteer, body["vaultingRequestId"]))["declined"]["retry"] == "NEW_ID"


async def test_a_session_that_the_gateway_refuses_is_none(puppeteer: Installation, puppet: Puppet) -> None:
    puppet.says("createVaultingSession", {"result": failure("PARAM_ILLEGAL")})
    document = problem(await puppeteer.api.post(PATH, json=vaulting_session()), 422, "vaulting_failed")
    assert document["declined"]["retry"] == "FIX_DATA"


async def test_a_card_that_came_before_its_session_opened_is_kept(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notification overtakes the answer: what opens the session is of no use any more and not kept."""
    puppet.says("createVaultingSession", {"result": SUCCESS, "vaultingSessionData": "opaque"})
    body, begin = vaulting_session(), puppeteer.services.vaultings._calls.begin

    async def late(*arguments: Any) -> Any:
        answer = await begin(*arguments)
        await courier(puppeteer, blueprint).bring(told(body["vaultingRequestId"]))
        return answer

    monkeypatch.setattr(puppeteer.services.vaultings._calls, "begin", late)
    view = await opened(puppeteer, body)
    assert (view["vaultingStatus"], view["card"]["storage"], view["vaultingSessionData"]) == (
        "SUCCESS",
        "GATEWAY",
        None,
    )
    assert await sql.count("vaulting_secret") == 0


async def test_a_card_without_its_last_digits_is_not_kept(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    puppet.says("createVaultingSession", {"result": SUCCESS, "vaultingSessionData": "opaque"})
    body = vaulting_session()
    await opened(puppeteer, body)
    shown: dict[str, Any] = {"paymentMethodType": "CARD", "card": {"cardToken": TOKEN}}
    await courier(puppeteer, blueprint).bring(told(body["vaultingRequestId"], paymentMethodDetail=shown))
    assert (await looked_up(puppeteer, body["vaultingRequestId"]))["vaultingStatus"] == "PROCESSING"
    assert await sql.count("card") == 0
    await courier(puppeteer, blueprint).bring(told(body["vaultingRequestId"]))
    view = await looked_up(puppeteer, body["vaultingRequestId"])
    assert view["card"]["maskedCardNo"] == KEPT["maskedCardNo"]


async def test_what_opens_a_session_is_sealed_again_when_its_key_is_retired_meanwhile(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = vault.services.vaultings._recorder._keeper
    fresh = retire_while_sealing(monkeypatch, keeper, vault, sql, Purpose.CARD)
    assert (await opened(vault))["vaultingSessionData"]
    assert await sql.value("select key_id from vault.vaulting_secret") == fresh[0]


async def test_a_session_without_a_way_back_is_refused(vault: Installation, sql: Sql) -> None:
    await sql.change("update vault.merchant set settings = settings - 'paymentRedirectUrl'")
    document = problem(await vault.api.post(PATH, json=vaulting_session()), 422, "request_invalid")
    assert document["errors"] == [{"pointer": "/paymentRedirectUrl", "code": "missing"}]
    assert await sql.count("vaulting") == 0
