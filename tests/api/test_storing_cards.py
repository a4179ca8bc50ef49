"""`POST /v1/cards`: one card for one buyer and number, masked in every answer, nothing kept that must not be."""

import asyncio
import re

import pytest

from tests.api.shop import BUYER, Sql, card, of_tenant, problem, store, stored
from tests.canary import (
    AMEX_CANARY,
    CVV_CANARY,
    MASTERCARD_CANARY,
    SECOND_VISA_CANARY,
    VISA_CANARY,
)
from tests.installation import Installation

pytestmark = pytest.mark.anyio


async def test_a_new_card_is_shown_masked_in_the_shape_of_the_contract(vault: Installation) -> None:
    answer = await vault.api.post("/v1/cards", json=store(metadata={"shelf": "a", "loyal": True}))
    view = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/cards/{view['cardId']}"
    assert re.fullmatch(r"card_[a-z2-7]{26}", view["cardId"])
    expected = {
        "referenceBuyerId": BUYER,
        "storage": "VAULT",
        "status": "ACTIVE",
        "cardBrand": "VISA",
        "maskedCardNo": "************6057",
        "cardBin": "453973",
        "lastFour": "6057",
        "expiryMonth": "11",
        "expiryYear": "39",
        "issuingCountry": None,
        "funding": None,
        "selectedCardBrand": None,
        "paymentMethodRegion": None,
        "isDefault": False,
        "metadata": {"shelf": "a", "loyal": True},
    }
    assert {name: view[name] for name in expected} == expected
    assert set(view) == {*expected, "cardId", "createdAt", "updatedAt"}
    assert (await vault.api.get(f"/v1/cards/{view['cardId']}")).json() == view


async def test_a_masked_number_has_as_many_characters_as_the_number(vault: Installation) -> None:
    view = await stored(vault, store(AMEX_CANARY))
    assert (view["maskedCardNo"], view["cardBrand"]) == ("*" * 11 + AMEX_CANARY[-4:], "AMEX")


async def test_the_same_card_of_the_same_buyer_is_the_same_card(vault: Installation, sql: Sql) -> None:
    first = await stored(vault)
    mark = await sql.mark()
    again = await vault.api.post("/v1/cards", json=store())
    assert (again.status_code, again.json()) == (200, first)
    assert again.headers["Location"] == f"/v1/cards/{first['cardId']}"
    assert await sql.since(mark) == []


async def test_two_buyers_have_two_cards_for_one_number(vault: Installation) -> None:
    assert (await stored(vault))["cardId"] != (await stored(vault, store(buyer="buyer-2")))["cardId"]


async def test_two_merchants_have_different_fingerprints_of_one_number(vault: Installation, sql: Sql) -> None:
    await stored(vault)
    async with of_tenant(vault, 1) as other:
        assert (await other.post("/v1/cards", json=store())).status_code == 201
    prints = await sql.rows("select fingerprint from vault.card")
    assert len({row["fingerprint"] for row in prints}) == 2


async def test_storing_again_brings_the_expiry_up_to_date(vault: Installation, sql: Sql) -> None:
    first = await stored(vault)
    mark = await sql.mark()
    again = await vault.api.post("/v1/cards", json=store(card=card(expiryMonth="02", expiryYear="41")))
    assert again.status_code == 200
    view = again.json()
    assert (view["cardId"], view["expiryMonth"], view["expiryYear"]) == (first["cardId"], "02", "41")
    assert await sql.since(mark) == ["card.updated"]


async def test_storing_again_replaces_metadata_consent_and_profile(vault: Installation, sql: Sql) -> None:
    name = {"firstName": "Ana", "lastName": "Lopes"}
    first = await stored(vault, store(card=card(cardholderName=name), metadata={"a": 1}))
    consent = {"text": "I agree", "acceptedAt": "2026-01-31T12:00:00+01:00", "clientIp": "203.0.113.9"}
    again = await stored(
        vault,
        store(card=card(cardholderName=name | {"lastName": "Maria"}), metadata={"a": 2}, consent=consent),
    )
    assert (again["cardId"], again["metadata"]) == (first["cardId"], {"a": 2})
    kept = await sql.value("select consent from vault.card")
    assert "I agree" not in kept
    assert "203.0.113.9" in kept


