"""Cards that are stored at the gateway without a payment: `POST /v1/cards` with `GATEWAY`."""

import pytest

from tests.api.shop import BUYER, Sql, card, card_on_file, of_tenant, paid_on_file, problem, stored
from tests.api.subscriptions import CONSENT
from tests.api.vaultings import (
    Json,
    attempt,
    concluded,
    forgotten,
    keep,
    kept,
    looked_up,
    passed,
    sent,
    until_forgotten,
    vaulting_session,
)
from tests.canary import CVV_CANARY, SECOND_CVV_CANARY, SECOND_VISA_CANARY, VISA_CANARY, assert_clean
from tests.installation import REDIRECT, Blueprint, Installation, installed
from vault.card_policy import CardPolicy

pytestmark = pytest.mark.anyio
PUBLISHED = "4111 1111 1111 1111"
MPI = {"threeDSVersion": "2.2.0", "eci": "05", "cavv": "AAABB000", "dsTransactionId": "1f0e"}
NAME = {"firstName": "Ana", "lastName": "Lopes"}


async def test_a_card_is_stored_at_once_where_nobody_has_to_authenticate(vault: Installation, sql: Sql) -> None:
    mark, body = await sql.mark(), keep(metadata={"shelf": "a"})
    answer = await attempt(vault, body)
    view = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v1/cards/{view['cardId']}")
    assert (view["storage"], view["status"], view["nextAction"]) == ("GATEWAY", "ACTIVE", None)
    assert (view["vaultingRequestId"], view["metadata"]) == (body["vaultingRequestId"], {"shelf": "a"})
    assert (view["referenceBuyerId"], view["lastFour"], view["expiryYear"]) == (BUYER, VISA_CANARY[-4:], "39")
    plain = (await vault.api.get(f"/v1/cards/{view['cardId']}")).json()
    assert plain == {name: view[name] for name in plain}
    assert set(view) - set(plain) == {"vaultingRequestId", "nextAction"}
    assert await sql.since(mark) == ["vaulting.created", "card.stored", "vaulting.changed"]
    assert await sql.count("vaulting_secret") == await sql.count("vaulting_inquiry") == 0
    assert (await paid_on_file(vault, view["cardId"]))["paymentStatus"] == "SUCCESS"


async def test_what_is_sent_is_what_the_merchant_said(vault: Installation) -> None:
    asked: Json = {
        "paymentRedirectUrl": "https://shop.example/cards",
        "env": {"terminalType": "APP", "clientIp": "192.0.2.1"},
        "merchantRegion": "BR",
    }
    card: Json = {
        "is3DSAuthentication": True,
        "enableAuthenticationUpgrade": False,
        "selectedCardBrand": "VISA",
        "billingAddress": {"region": "BR"},
    }
    body = keep(**asked, **card, extraVerification={"cpf": "123.456.789-09"})
    await kept(vault, body)
    message = await sent(vault, body["vaultingRequestId"])
    assert message.pop("vaultingNotificationUrl").endswith(vault.tenants[0].merchant_id)
    details = message.pop("paymentMethodDetail")
    assert message == {
        "vaultingRequestId": body["vaultingRequestId"],
        "redirectUrl": asked["paymentRedirectUrl"],
        "env": asked["env"],
        "merchantRegion": "BR",
    }
    typed = {"cardNo": VISA_CANARY, "cvv": CVV_CANARY, "expiryMonth": "11", "expiryYear": "39"}
    assert details == {"paymentMethodType": "CARD", "card": typed | card | {"cpf": "12345678909"}}
    usual = keep()
    await kept(vault, usual)
    message = await sent(vault, usual["vaultingRequestId"])
    assert (message["redirectUrl"], message["env"]) == (REDIRECT, {"terminalType": "WEB"})


