from __future__ import annotations

from typing import Any

import pytest

from ops.sandbox.config import RegionalRule
from ops.sandbox.decisions import EXCLUDED, Feature, Route, Situation, decide
from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import Gateway

pytestmark = pytest.mark.anyio

# Columns: is3DSAuthentication, enableAuthenticationUpgrade, issuer insists, what follows.
WITHOUT_RISK_SERVICE = [
    (None, None, False, Route.DIRECT),
    (None, None, True, Route.CHALLENGE),
    (None, True, True, Route.CHALLENGE),
    (None, False, False, Route.DIRECT),
    (None, False, True, Route.REFUSED),
    (False, None, False, Route.DIRECT),
    (False, None, True, Route.CHALLENGE),
    (False, True, False, Route.DIRECT),
    (False, True, True, Route.CHALLENGE),
    (False, False, False, Route.DIRECT),
    (False, False, True, Route.REFUSED),
    (True, None, False, Route.CHALLENGE),
    (True, True, False, Route.CHALLENGE),
    (True, False, False, Route.CHALLENGE),
    (True, False, True, Route.CHALLENGE),
]
# Columns: is3DSAuthentication, enableAuthenticationUpgrade, risk service challenges, issuer insists, what follows.
WITH_RISK_SERVICE = [
    (None, False, True, False, Route.CHALLENGE),
    (None, False, False, False, Route.DIRECT),
    (None, False, False, True, Route.REFUSED),
    (False, None, True, False, Route.CHALLENGE),
    (False, None, False, False, Route.DIRECT),
    (False, None, False, True, Route.CHALLENGE),
    (False, True, True, True, Route.CHALLENGE),
    (False, True, False, True, Route.CHALLENGE),
    (True, False, False, False, Route.CHALLENGE),
    (True, True, False, False, Route.CHALLENGE),
]
MIT = {"isCardOnFile": True, "recurringType": "UNSCHEDULED", "networkTransactionId": "imported1234567", "cvv": ""}
MPI = {"threeDSVersion": "2.2.0", "eci": "05", "cavv": "AAABB", "dsTransactionId": "1f0e"}
ANSWERS = {
    Route.DIRECT: ("S", "SUCCESS"),
    Route.CHALLENGE: ("U", "PAYMENT_IN_PROCESS"),
    Route.REFUSED: ("F", "AUTHENTICATION_REQUIRED"),
}


def flags(*, authenticate: bool | None, upgrade: bool | None) -> dict[str, bool]:
    present = {"is3DSAuthentication": authenticate, "enableAuthenticationUpgrade": upgrade}
    return {name: value for name, value in present.items() if value is not None}


@pytest.mark.parametrize(("authenticate", "upgrade", "insists", "route"), WITHOUT_RISK_SERVICE)
async def test_every_row_without_the_risk_service(
    gateway: Gateway,
    *,
    authenticate: bool | None,
    upgrade: bool | None,
    insists: bool,
    route: Route,
) -> None:
    if insists:
        await gateway.arm("pr-1", "REQUIRE_3DS")
    answer = await gateway.pay("pr-1", metadata=flags(authenticate=authenticate, upgrade=upgrade))
    assert answer.result == ANSWERS[route]
    assert ("normalUrl" in answer.json) is (route is Route.CHALLENGE)


@pytest.mark.parametrize(("authenticate", "upgrade", "risky", "insists", "route"), WITH_RISK_SERVICE)
async def test_every_row_with_the_risk_service(
    start: Start,
    *,
    authenticate: bool | None,
    upgrade: bool | None,
    risky: bool,
    insists: bool,
    route: Route,
) -> None:
    gateway = await start(risk_challenge_from=5000)
    if insists:
        await gateway.arm("pr-1", "REQUIRE_3DS")
    amount = {"currency": "EUR", "value": "5000" if risky else "4999"}
    answer = await gateway.pay("pr-1", paymentAmount=amount, metadata=flags(authenticate=authenticate, upgrade=upgrade))
    assert answer.result == ANSWERS[route]


@pytest.mark.parametrize("insists", [True, False])
@pytest.mark.parametrize("risky", [None, True, False])
def test_a_merchant_initiated_payment_without_upgrade_never_meets_a_challenge(
    *,
    insists: bool,
    risky: bool | None,
) -> None:
    situation = Situation(
        authenticate=False, upgrade=False, issuer_insists=insists, risk_challenges=risky, merchant_initiated=True
    )
    assert decide(situation) is (Route.REFUSED if insists else Route.DIRECT)