async def test_the_same_holder_again_changes_nothing(vault: Installation, sql: Sql) -> None:
    body = store(card=card(cardholderName={"firstName": "Ana", "lastName": "Lopes"}))
    await stored(vault, body)
    mark = await sql.mark()
    await stored(vault, body)
    assert await sql.since(mark) == []


async def test_a_default_card_takes_the_flag_from_the_one_before(vault: Installation) -> None:
    first = await stored(vault, store(isDefault=True))
    second = await stored(vault, store(MASTERCARD_CANARY, isDefault=True))
    other = await stored(vault, store(buyer="buyer-2", isDefault=True))
    views = [(await vault.api.get(f"/v1/cards/{view['cardId']}")).json() for view in (first, second, other)]
    assert [view["isDefault"] for view in views] == [False, True, True]


async def test_storing_again_as_default_makes_a_known_card_the_default(vault: Installation) -> None:
    await stored(vault)
    await stored(vault, store(MASTERCARD_CANARY, isDefault=True))
    again = await vault.api.post("/v1/cards", json=store(isDefault=True))
    assert (again.status_code, again.json()["isDefault"]) == (200, True)


async def test_a_code_is_never_stored(vault: Installation, sql: Sql) -> None:
    answer = await vault.api.post("/v1/cards", json=store(card=card(cvv=CVV_CANARY)))
    document = problem(answer, 422, "cvv_not_storable")
    assert document["errors"] == [{"pointer": "/card/cvv", "code": "cvv_not_storable"}]
    assert await sql.count("card") == 0


async def test_what_is_for_the_gateway_alone_is_not_taken_for_the_vault(vault: Installation, sql: Sql) -> None:
    answer = await vault.api.post("/v1/cards", json=store(vaultingRequestId="vlt-1", is3DSAuthentication=False))
    document = problem(answer, 422, "request_invalid")
    assert document["errors"] == [
        {"pointer": "/is3DSAuthentication", "code": "gateway_storage_only"},
        {"pointer": "/vaultingRequestId", "code": "gateway_storage_only"},
    ]
    assert await sql.count("card") == 0


async def test_what_is_sealed_is_not_readable_and_never_twice_the_same(vault: Installation, sql: Sql) -> None:
    """T-3."""
    await stored(vault)
    await stored(vault, store(buyer="buyer-2"))
    envelopes = [row["envelope"] for row in await sql.rows("select envelope from vault.card_secret")]
    assert len(set(envelopes)) == 2
    assert not any(VISA_CANARY.encode() in envelope for envelope in envelopes)


async def test_a_hundred_stores_of_one_card_at_once_make_one_card(vault: Installation, sql: Sql) -> None:
    """T-31."""
    answers = await asyncio.gather(*(vault.api.post("/v1/cards", json=store()) for _ in range(100)))
    assert sorted({answer.status_code for answer in answers}) == [200, 201]
    assert len({answer.json()["cardId"] for answer in answers}) == 1
    assert [answer.status_code for answer in answers].count(201) == 1
    assert (await sql.count("card"), await sql.count("card_secret")) == (1, 1)
    assert len(await sql.events("card.stored")) == 1


async def test_defaults_chosen_at_once_leave_one_default(vault: Installation, sql: Sql) -> None:
    bodies = [store(number, isDefault=True) for number in (VISA_CANARY, SECOND_VISA_CANARY, MASTERCARD_CANARY)] * 4
    answers = await asyncio.gather(*(vault.api.post("/v1/cards", json=body) for body in bodies))
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert await sql.value("select count(*) from vault.card where is_default") == 1


async def test_a_request_without_a_body_is_told_that_it_is_missing(vault: Installation) -> None:
    body = problem(await vault.api.post("/v1/cards"), 422, "request_invalid")
    assert body["errors"] == [{"pointer": "", "code": "missing"}]