async def test_a_card_waits_for_its_buyer(vault: Installation, sql: Sql) -> None:
    body = keep(is3DSAuthentication=True, isDefault=True)
    answer = await attempt(vault, body)
    view = answer.json()
    assert answer.status_code == 201
    assert (view["status"], view["storage"], view["nextAction"]["type"]) == ("PENDING", "GATEWAY", "REDIRECT")
    path = f"/v1/cards/{view['cardId']}"
    assert (await vault.api.get(path)).json() == view
    assert (await vault.api.get(f"/v1/buyers/{BUYER}/cards")).json()["cards"] == []
    for refused in (
        await vault.api.post(f"{path}/payments", json=card_on_file()),
        await vault.api.patch(path, json={"isDefault": True}),
        await vault.api.get(f"{path}/mandates"),
    ):
        problem(refused, 409, "card_pending")
    await passed(view)
    assert (await concluded(vault, body["vaultingRequestId"]))["card"]["cardId"] == view["cardId"]
    done = (await vault.api.get(path)).json()
    assert (done["status"], done["storage"], done["isDefault"]) == ("ACTIVE", "GATEWAY", True)
    assert (await vault.api.get(f"/v1/buyers/{BUYER}/cards")).json()["cards"] == [done]
    assert (await paid_on_file(vault, view["cardId"]))["paymentStatus"] == "SUCCESS"


async def test_the_same_request_again_shows_the_card_as_it_stands_now(vault: Installation, sql: Sql) -> None:
    body = keep(is3DSAuthentication=True)
    first = await kept(vault, body)
    waiting = await attempt(vault, body | {"card": card(cvv=SECOND_CVV_CANARY)})
    assert (waiting.status_code, waiting.headers["Idempotent-Replayed"], waiting.json()) == (201, "true", first)
    await passed(first)
    await concluded(vault, body["vaultingRequestId"])
    mark = await sql.mark()
    again = await attempt(vault, body)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert (again.json()["cardId"], again.json()["status"]) == (first["cardId"], "ACTIVE")
    assert await sql.since(mark) == []
    for changes in ({"card": card(SECOND_VISA_CANARY, cvv=CVV_CANARY)}, {"referenceBuyerId": "buyer-2"}):
        problem(await attempt(vault, body | changes), 409, "idempotency_conflict")
    session = vaulting_session(vaultingRequestId=body["vaultingRequestId"])
    problem(await vault.api.post("/v1/vaulting-sessions", json=session), 409, "idempotency_conflict")
    assert len(await vault.sent(body["vaultingRequestId"], "vaultPaymentMethod")) == 1


async def test_a_refusal_says_what_has_to_change_and_leaves_no_card(vault: Installation, sql: Sql) -> None:
    body, mark = keep(metadata={"shelf": "a"}), await sql.mark()
    await vault.arm(body["vaultingRequestId"], "DECLINE:INVALID_CVV")
    document = problem(await attempt(vault, body), 422, "vaulting_failed")
    assert document["declined"] == {"category": "card_data_invalid", "retry": "FIX_DATA", "notBefore": None}
    assert await sql.since(mark) == ["vaulting.created", "vaulting.changed"]
    again = problem(await attempt(vault, body), 422, "vaulting_failed")
    assert again["declined"] == document["declined"]
    view = await looked_up(vault, body["vaultingRequestId"])
    assert (view["vaultingStatus"], view["card"], view["gateway"]["resultCode"]) == ("FAIL", None, "INVALID_CVV")
    assert (view["declined"]["retry"], view["metadata"]) == ("FIX_DATA", {"shelf": "a"})
    for table in ("card", "vaulting_secret", "vaulting_inquiry"):
        assert await sql.count(table) == 0


