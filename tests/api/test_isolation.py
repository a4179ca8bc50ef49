"""Card numbers where they do not belong: refused without an echo, and never in answers, logs or the audit queue.

Every request here carries a canary; the search at the end of the run and of each test looks for it everywhere else.
"""

import asyncio
from typing import Any

import pytest

from tests.api.shop import BUYER, Sql, card, card_on_file, order, paid, payment, problem, shown, store, stored
from tests.api.vaultings import keep
from tests.canary import CVV_CANARY, MASTERCARD_CANARY, SECOND_VISA_CANARY, VISA_CANARY, assert_clean
from tests.installation import Installation

pytestmark = pytest.mark.anyio
NUMBER = VISA_CANARY
GROUPED = f"{NUMBER[:4]} {NUMBER[4:8]}-{NUMBER[8:12]} {NUMBER[12:]}"
PUBLISHED = "4111111111111111"


def _order(**changes: Any) -> dict[str, Any]:
    return {"order": order() | changes}


def _goods(**changes: Any) -> dict[str, Any]:
    return _order(goods=[{"referenceGoodsId": "g-1", "goodsName": "book"} | changes])


FREE_TEXT: list[tuple[str, dict[str, Any]]] = [
    ("/order/orderDescription", _order(orderDescription=f"card {NUMBER}!")),
    ("/order/orderDescription", _order(orderDescription=GROUPED)),
    ("/order/goods/0/goodsName", _goods(goodsName=NUMBER)),
    ("/order/goods/0/goodsUrl", _goods(goodsUrl=f"https://shop.example/{NUMBER}")),
    ("/order/buyer/buyerName/fullName", _order(buyer={"buyerName": {"fullName": NUMBER}})),
    (
        "/order/shipping/shippingAddress/address1",
        _order(shipping={"shippingAddress": {"region": "PT", "address1": NUMBER}}),
    ),
    ("/billingAddress/city", {"billingAddress": {"region": "PT", "city": NUMBER}}),
    ("/card/cardholderName/firstName", {"card": card(cardholderName={"firstName": NUMBER, "lastName": "L"})}),
    ("/paymentRedirectUrl", {"paymentRedirectUrl": f"https://shop.example/{NUMBER}"}),
    ("/env/userAgent", {"env": {"userAgent": f"UA {NUMBER}"}}),
    ("/metadata", {"metadata": {"note": NUMBER}}),
    ("/metadata", {"metadata": {"note": int(NUMBER)}}),
    ("/metadata", {"metadata": {NUMBER: "x"}}),
]


async def test_a_card_number_in_free_text_is_refused_by_its_place_and_not_repeated(
    vault: Installation, sql: Sql
) -> None:
    for pointer, change in FREE_TEXT:
        answer = await vault.api.post("/v1/payments", json=payment() | change)
        document = problem(answer, 422, "pan_in_free_text")
        assert document["errors"] == [{"pointer": pointer, "code": "pan_in_free_text"}], pointer
        assert_clean(answer.content, "the answer")
    assert await sql.count("payment") == 0


async def test_typed_fields_are_not_searched(vault: Installation) -> None:
    phone = _order(buyer={"buyerPhoneNo": PUBLISHED, "referenceBuyerId": BUYER})
    assert (await paid(vault, payment() | phone))["paymentStatus"] == "SUCCESS"


async def test_an_address_is_an_address_and_nothing_else_of_digits(vault: Installation) -> None:
    answer = await vault.api.post("/v1/payments", json=payment(env={"clientIp": NUMBER}))
    assert problem(answer, 422, "request_invalid")["errors"] == [{"pointer": "/env/clientIp", "code": "invalid_value"}]
    consent = {"text": "I agree", "acceptedAt": "2026-01-31T12:00:00Z", "clientIp": NUMBER}
    problem(await vault.api.post("/v1/cards", json=store(consent=consent)), 422, "request_invalid")


async def test_a_merchants_own_ids_may_look_like_card_numbers_by_chance(vault: Installation) -> None:
    view = await paid(vault, payment(paymentRequestId=PUBLISHED, order=order() | {"referenceOrderId": PUBLISHED}))
    assert (view["paymentRequestId"], view["referenceOrderId"]) == (PUBLISHED, PUBLISHED)
    assert "withheld" not in view
    waiting = keep(buyer=PUBLISHED, vaultingRequestId=PUBLISHED, is3DSAuthentication=True)
    assert (await stored(vault, waiting))["vaultingRequestId"] == PUBLISHED
    kept = await stored(vault, store(buyer=PUBLISHED))
    assert kept["referenceBuyerId"] == PUBLISHED
    assert (await vault.api.get(f"/v1/buyers/{PUBLISHED}/cards")).json()["cards"] == [kept]


async def test_a_merchant_can_have_such_ids_refused(vault: Installation, sql: Sql) -> None:
    await sql.change('update vault.merchant set settings = settings || \'{"referencePolicy": "reject"}\'')
    body = payment(paymentRequestId=PUBLISHED, order=order(PUBLISHED) | {"referenceOrderId": PUBLISHED})
    document = problem(await vault.api.post("/v1/payments", json=body), 422, "pan_in_free_text")
    assert [error["pointer"] for error in document["errors"]] == [
        "/paymentRequestId",
        "/order/referenceOrderId",
        "/order/buyer/referenceBuyerId",
    ]
    document = problem(await vault.api.post("/v1/cards", json=store(buyer=PUBLISHED)), 422, "pan_in_free_text")
    assert document["errors"] == [{"pointer": "/referenceBuyerId", "code": "pan_in_free_text"}]
    assert (await sql.count("payment"), await sql.count("card")) == (0, 0)


