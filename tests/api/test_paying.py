"""`POST /v1/payments` and payments with stored cards: what is sent, what is answered, what is refused before."""

from typing import Any

import pytest

from tests.api.shop import BUYER, Sql, card, card_on_file, order, paid, paid_on_file, payment, problem, store, stored
from tests.canary import CVV_CANARY, MASTERCARD_CANARY, SECOND_CVV_CANARY, VISA_CANARY
from tests.installation import REDIRECT, Installation

pytestmark = pytest.mark.anyio


async def test_a_payment_is_shown_in_the_shape_of_the_contract(vault: Installation) -> None:
    body = payment(metadata={"shelf": "a"})
    answer = await vault.api.post("/v1/payments", json=body)
    view = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/payments/{view['paymentId']}"
    assert "Idempotent-Replayed" not in answer.headers
    expected = {
        "paymentRequestId": body["paymentRequestId"],
        "kind": "ONE_OFF",
        "paymentStatus": "SUCCESS",
        "paymentAmount": {"currency": "EUR", "value": "2590"},
        "card": None,
        "nextAction": None,
        "captureStatus": "NONE",
        "captures": [],
        "refunds": [],
        "declined": None,
        "metadata": {"shelf": "a"},
    }
    assert {name: view[name] for name in expected} == expected
    assert view["gateway"]["resultCode"] == "SUCCESS"
    assert view["gateway"]["resultStatus"] == "S"
    assert (await vault.api.get(f"/v1/payments/{view['paymentId']}")).json() == view


async def test_answers_never_hold_a_token_or_an_authentication_value(vault: Installation) -> None:
    view = await paid(vault, payment(storeCard="BOTH"))
    (row,) = await vault.ledger(view["paymentRequestId"])
    assert row["status"] == "AUTHORISED"
    text = str(view)
    assert "cardToken" not in text
    assert "ALIPAY" not in text
    assert "cavv" not in text
    assert view["paymentResultInfo"]["networkTransactionId"]


@pytest.mark.parametrize(
    ("where", "tokenize", "kinds"),
    [(None, None, []), ("GATEWAY", True, ["TOKEN"]), ("VAULT", None, ["PAN"]), ("BOTH", True, ["PAN", "TOKEN"])],
)
async def test_a_paying_card_is_kept_where_it_was_asked_for(
    vault: Installation, sql: Sql, where: str | None, *, tokenize: bool | None, kinds: list[str]
) -> None:
    view = await paid(vault, payment(**({"storeCard": where} if where else {})))
    (body,) = await vault.sent(view["paymentRequestId"])
    assert body["paymentMethod"]["paymentMethodMetaData"].get("tokenize") is tokenize
    assert (view["card"] or {}).get("storage") == where
    rows = await sql.rows("select kind from vault.card_secret order by kind")
    assert [row["kind"] for row in rows] == kinds
    assert await sql.count("payment_secret") == 0


async def test_a_stored_card_shows_what_the_gateway_knows_about_it(vault: Installation) -> None:
    view = (await paid(vault, payment(storeCard="GATEWAY")))["card"]
    assert (view["status"], view["maskedCardNo"], view["lastFour"]) == ("ACTIVE", "*" * 12 + "6057", "6057")
    assert (view["expiryMonth"], view["expiryYear"], view["referenceBuyerId"]) == ("11", "39", BUYER)
    assert view["issuingCountry"]
    assert view["funding"]


async def test_a_card_known_by_number_becomes_both_and_takes_the_new_expiry(vault: Installation) -> None:
    known = await stored(vault)
    newer = card(cvv=CVV_CANARY, expiryMonth="05", expiryYear="41")
    view = (await paid(vault, payment(storeCard="GATEWAY", card=newer)))["card"]
    assert (view["cardId"], view["storage"], view["expiryYear"]) == (known["cardId"], "BOTH", "41")


async def test_a_token_card_becomes_both_by_storing_its_number(vault: Installation) -> None:
    known = (await paid(vault, payment(storeCard="GATEWAY")))["card"]
    answer = await vault.api.post("/v1/cards", json=store())
    assert (answer.status_code, answer.json()["cardId"]) == (200, known["cardId"])
    assert answer.json()["storage"] == "BOTH"