async def test_a_buyer_who_does_not_authenticate_has_no_card(vault: Installation, sql: Sql) -> None:
    body = keep(is3DSAuthentication=True, card=card(cvv=CVV_CANARY, cardholderName=NAME))
    view = await kept(vault, body)
    assert await sql.rows("select kind from vault.vaulting_secret") == [{"kind": "PROFILE"}]
    await passed(view, "fail")
    ended = await concluded(vault, body["vaultingRequestId"])
    assert (ended["vaultingStatus"], ended["card"], ended["nextAction"]) == ("FAIL", None, None)
    problem(await vault.api.get(f"/v1/cards/{view['cardId']}"), 404, "not_found")
    problem(await attempt(vault, body), 422, "vaulting_failed")
    assert (await sql.count("card"), await sql.count("vaulting_secret")) == (0, 0)


async def test_the_number_is_kept_nowhere(vault: Installation, sql: Sql) -> None:
    body = keep(is3DSAuthentication=True, card=card(cvv=CVV_CANARY, cardholderName=NAME))
    view = await kept(vault, body)
    for table in ("vaulting", "vaulting_secret", "audit_pending"):
        assert_clean(str(await sql.rows(f"select * from vault.{table}")), table)
    await passed(view)
    await concluded(vault, body["vaultingRequestId"])
    kinds = {row["kind"] for row in await sql.rows("select kind from vault.card_secret")}
    assert kinds == {"TOKEN", "PROFILE"}
    assert await sql.value("select fingerprint from vault.vaulting") is None


async def test_a_card_that_the_vault_has_is_held_in_both_places(vault: Installation) -> None:
    first = await stored(vault)
    answer = await attempt(vault, keep())
    assert (answer.status_code, answer.json()["cardId"]) == (200, first["cardId"])
    assert answer.json()["storage"] == "BOTH"
    body = keep(is3DSAuthentication=True)
    waiting = await attempt(vault, body)
    view = waiting.json()
    assert (waiting.status_code, view["cardId"], view["status"]) == (201, first["cardId"], "ACTIVE")
    assert view["nextAction"]["type"] == "REDIRECT"
    await passed(view, "fail")
    await concluded(vault, body["vaultingRequestId"])
    assert (await vault.api.get(f"/v1/cards/{first['cardId']}")).json()["storage"] == "BOTH"


async def test_two_vaultings_of_one_card_make_one_card_with_two_names(vault: Installation, sql: Sql) -> None:
    bodies = [keep(is3DSAuthentication=True) for _ in range(2)]
    views = [await kept(vault, body) for body in bodies]
    assert views[0]["cardId"] != views[1]["cardId"]
    for body, view in zip(bodies, views, strict=True):
        await passed(view)
        assert (await concluded(vault, body["vaultingRequestId"]))["card"]["cardId"] == views[0]["cardId"]
    for view in views:
        assert (await vault.api.get(f"/v1/cards/{view['cardId']}")).json()["cardId"] == views[0]["cardId"]
    assert (await attempt(vault, bodies[1])).status_code == 200
    assert (await vault.api.delete(f"/v1/cards/{views[1]['cardId']}")).status_code == 204
    for view in views:
        problem(await vault.api.get(f"/v1/cards/{view['cardId']}"), 410, "card_deleted")
    problem(await attempt(vault, bodies[0]), 410, "card_deleted")
    assert await sql.value("select count(*) from vault.card where status <> 'DELETED'") == 0


async def test_a_pending_card_can_be_deleted_and_does_not_come_back(vault: Installation, sql: Sql) -> None:
    body = keep(is3DSAuthentication=True, card=card(cvv=CVV_CANARY, cardholderName=NAME))
    view, mark = await kept(vault, body), await sql.mark()
    path = f"/v1/cards/{view['cardId']}"
    assert (await vault.api.delete(path)).status_code == 204
    assert await sql.since(mark) == ["vaulting.changed"]
    assert await sql.count("vaulting_secret") == 0
    for answer in (await vault.api.get(path), await vault.api.delete(path), await attempt(vault, body)):
        problem(answer, 410, "card_deleted")
    await passed(view)
    await concluded(vault, body["vaultingRequestId"])
    await until_forgotten(vault, sql)
    assert (await sql.count("card"), await sql.alarms()) == (0, set())
    assert len(await forgotten(vault)) == 1


