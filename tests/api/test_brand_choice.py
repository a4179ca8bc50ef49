"""Co-badged cards: the buyer's choice of a network is sent, kept with the card, and used again (COF-11)."""

from typing import Any

import pytest

from tests.api.gateway import Puppet, failure
from tests.api.shop import Sql, card_on_file, configure, paid, paid_on_file, payment, problem, store, stored
from tests.api.subscriptions import charged, consent, recorded
from tests.installation import Installation

pytestmark = pytest.mark.anyio
COBADGED = "4000002500001001"  # VISA and CARTES_BANCAIRES on one card
LOCAL = "CARTES_BANCAIRES"


async def sent_choice(vault: Installation, view: dict[str, Any]) -> dict[str, Any]:
    """Give what the gateway was told about the network."""
    (body,) = await vault.sent(view["paymentRequestId"])
    details = body["paymentMethod"]["paymentMethodMetaData"]
    return {
        name: details[name]
        for name in ("selectedCardBrand", "selectedCardBrands", "paymentMethodRegion")
        if name in details
    }


def chosen(view: dict[str, Any]) -> tuple[str | None, str | None]:
    return view["selectedCardBrand"], view["paymentMethodRegion"]


async def test_the_payment_that_stores_a_card_keeps_the_choice_with_it(vault: Installation) -> None:
    view = await paid(vault, payment(COBADGED, storeCard="BOTH", selectedCardBrand=LOCAL))
    assert view["paymentResultInfo"]["cardBrand"] == LOCAL
    assert chosen(view["card"]) == (LOCAL, None)
    again = await paid_on_file(vault, view["card"]["cardId"])
    assert await sent_choice(vault, again) == {"selectedCardBrand": LOCAL}
    assert again["paymentResultInfo"]["cardBrand"] == LOCAL


async def test_a_card_without_a_choice_leaves_it_to_the_gateway(vault: Installation) -> None:
    card = await stored(vault, store(COBADGED))
    assert chosen(card) == (None, None)
    assert await sent_choice(vault, await paid_on_file(vault, card["cardId"])) == {}


async def test_a_region_is_a_choice_too(vault: Installation) -> None:
    card = await stored(vault, store(COBADGED, paymentMethodRegion="FR"))
    assert chosen(card) == (None, "FR")
    assert await sent_choice(vault, await paid_on_file(vault, card["cardId"])) == {"paymentMethodRegion": "FR"}


async def test_charges_without_the_buyer_go_over_the_chosen_network(vault: Installation) -> None:
    card = await stored(vault, store(COBADGED, selectedCardBrand=LOCAL))
    mandate = await recorded(vault, consent(cardId=card["cardId"]))
    assert await sent_choice(vault, await charged(vault, mandate)) == {"selectedCardBrand": LOCAL}


@pytest.mark.parametrize("other", [{"selectedCardBrand": "VISA"}, {"paymentMethodRegion": "GLOBAL"}])
async def test_a_payment_may_say_otherwise_for_itself(vault: Installation, other: dict[str, str]) -> None:
    card_id = (await stored(vault, store(COBADGED, selectedCardBrand=LOCAL)))["cardId"]
    assert await sent_choice(vault, await paid_on_file(vault, card_id, card_on_file(**other))) == other
    assert chosen((await vault.api.get(f"/v1/cards/{card_id}")).json()) == (LOCAL, None)


async def test_the_buyer_can_change_and_take_back_the_choice(vault: Installation, sql: Sql) -> None:
    path = f"/v1/cards/{(await stored(vault, store(COBADGED, selectedCardBrand=LOCAL)))['cardId']}"
    for change, expected in [
        ({"isDefault": True}, (LOCAL, None)),
        ({"selectedCardBrand": "VISA"}, ("VISA", None)),
        ({"paymentMethodRegion": "FR"}, (None, "FR")),
        ({"selectedCardBrands": [LOCAL]}, (LOCAL, None)),
        ({"selectedCardBrand": None}, (None, None)),
    ]:
        mark = await sql.mark()
        assert chosen((await vault.api.patch(path, json=change)).json()) == expected
        assert await sql.since(mark) == ["card.updated"]