async def test_a_merchant_initiated_payment_succeeds_without_cvv(gateway: Gateway) -> None:
    answer = await gateway.pay("pr-1", metadata=MIT | flags(authenticate=False, upgrade=False))
    assert answer.result == ("S", "SUCCESS")
    assert "cvvResultRaw" not in answer.json["paymentResultInfo"]


async def test_a_merchant_initiated_payment_is_tried_on_an_expired_card(gateway: Gateway) -> None:
    assert (await gateway.pay("pr-1", metadata=MIT | {"expiryYear": "20"})).result == ("S", "SUCCESS")


async def test_a_buyer_present_payment_on_an_expired_card_is_declined(gateway: Gateway) -> None:
    assert (await gateway.pay("pr-1", metadata={"expiryYear": "20"})).result == ("F", "CARD_EXPIRED")


@pytest.mark.parametrize(
    "change",
    [
        {"networkTransactionId": ""},
        {"isCardOnFile": False, "cvv": "737"},
        {"is3DSAuthentication": True},
        {"mpiData": MPI},
    ],
)
async def test_a_merchant_initiated_payment_needs_its_fields(gateway: Gateway, change: dict[str, Any]) -> None:
    answer = await gateway.pay("pr-1", metadata=MIT | change)
    assert answer.result == ("F", "INVALID_PAYMENT_METHOD_META_DATA")


async def test_the_network_transaction_id_of_another_card_is_refused(gateway: Gateway) -> None:
    first = await gateway.pay("pr-1")
    scheme_id = first.json["paymentResultInfo"]["networkTransactionId"]
    mine = await gateway.pay("pr-2", metadata=MIT | {"networkTransactionId": scheme_id})
    assert mine.result == ("S", "SUCCESS")
    other = MIT | {"networkTransactionId": scheme_id, "cardNo": "5555555555554444"}
    assert (await gateway.pay("pr-3", metadata=other)).result == ("F", "INVALID_PAYMENT_METHOD_META_DATA")


async def test_authentication_done_elsewhere_satisfies_the_issuer(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "REQUIRE_3DS")
    metadata = {"mpiData": MPI} | flags(authenticate=False, upgrade=False)
    answer = await gateway.pay("pr-1", metadata=metadata)
    assert answer.result == ("S", "SUCCESS")
    assert "threeDSResult" not in answer.json["paymentResultInfo"]


async def test_both_spellings_of_the_cavv_are_read(gateway: Gateway) -> None:
    spelt = {name: value for name, value in MPI.items() if name != "cavv"} | {"caav": "AAABB"}
    assert (await gateway.pay("pr-1", metadata={"mpiData": spelt})).result == ("S", "SUCCESS")


@pytest.mark.parametrize(
    "metadata",
    [
        {"mpiData": MPI, "is3DSAuthentication": True},
        {"mpiData": MPI, "enableAuthenticationUpgrade": True},
        {"mpiData": MPI | {"cavv": ""}},
        {"mpiData": MPI | {"eci": "09"}},
        {"mpiData": MPI | {"eci": ""}},
        {"mpiData": MPI | {"threeDSVersion": "two"}},
        {"mpiData": MPI | {"threeDSVersion": ""}},
        {"mpiData": MPI | {"dsTransactionId": ""}},
    ],
)
async def test_incomplete_authentication_from_elsewhere_is_refused(gateway: Gateway, metadata: dict[str, Any]) -> None:
    assert (await gateway.pay("pr-1", metadata=metadata)).result == ("F", "INVALID_PAYMENT_METHOD_META_DATA")


async def test_the_first_version_of_3ds_has_no_directory_server_id(gateway: Gateway) -> None:
    old = {"threeDSVersion": "1.0.2", "eci": "05", "cavv": "AAABB"}
    assert (await gateway.pay("pr-1", metadata={"mpiData": old})).result == ("S", "SUCCESS")


USES: dict[Feature, dict[str, Any]] = {
    Feature.AUTHENTICATION: {"is3DSAuthentication": True},
    Feature.UPGRADE: {"enableAuthenticationUpgrade": True},
    Feature.MERCHANT_INITIATED: MIT,
    Feature.BRAND_CHOICE: {"selectedCardBrand": "VISA"},
    Feature.MPI: {"mpiData": MPI},
}
EXCLUSIONS = [(feature, region) for feature in USES for region in sorted(EXCLUDED[feature])]