async def test_flags_that_were_left_absent_stay_absent(vault: Installation) -> None:
    body = payment()
    del body["captureMode"]
    view = await paid(vault, body)
    (sent,) = await vault.sent(view["paymentRequestId"])
    details = sent["paymentMethod"]["paymentMethodMetaData"]
    assert details == {
        "cardNo": VISA_CANARY,
        "cvv": CVV_CANARY,
        "expiryMonth": "11",
        "expiryYear": "39",
        "isCardOnFile": False,
    }
    assert sent["paymentFactor"] == {"isAuthorization": True}
    assert "env" not in sent


async def test_what_the_merchant_left_out_comes_from_its_configuration(vault: Installation) -> None:
    view = await paid(vault, payment())
    (sent,) = await vault.sent(view["paymentRequestId"])
    assert sent["paymentRedirectUrl"] == REDIRECT
    assert sent["settlementStrategy"] == {"settlementCurrency": "EUR"}
    assert sent["order"]["orderAmount"] == sent["paymentAmount"] == {"currency": "EUR", "value": "2590"}
    own: dict[str, Any] = {
        "paymentRedirectUrl": "https://shop.example/other",
        "settlementStrategy": {"settlementCurrency": "USD"},
        "env": {"terminalType": "WEB", "clientIp": "2001:db8::1"},
        "merchantRegion": "PT",
        "paymentExpiryTime": "2039-01-31T12:00:00+01:00",
    }
    view = await paid(vault, payment(**own))
    (sent,) = await vault.sent(view["paymentRequestId"])
    assert {name: sent[name] for name in own} == own


async def test_notifications_always_come_to_the_vault(vault: Installation) -> None:
    view = await paid(vault, payment())
    (sent,) = await vault.sent(view["paymentRequestId"])
    expected = f"{vault.settings.public_url}/v1/gateway/notifications/{vault.tenants[0].merchant_id}"
    assert sent["paymentNotifyUrl"] == expected
    document = problem(
        await vault.api.post("/v1/payments", json=payment(paymentNotifyUrl="https://shop.example/n")),
        422,
        "request_invalid",
    )
    assert document["errors"] == [{"pointer": "", "code": "unknown_field"}]


async def test_a_redirect_is_a_next_action_and_ends_in_success(vault: Installation) -> None:
    view = await paid(vault, payment(is3DSAuthentication=True, storeCard="GATEWAY"))
    assert (view["paymentStatus"], view["card"]) == ("PROCESSING", None)
    assert view["nextAction"]["type"] == "REDIRECT"
    assert view["nextAction"]["method"] == "GET"
    await vault.sandbox_api.post(view["nextAction"]["url"], data={"outcome": "success"})
    settled = await vault.settle(view["paymentId"])
    assert (settled["paymentStatus"], settled["nextAction"]) == ("SUCCESS", None)
    assert settled["card"]["storage"] == "GATEWAY"
    assert settled["paymentResultInfo"]["threeDSResult"]["eci"] == "05"


async def test_an_open_outcome_without_a_next_action_is_accepted(vault: Installation) -> None:
    body = payment(storeCard="GATEWAY")
    await vault.arm(body["paymentRequestId"], "LATE_SUCCESS")
    view = await paid(vault, body, status=202)
    assert (view["paymentStatus"], view["nextAction"]) == ("PROCESSING", None)
    assert (await vault.settle(view["paymentId"]))["card"]["storage"] == "GATEWAY"


async def test_a_card_at_the_gateway_is_paid_with_by_its_token(vault: Installation) -> None:
    card_id = (await paid(vault, payment(storeCard="GATEWAY")))["card"]["cardId"]
    view = await paid_on_file(vault, card_id)
    (sent,) = await vault.sent(view["paymentRequestId"])
    assert (view["kind"], view["card"]["cardId"]) == ("CARD_ON_FILE", card_id)
    assert sent["paymentMethod"]["paymentMethodId"].startswith("ALIPAY")
    assert sent["paymentMethod"]["paymentMethodMetaData"] == {"isCardOnFile": True}
    assert sent["order"]["buyer"] == {"referenceBuyerId": BUYER}


async def test_a_card_in_the_vault_is_paid_with_by_its_number_and_fresh_data(vault: Installation) -> None:
    name = {"firstName": "Ana", "lastName": "Lopes"}
    card_id = (await stored(vault, store(card=card(cardholderName=name))))["cardId"]
    extra = {"cpf": "853.513.468-93", "payerEmail": "ana@shop.example", "cardPasswordDigest": "12"}
    view = await paid_on_file(vault, card_id, card_on_file(BUYER, cvv=SECOND_CVV_CANARY, extraVerification=extra))
    (sent,) = await vault.sent(view["paymentRequestId"])
    assert sent["paymentMethod"]["paymentMethodMetaData"] == {
        "cardNo": VISA_CANARY,
        "cvv": SECOND_CVV_CANARY,
        "expiryMonth": "11",
        "expiryYear": "39",
        "cardholderName": name,
        "isCardOnFile": True,
        "cpf": "85351346893",
        "payerEmail": "ana@shop.example",
        "cardPasswordDigest": "12",
    }


