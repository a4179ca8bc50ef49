"""What the gateway's documents exclude some regions' cards from is refused here first, or warned about (antom-api.md 5.2)."""

from typing import Any

import httpx2
import pytest
from pydantic.alias_generators import to_camel

from tests.api.shop import Sql, card, card_on_file, configure, paid, paid_on_file, payment, problem, store, stored
from tests.api.subscriptions import consent, recorded
from tests.canary import CVV_CANARY
from tests.installation import Installation
from tests.vault.web import captured
from vault.merchant import MerchantSettings, RegionPolicy
from vault.rules.regions import Feature, excludes

pytestmark = pytest.mark.anyio
REGIONS = ("GLOBAL", "US", "GB", "FR", "BR", "KR", "CL", "MX", "PE")
HIPERCARD = "6062828888666688"  # processed in Brazil's region, which the gateway says once it has paid
OWN = {"threeDSVersion": "2.2.0", "eci": "05", "cavv": "AAABB", "dsTransactionId": "1f0e"}
# Feature: what asks for it, where, and the regions whose cards cannot.
ASKED: dict[Feature, tuple[dict[str, Any], str, set[str]]] = {
    Feature.AUTHENTICATION: ({"is3DSAuthentication": True}, "/is3DSAuthentication", {"KR"}),
    Feature.AUTHENTICATION_UPGRADE: (
        {"enableAuthenticationUpgrade": True},
        "/enableAuthenticationUpgrade",
        {"BR", "KR"},
    ),
    Feature.MPI: ({"mpiData": OWN}, "/mpiData", {"KR"}),
    Feature.MANUAL_CAPTURE: ({"captureMode": "MANUAL"}, "/captureMode", {"KR"}),
    Feature.INSTALLMENTS: ({"creditPayPlan": {"installmentNum": 3}}, "/creditPayPlan", {"GB", "FR", "PE"}),
}


def plain(**changes: Any) -> dict[str, Any]:
    """Give a payment that asks for nothing that a region could exclude."""
    return {name: value for name, value in payment().items() if name != "captureMode"} | changes


async def excluded(answer: httpx2.Response, pointer: str) -> None:
    document = problem(answer, 422, "region_excluded")
    assert document["errors"] == [{"pointer": pointer, "code": "region_excluded"}]


@pytest.mark.parametrize("feature", ASKED)
async def test_a_payment_that_says_its_region_is_refused_before_the_call(
    vault: Installation, sql: Sql, feature: Feature
) -> None:
    asked, pointer, regions = ASKED[feature]
    for region in regions:
        body = plain(paymentMethodRegion=region, **asked)
        await excluded(await vault.api.post("/v1/payments", json=body), pointer)
        assert await vault.sent(body["paymentRequestId"]) == []
    assert await sql.count("payment") == 0


@pytest.mark.parametrize("feature", ASKED)
async def test_each_rule_can_be_a_mere_warning(vault: Installation, sql: Sql, feature: Feature) -> None:
    asked, _, regions = ASKED[feature]
    await configure(sql, to_camel(f"{feature}_region_policy"), '"warn"')
    body = plain(paymentMethodRegion=min(regions), **asked)
    with captured() as log:
        answer = await vault.api.post("/v1/payments", json=body)
    assert answer.status_code == 201, answer.text
    (sent,) = await vault.sent(body["paymentRequestId"])
    assert sent["paymentMethod"]["paymentMethodMetaData"]["paymentMethodRegion"] in regions
    assert len(log.of("payment.region_excluded")) == 1


def test_other_regions_and_an_unknown_one_are_excluded_from_nothing() -> None:
    for feature, (_, _, regions) in ASKED.items():
        assert {region for region in REGIONS if excludes(region, feature)} == regions
        assert not excludes(None, feature)
    assert {region for region in REGIONS if excludes(region, Feature.MANDATE)} == {"BR", "KR", "CL", "MX", "PE"}
    assert {region for region in REGIONS if excludes(region, Feature.CARD_BRAND)} == {"BR"}


def test_every_feature_has_a_policy_that_refuses_unless_told_otherwise() -> None:
    settings = MerchantSettings()
    assert {getattr(settings, f"{feature}_region_policy") for feature in Feature} == {RegionPolicy.REFUSE}


async def test_the_region_of_a_stored_card_is_what_the_gateway_said_before(vault: Installation) -> None:
    view = await paid(vault, plain(card=card(HIPERCARD, cvv=CVV_CANARY), storeCard="GATEWAY"))
    assert view["paymentResultInfo"]["paymentMethodRegion"] == "BR"
    path = f"/v1/cards/{view['card']['cardId']}/payments"
    refused: list[tuple[dict[str, Any], str]] = [
        ({"selectedCardBrand": "VISA"}, "/selectedCardBrand"),
        ({"enableAuthenticationUpgrade": True}, "/enableAuthenticationUpgrade"),
    ]
    for asked, pointer in refused:
        await excluded(await vault.api.post(path, json=card_on_file(**asked)), pointer)
    assert (await paid_on_file(vault, view["card"]["cardId"]))["paymentStatus"] == "SUCCESS"


async def test_a_payment_that_says_its_region_knows_better_than_the_card(vault: Installation) -> None:
    view = await paid(vault, plain(card=card(HIPERCARD, cvv=CVV_CANARY), storeCard="GATEWAY"))
    body = card_on_file(enableAuthenticationUpgrade=True, paymentMethodRegion="GLOBAL")
    assert (await paid_on_file(vault, view["card"]["cardId"], body))["paymentStatus"] == "SUCCESS"


async def test_the_buyers_choice_of_a_region_counts(vault: Installation) -> None:
    card_id = (await stored(vault, store(paymentMethodRegion="KR")))["cardId"]
    answer = await vault.api.post(f"/v1/cards/{card_id}/payments", json=card_on_file(is3DSAuthentication=True))
    await excluded(answer, "/is3DSAuthentication")


async def test_a_card_of_which_nothing_is_known_may_ask_for_everything(vault: Installation) -> None:
    card_id = (await stored(vault, store(HIPERCARD)))["cardId"]
    view = await paid_on_file(vault, card_id, card_on_file(enableAuthenticationUpgrade=True))
    assert (view["paymentStatus"], view["gateway"]["resultCode"]) == ("FAIL", "PARAM_ILLEGAL")


async def test_an_imported_agreement_learns_its_region_from_the_cards_payments(vault: Installation) -> None:
    view = await paid(vault, plain(card=card(HIPERCARD, cvv=CVV_CANARY), storeCard="GATEWAY"))
    mandate = await recorded(vault, consent(cardId=view["card"]["cardId"]))
    answer = await vault.api.post(f"/v1/mandates/{mandate['mandateId']}/payments", json=card_on_file())
    problem(answer, 422, "mandate_region_refused")


async def test_a_repeat_finds_its_payment_although_the_rule_is_stricter_by_now(vault: Installation, sql: Sql) -> None:
    await configure(sql, "authenticationRegionPolicy", '"warn"')
    body = plain(paymentMethodRegion="KR", is3DSAuthentication=True)
    first = (await vault.api.post("/v1/payments", json=body)).json()
    await configure(sql, "authenticationRegionPolicy", '"refuse"')
    again = await vault.api.post("/v1/payments", json=body)
    assert (again.json()["paymentId"], again.headers["Idempotent-Replayed"]) == (first["paymentId"], "true")
    await excluded(await vault.api.post("/v1/payments", json=body | plain()), "/is3DSAuthentication")