@pytest.mark.parametrize(("feature", "region"), EXCLUSIONS)
async def test_a_feature_that_the_region_excludes_is_refused(gateway: Gateway, feature: Feature, region: str) -> None:
    answer = await gateway.pay("pr-1", metadata=USES[feature] | {"paymentMethodRegion": region})
    assert answer.result == ("F", "PARAM_ILLEGAL")
    assert str(feature) in answer.json["result"]["resultMessage"]


@pytest.mark.parametrize(("feature", "region"), EXCLUSIONS)
async def test_a_feature_that_the_region_excludes_can_be_ignored(start: Start, feature: Feature, region: str) -> None:
    gateway = await start(regional_rule=RegionalRule.IGNORE)
    answer = await gateway.pay("pr-1", metadata=USES[feature] | {"paymentMethodRegion": region})
    assert answer.result == ("S", "SUCCESS")


async def test_the_region_of_a_national_brand_is_known_without_being_told(gateway: Gateway) -> None:
    hipercard = MIT | {"cardNo": "6062828888666688"}
    assert (await gateway.pay("pr-1", metadata=hipercard)).result == ("F", "PARAM_ILLEGAL")


async def test_the_risk_service_does_not_work_in_every_region(start: Start) -> None:
    gateway = await start(risk_challenge_from=1)
    assert (await gateway.pay("pr-1", metadata={"paymentMethodRegion": "BR"})).result == ("S", "SUCCESS")
    assert (await gateway.pay("pr-2", metadata={"paymentMethodRegion": "FR"})).result[0] == "U"


@pytest.mark.parametrize(
    ("chosen", "brand"),
    [
        ({"selectedCardBrand": "CB"}, "CARTES_BANCAIRES"),
        ({"selectedCardBrand": "VISA"}, "VISA"),
        ({"selectedCardBrands": "CARTES_BANCAIRES"}, "CARTES_BANCAIRES"),
        ({"selectedCardBrands": ["MASTERCARD", "CARTES_BANCAIRES"]}, "CARTES_BANCAIRES"),
        ({}, "VISA"),
    ],
)
async def test_a_cobadged_card_is_processed_under_the_chosen_brand(
    gateway: Gateway, chosen: dict[str, Any], brand: str
) -> None:
    answer = await gateway.pay("pr-1", metadata={"cardNo": "4000002500001001"} | chosen)
    info = answer.json["paymentResultInfo"]
    assert (info["cardBrand"], info["issuingCountry"]) == (brand, "FR")


async def test_a_brand_that_the_card_does_not_have_is_refused(gateway: Gateway) -> None:
    answer = await gateway.pay("pr-1", metadata={"selectedCardBrand": "CARTES_BANCAIRES"})
    assert answer.result == ("F", "SELECTED_CARD_BRAND_NOT_AVAILABLE")


AMERICAN, PORTUGUESE = "4111111111111111", "4000006200000007"


@pytest.mark.parametrize(
    ("card", "address", "result"),
    [
        (AMERICAN, {"region": "US", "zipCode": "94107"}, "Y"),
        (AMERICAN, {"region": "US"}, "A"),
        (AMERICAN, {"region": "PT", "zipCode": "4000-001"}, "Y"),
        (AMERICAN, {"region": "US", "zipCode": "00003"}, "N"),
        (AMERICAN, {"region": "US", "zipCode": "00003", "address1": "AVS W"}, "W"),
        (PORTUGUESE, {"region": "PT", "zipCode": "4000-001"}, "U"),
        (PORTUGUESE, {"region": "US", "address1": "AVS Y"}, "U"),
        (AMERICAN, None, None),
    ],
)
async def test_addresses_are_checked_for_cards_of_one_country_only(
    gateway: Gateway, card: str, address: dict[str, str] | None, result: str | None
) -> None:
    metadata: dict[str, Any] = {"cardNo": card} | ({} if address is None else {"billingAddress": address})
    info = (await gateway.pay("pr-1", metadata=metadata)).json["paymentResultInfo"]
    assert info.get("avsResultRaw") == result


@pytest.mark.parametrize(
    ("cvv", "letter"), [("737", "M"), ("901", "N"), ("902", "P"), ("903", "S"), ("904", "U"), ("", None)]
)
async def test_a_cvv_gets_the_issuers_letter(gateway: Gateway, cvv: str, letter: str | None) -> None:
    metadata = {"cvv": cvv, "isCardOnFile": True}
    assert (await gateway.pay("pr-1", metadata=metadata)).json["paymentResultInfo"].get("cvvResultRaw") == letter