async def test_an_erased_buyer_leaves_nothing_pending(vault: Installation, sql: Sql) -> None:
    body = keep(is3DSAuthentication=True, consent=CONSENT, metadata={"shelf": "a"})
    view = await kept(vault, body)
    await kept(vault, keep(SECOND_VISA_CANARY))
    assert (await vault.api.delete(f"/v1/buyers/{BUYER}")).status_code == 204
    assert (await sql.events("buyer.erased"))[-1]["details"]["vaultings"] == 2
    assert await sql.value("select count(*) from vault.vaulting where num_nonnulls(buyer, metadata, consent) > 0") == 0
    problem(await vault.api.get(f"/v1/cards/{view['cardId']}"), 410, "card_deleted")
    await passed(view)
    await concluded(vault, body["vaultingRequestId"])
    assert await sql.value("select count(*) from vault.card where status <> 'DELETED'") == 0


async def test_what_cannot_be_asked_for_is_refused_and_leaves_the_id_free(vault: Installation, sql: Sql) -> None:
    body = keep()
    for changes, pointer, code in (
        ({"vaultingRequestId": ""}, "/vaultingRequestId", "too_short"),
        ({"metadata": {"note": PUBLISHED}}, "/metadata", "pan_in_free_text"),
        ({"storage": "BOTH"}, "/storage", "invalid_value"),
        ({"mpiData": MPI, "is3DSAuthentication": True}, "/mpiData", "contradictory"),
    ):
        answer = await attempt(vault, body | changes)
        assert answer.status_code == 422, changes
        assert {"pointer": pointer, "code": code} in answer.json()["errors"], answer.text
    await sql.change("update vault.merchant set settings = settings - 'paymentRedirectUrl'")
    document = problem(await attempt(vault, body), 422, "request_invalid")
    assert document["errors"] == [{"pointer": "/paymentRedirectUrl", "code": "missing"}]
    assert await sql.count("vaulting") == 0
    await kept(vault, body | {"paymentRedirectUrl": REDIRECT})


async def test_without_an_id_every_request_is_a_new_one(vault: Installation, sql: Sql) -> None:
    body = {name: value for name, value in keep().items() if name != "vaultingRequestId"}
    first, second = await attempt(vault, body), await attempt(vault, body)
    assert [first.status_code, second.status_code] == [201, 200]
    assert first.json()["vaultingRequestId"] != second.json()["vaultingRequestId"]
    assert first.json()["cardId"] == second.json()["cardId"]
    opened = await vault.api.post("/v1/vaulting-sessions", json={"referenceBuyerId": BUYER})
    assert (await looked_up(vault, opened.json()["vaultingRequestId"]))["vaultingStatus"] == "PROCESSING"
    assert await sql.count("vaulting") == 3


async def test_another_merchants_vaultings_are_not_there(vault: Installation) -> None:
    body = keep(is3DSAuthentication=True)
    view = await kept(vault, body)
    async with of_tenant(vault, 1) as other:
        problem(await other.get(f"/v1/cards/{view['cardId']}"), 404, "not_found")
        problem(await other.get(f"/v1/vaultings/{body['vaultingRequestId']}"), 404, "not_found")
        problem(await other.delete(f"/v1/cards/{view['cardId']}"), 404, "not_found")
        theirs = await other.post("/v1/cards", json=keep(vaultingRequestId=body["vaultingRequestId"]))
        assert (theirs.status_code, theirs.json()["status"]) == (201, "ACTIVE")


async def test_a_number_that_the_policy_refuses_is_not_sent(blueprint: Blueprint, onboarded_url: str) -> None:
    async with installed(blueprint, onboarded_url, card_policy=CardPolicy.TEST_ONLY) as vault:
        body = keep()
        problem(await attempt(vault, body), 422, "card_number_refused")
        assert await vault.sent(body["vaultingRequestId"], "vaultPaymentMethod") == []