async def test_with_both_the_token_is_used(vault: Installation, sql: Sql) -> None:
    card_id = (await paid(vault, payment(storeCard="BOTH")))["card"]["cardId"]
    view = await paid_on_file(vault, card_id)
    (sent,) = await vault.sent(view["paymentRequestId"])
    assert "paymentMethodId" in sent["paymentMethod"]
    assert "cardNo" not in sent["paymentMethod"]["paymentMethodMetaData"]
    assert await sql.value("select credential from vault.payment where kind = 'CARD_ON_FILE'") == "TOKEN"


async def test_a_card_pays_for_its_buyer_only(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    answer = await vault.api.post(f"/v1/cards/{card_id}/payments", json=card_on_file("buyer-2"))
    document = problem(answer, 422, "buyer_mismatch")
    assert document["errors"] == [{"pointer": "/order/buyer/referenceBuyerId", "code": "buyer_mismatch"}]
    assert await sql.count("payment") == 0


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"paymentAmount": {"currency": "EUR", "value": "0"}}, "/paymentAmount/value", "amount_invalid"),
    ({"paymentAmount": {"currency": "EUR", "value": "1.5"}}, "/paymentAmount/value", "amount_invalid"),
    ({"paymentAmount": {"currency": "XXY", "value": "1"}}, "/paymentAmount/currency", "currency_invalid"),
    ({"storeCard": "VAULT", "order": order(None)}, "", "buyer_required"),
    ({"card": card("4111111111111112")}, "/card/cardNo", "card_number_invalid"),
    ({"card": card(MASTERCARD_CANARY, cvv="0097")}, "/card/cvv", "cvv_invalid"),
    ({"card": card(expiryYear="69")}, "/card", "expiry_invalid"),
    ({"paymentRequestId": "x" * 65}, "/paymentRequestId", "too_long"),
    ({"tokenize": True}, "", "unknown_field"),
    ({"is3DSAuthentication": 0}, "/is3DSAuthentication", "invalid_type"),
    ({"env": {"colorDepth": "24"}}, "/env/colorDepth", "invalid_type"),
    (
        {"settlementStrategy": {"settlementCurrency": "XXY"}},
        "/settlementStrategy/settlementCurrency",
        "currency_invalid",
    ),
    ({"order": {"referenceOrderId": "o"}}, "/order/orderDescription", "missing"),
    ({"mpiData": {"threeDSVersion": "2.2.0", "eci": "05"}}, "/mpiData/cavv", "missing"),
]


async def test_a_refused_request_leaves_no_payment_and_sends_nothing(vault: Installation, sql: Sql) -> None:
    for change, pointer, code in REFUSED:
        body = payment() | change
        document = problem(await vault.api.post("/v1/payments", json=body), 422, "request_invalid")
        assert {"pointer": pointer, "code": code} in document["errors"], pointer
        assert await vault.sent(body["paymentRequestId"]) == []
    assert await sql.count("payment") == 0


async def test_a_refused_request_does_not_use_up_its_id(vault: Installation) -> None:
    body = payment()
    refused = body | {"paymentAmount": {"currency": "EUR", "value": "0"}}
    problem(await vault.api.post("/v1/payments", json=refused), 422, "request_invalid")
    assert (await paid(vault, body))["paymentStatus"] == "SUCCESS"


async def test_both_spellings_are_taken_and_one_is_sent(vault: Installation) -> None:
    data = {"threeDSVersion": "2.2.0", "eci": "05", "caav": "AAABB0000000000000000000000=", "dsTransactionId": "1f0e"}
    view = await paid(vault, payment(mpiData=data, selectedCardBrands=["VISA"], is3DSAuthentication=False))
    (sent,) = await vault.sent(view["paymentRequestId"])
    details = sent["paymentMethod"]["paymentMethodMetaData"]
    assert details["mpiData"]["cavv"] == data["caav"]
    assert "caav" not in details["mpiData"]
    assert details["selectedCardBrand"] == "VISA"