async def test_a_card_number_in_a_place_of_its_own_invention_comes_back_nowhere(vault: Installation, sql: Sql) -> None:
    """T-37, T-39."""
    arabic = NUMBER.translate({ord("0") + digit: 0x660 + digit for digit in range(10)})
    bodies: list[Any] = [
        payment(card=int(NUMBER)),
        payment(card=[NUMBER]),
        payment(card=card(cvv=CVV_CANARY) | {"cardNo": int(NUMBER)}),
        payment(card=card(cvv=CVV_CANARY) | {"cardNo": float(NUMBER)}),
        payment(card=card(cvv=CVV_CANARY) | {"cardNo": [[NUMBER]]}),
        payment(card=card(cvv=CVV_CANARY) | {"cardNo": {"nested": {NUMBER: 1}}}),
        payment(card=card(cvv=CVV_CANARY) | {"cardNo": arabic}),
        payment(card=card(cvv=CVV_CANARY) | {"cardNo": GROUPED, "expiryMonth": NUMBER}),
        payment(card=card(cvv=int(CVV_CANARY))),
        payment() | {NUMBER: 1},
        {"card": {"cardNo": NUMBER, NUMBER: {"cvv": CVV_CANARY}}},
        [NUMBER],
        NUMBER,
        {},
    ]
    for body in bodies:
        answer = await vault.api.post("/v1/payments", json=body)
        assert answer.status_code in {400, 422}
        assert_clean(answer.content, "the answer")
    assert await sql.count("payment") == 0


@pytest.mark.parametrize("number", [NUMBER, GROUPED.replace(" ", "%20")])
async def test_a_card_number_in_path_query_and_headers_comes_back_nowhere(vault: Installation, number: str) -> None:
    """T-39."""
    for path in (f"/v1/cards/{number}", f"/v1/payments/{number}", f"/{number}", f"/v1/gateway/notifications/{number}"):
        for method in ("GET", "POST", "DELETE"):
            answer = await vault.api.request(method, path, json={} if method == "POST" else None)
            assert answer.status_code in {401, 404, 405, 415, 422}, path
            assert_clean(answer.content, "the answer")
            assert_clean(str(answer.headers), "the headers")
    for query in (f"cursor={number}", f"{number}=1", f"createdFrom={number}", f"limit={number}"):
        answer = await vault.api.get(f"/v1/payments?{query}")
        assert answer.status_code == 422
        assert_clean(answer.content, "the answer")
    digits = number.replace("%20", " ")
    headers = dict.fromkeys(("x-request-id", "traceparent", "user-agent", "referer", "cookie", "x-card"), digits)
    answer = await vault.api.get("/v1/payments", headers=headers)
    assert answer.status_code == 200
    assert_clean(str(answer.headers), "the headers")
    wrong = await vault.api.get("/v1/payments", headers={"authorization": f"Bearer {digits}"})
    problem(wrong, 401, "unauthenticated")


async def test_other_kinds_of_bodies_are_not_read(vault: Installation) -> None:
    """T-39."""
    form = await vault.api.post("/v1/cards", data={"cardNo": NUMBER})
    multipart = await vault.api.post("/v1/cards", files={NUMBER: (NUMBER, NUMBER.encode())})
    text = await vault.api.post("/v1/cards", content=NUMBER, headers={"content-type": "text/plain"})
    for answer in (form, multipart, text):
        problem(answer, 415, "unsupported_media_type")
        assert_clean(answer.content, "the answer")


@pytest.mark.parametrize("raw", [b'{"card":' * 100, b'{"a":NaN}', b'{"a":1,"a":2}', b'{"a":1e999}', b"\xff", b'{"a"'])
async def test_json_that_is_not_strict_is_not_read(vault: Installation, raw: bytes) -> None:
    """T-46."""
    answer = await vault.api.post("/v1/cards", content=raw, headers={"content-type": "application/json"})
    problem(answer, 400, "invalid_json")


async def test_a_card_number_that_the_gateway_sends_does_not_reach_anybody(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, payment())
    info = {"issuerName": f"bank {NUMBER}", "cardBrand": "VISA"}
    await sql.change(
        "update vault.payment set result_info = jsonb_build_object('issuerName', 'bank ' || $1::text)", PUBLISHED
    )
    answer = await vault.api.get(f"/v1/payments/{view['paymentId']}")
    assert answer.json()["paymentResultInfo"]["issuerName"] is None
    assert answer.json()["withheld"] == ["/paymentResultInfo/issuerName"]
    assert PUBLISHED not in answer.text
    assert info["cardBrand"]

    async def recorded() -> bool:
        return bool(await sql.events("response.withheld"))

    async with asyncio.timeout(5):
        assert await recorded() or await asyncio.sleep(0.5, result=True)
    (event,) = await sql.events("response.withheld")
    assert event["details"]["pointers"] == "/paymentResultInfo/issuerName"


async def test_secrets_are_in_no_event_and_no_row(vault: Installation, sql: Sql) -> None:
    """T-36."""
    kept = await stored(vault)
    body = payment(MASTERCARD_CANARY, storeCard="BOTH", extraVerification={"cpf": "853.513.468-93"})
    view = await paid(vault, body)
    await vault.api.post(f"/v1/cards/{kept['cardId']}/payments", json=card_on_file(cvv=CVV_CANARY))
    await vault.api.post("/v1/payments", json=payment(SECOND_VISA_CANARY))
    for event in await sql.events():
        assert_clean(str(event), "an event")
    (row,) = await sql.rows("select p::text as text from vault.payment p where id = $1", view["paymentId"])
    assert "85351346893" not in row["text"]
    assert "ALIPAY" not in row["text"]
    assert_clean(str(await shown(vault, view["paymentId"])), "the answer")