async def test_storing_the_same_card_again_takes_over_a_new_choice_only(vault: Installation, sql: Sql) -> None:
    await stored(vault, store(COBADGED, selectedCardBrand=LOCAL))
    mark = await sql.mark()
    assert chosen(await stored(vault, store(COBADGED))) == (LOCAL, None)
    assert await sql.since(mark) == []
    assert chosen(await stored(vault, store(COBADGED, selectedCardBrand="VISA"))) == ("VISA", None)
    view = await paid(vault, payment(COBADGED, storeCard="VAULT"))
    assert chosen(view["card"]) == ("VISA", None)
    view = await paid(vault, payment(COBADGED, storeCard="VAULT", paymentMethodRegion="FR"))
    assert chosen(view["card"]) == (None, "FR")


async def test_brand_and_region_at_once_contradict_each_other(vault: Installation, sql: Sql) -> None:
    both = {"selectedCardBrand": LOCAL, "paymentMethodRegion": "FR"}
    card_id = (await stored(vault, store(COBADGED)))["cardId"]
    mandate = await recorded(vault, consent(cardId=card_id))
    for method, path, body in [
        ("POST", "/v1/payments", payment(COBADGED)),
        ("POST", "/v1/cards", store(COBADGED)),
        ("PATCH", f"/v1/cards/{card_id}", {}),
        ("POST", f"/v1/cards/{card_id}/payments", card_on_file()),
        ("POST", f"/v1/mandates/{mandate['mandateId']}/payments", card_on_file()),
    ]:
        answer = await vault.api.request(method, path, json=body | both)
        document = problem(answer, 422, "request_invalid")
        assert document["errors"] == [{"pointer": "/paymentMethodRegion", "code": "contradictory"}], path
    assert await sql.count("payment") == 0


async def test_a_brand_that_cannot_be_used_is_not_asked_for_again(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault, store(selectedCardBrand=LOCAL)))["cardId"]
    mark = await sql.mark()
    view = await paid_on_file(vault, card_id)
    assert view["gateway"]["resultCode"] == "SELECTED_CARD_BRAND_NOT_AVAILABLE"
    assert (view["declined"]["retry"], view["card"]["status"]) == ("FIX_DATA", "ACTIVE")
    assert chosen(view["card"]) == (None, None)
    assert await sql.since(mark) == ["payment.created", "payment.changed", "card.updated"]
    assert (await sql.events("card.updated"))[-1]["reason"] == "brand_not_available"
    assert (await paid_on_file(vault, card_id))["paymentStatus"] == "SUCCESS"


async def test_a_payments_own_choice_that_cannot_be_used_leaves_the_cards_alone(vault: Installation) -> None:
    card_id = (await stored(vault, store(COBADGED, selectedCardBrand=LOCAL)))["cardId"]
    view = await paid_on_file(vault, card_id, card_on_file(selectedCardBrand="JCB"))
    assert view["gateway"]["resultCode"] == "SELECTED_CARD_BRAND_NOT_AVAILABLE"
    assert chosen(view["card"]) == (LOCAL, None)


async def test_a_choice_ends_with_its_card(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault, store(COBADGED, selectedCardBrand=LOCAL)))["cardId"]
    assert (await vault.api.delete(f"/v1/cards/{card_id}")).status_code == 204
    assert await sql.rows("select selected_brand as b, selected_region as r from vault.card") == [
        {"b": None, "r": None}
    ]


async def test_a_deleted_cards_late_decline_teaches_nothing(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    card_id = (await stored(puppeteer, store(selectedCardBrand=LOCAL)))["cardId"]
    puppet.says("pay", {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U", "resultMessage": ""}})
    view = await paid_on_file(puppeteer, card_id, status=202)
    await puppeteer.api.delete(f"/v1/cards/{card_id}")
    puppet.says(
        "inquiryPayment",
        {
            "result": {"resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": ""},
            "paymentStatus": "FAIL",
            "paymentResultCode": failure("SELECTED_CARD_BRAND_NOT_AVAILABLE")["resultCode"],
        },
    )
    mark = await sql.mark()
    await puppeteer.settle(view["paymentId"], "FAIL")
    assert await sql.since(mark) == ["payment.changed"]


async def test_the_gateways_other_spelling_is_a_setting(vault: Installation, sql: Sql) -> None:
    await configure(sql, "cardBrandSpelling", '"selectedCardBrands"')
    view = await paid(vault, payment(COBADGED, selectedCardBrand=LOCAL))
    assert await sent_choice(vault, view) == {"selectedCardBrands": LOCAL}
    assert view["paymentResultInfo"]["cardBrand"] == LOCAL
