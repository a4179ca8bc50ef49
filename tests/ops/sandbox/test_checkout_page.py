from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import VISA, Gateway, Merchant, token_method, without_card

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


async def asked(gateway: Gateway, request_id: str = "pr-1", **changes: object) -> str:
    """Pay without a card and give the address of the page."""
    answer = await gateway.pay(request_id, **(without_card() | changes))
    assert answer.result == ("U", "PAYMENT_IN_PROCESS")
    assert answer.json["redirectActionForm"]["redirectUrl"] == answer.json["normalUrl"]
    return str(answer.json["normalUrl"])


async def test_the_page_asks_for_a_card_and_needs_no_script(gateway: Gateway) -> None:
    async with gateway.session.get(await asked(gateway)) as page:
        text = await page.text()
        assert page.headers["Cache-Control"] == "no-store"
    assert "EUR 2590" in text
    for name in ("cardNo", "expiryMonth", "expiryYear", "cvv", "save"):
        assert f'name="{name}"' in text
    assert "<script" not in text


async def test_a_typed_card_pays_and_is_notified(gateway: Gateway, merchant: Merchant) -> None:
    url = await asked(gateway, paymentNotifyUrl=merchant.url)
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "PROCESSING"
    back = await gateway.type_card(url)
    assert (back.status, back.headers["Location"]) == (303, "https://shop.example/back?order=1")
    (sent,) = await merchant.wait_for(1)
    info = sent.json["paymentResultInfo"]
    assert (info["lastFour"], info["expiryMonth"], info["cvvResultRaw"]) == ("1111", "03", "M")
    assert "cardToken" not in info
    assert VISA not in sent.raw.decode()
    assert [row["status"] for row in await gateway.ledger()] == ["AUTHORISED"]
    async with gateway.session.get(url) as page:
        assert "is over" in await page.text()


@pytest.mark.parametrize("ticked", ["true", "on"])
async def test_a_ticked_box_makes_a_token_that_pays(gateway: Gateway, ticked: str) -> None:
    await gateway.type_card(await asked(gateway), save=ticked)
    token = (await gateway.inquire("pr-1")).json["paymentResultInfo"]["cardToken"]
    assert (await gateway.pay("pr-2", paymentMethod=None, method=token_method(token))).result[0] == "F"
    paid = await gateway.pay("pr-3", paymentMethod={"paymentMethodType": "CARD", **token_method(token)})
    assert paid.result == ("S", "SUCCESS")


async def test_tokenize_in_the_request_makes_a_token_too(gateway: Gateway) -> None:
    await gateway.type_card(await asked(gateway, **without_card(tokenize=True)))
    assert (await gateway.inquire("pr-1")).json["cardInfo"]["cardToken"]


async def test_authentication_leads_through_the_other_page(gateway: Gateway) -> None:
    onwards = await gateway.type_card(await asked(gateway, **without_card(is3DSAuthentication=True)))
    bank = onwards.headers["Location"]
    assert "/checkout/3ds/" in bank
    assert (await gateway.inquire("pr-1")).json["redirectActionForm"]["redirectUrl"] == bank
    back = await gateway.complete(bank, "success")
    assert back.headers["Location"] == "https://shop.example/back?order=1"
    assert (await gateway.inquire("pr-1")).json["paymentResultInfo"]["threeDSResult"]["eci"] == "05"


async def test_a_program_can_authenticate_at_once(gateway: Gateway) -> None:
    back = await gateway.type_card(await asked(gateway, **without_card(is3DSAuthentication=True)), outcome="success")
    assert back.headers["Location"] == "https://shop.example/back?order=1"
    assert (await gateway.inquire("pr-1")).json["paymentResultInfo"]["threeDSResult"]


async def test_giving_up_fails_the_payment_without_a_card(gateway: Gateway, merchant: Merchant) -> None:
    url = await asked(gateway, paymentNotifyUrl=merchant.url)
    await gateway.type_card(url, outcome="fail", cardNo="", cvv="")
    await merchant.wait_for(1)
    assert merchant.kinds() == [("PAYMENT_RESULT", "USER_PAYMENT_VERIFICATION_FAILED")]
    assert (await gateway.inquire("pr-1")).json["paymentResultInfo"] == {}


async def test_scenarios_apply_to_the_typed_card(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "DECLINE:STOLEN_CARD")
    await gateway.type_card(await asked(gateway))
    assert (await gateway.inquire("pr-1")).json["paymentResultCode"] == "STOLEN_CARD"


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"cardNo": "4111111111111112"}, "INVALID_CARD_NUMBER"),
        ({"cardNo": ""}, "INVALID_PAYMENT_METHOD_META_DATA"),
        ({"cardNo": "9999999999999995"}, "CARD_NOT_SUPPORTED"),
        ({"expiryMonth": "13"}, "INVALID_EXPIRATION_DATE"),
        ({"cvv": "12"}, "INVALID_CVV"),
        ({"outcome": "perhaps"}, "PARAM_ILLEGAL"),
        ({"installmentNum": "many"}, "PARAM_ILLEGAL"),
    ],
)
async def test_a_card_that_does_not_do_can_be_typed_again(gateway: Gateway, form: dict[str, str], code: str) -> None:
    url = await asked(gateway)
    refused = await gateway.type_card(url, **form)
    assert refused.status == 422
    assert code in await refused.text()
    assert (await gateway.type_card(url)).status == 303
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "SUCCESS"


async def test_a_second_card_on_the_same_page_changes_nothing(gateway: Gateway) -> None:
    url = await asked(gateway)
    for number in (VISA, "5555555555554444"):
        assert (await gateway.type_card(url, cardNo=number)).status == 303
    assert [row["status"] for row in await gateway.ledger()] == ["AUTHORISED"]


async def test_a_page_that_never_was_is_not_found(gateway: Gateway) -> None:
    url = await asked(gateway) + "x"
    assert (await gateway.type_card(url)).status == 404
    async with gateway.session.get(url) as page:
        assert page.status == 404


async def test_a_page_ends_with_its_payment(start: Start, merchant: Merchant) -> None:
    gateway = await start(clock=lambda: NOON)
    soon = (NOON + timedelta(seconds=0.2)).isoformat()
    url = await asked(gateway, paymentExpiryTime=soon, paymentNotifyUrl=merchant.url)
    await merchant.wait_for(1)
    assert merchant.kinds() == [("PAYMENT_RESULT", "ORDER_IS_CLOSED")]
    await gateway.type_card(url)
    assert await gateway.ledger() == []


async def test_a_cancelled_payment_takes_no_card(gateway: Gateway) -> None:
    url = await asked(gateway)
    assert (await gateway.cancel("pr-1")).result == ("S", "SUCCESS")
    await gateway.type_card(url)
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "CANCELLED"


async def test_a_repeat_gives_the_same_page_and_another_card_is_inconsistent(gateway: Gateway) -> None:
    assert await asked(gateway) == await asked(gateway)
    assert (await gateway.pay("pr-1")).result == ("F", "REPEAT_REQ_INCONSISTENT")
