"""Address and CVV checks: the address goes out, the letters come back with their meaning beside them (antom-api.md 5.5)."""

from typing import Any

import pytest

from tests.api.shop import card, card_on_file, paid, paid_on_file, payment, store, stored
from tests.canary import CVV_CANARY, VISA_CANARY
from tests.installation import Installation
from vault.routes.result_views import SCHEMA
from vault.rules.result_info import NAMES

pytestmark = pytest.mark.anyio
ADDRESS = {"region": "US", "state": "CA", "city": "San Francisco", "address1": "1 Market St", "zipCode": "94105"}
PORTUGUESE = "4000006200000007"


def checks(view: dict[str, Any]) -> dict[str, str]:
    info = view["paymentResultInfo"]
    return {name: info[name] for name in ("avsResultRaw", "avsResult", "cvvResultRaw", "cvvResult") if name in info}


async def details_of(vault: Installation, view: dict[str, Any]) -> dict[str, Any]:
    (body,) = await vault.sent(view["paymentRequestId"])
    details: dict[str, Any] = body["paymentMethod"]["paymentMethodMetaData"]
    return details


async def test_an_address_goes_out_and_its_reading_comes_back(vault: Installation) -> None:
    view = await paid(vault, payment(billingAddress=ADDRESS))
    assert (await details_of(vault, view))["billingAddress"] == ADDRESS
    assert checks(view) == {"avsResultRaw": "Y", "avsResult": "MATCH", "cvvResultRaw": "M", "cvvResult": "MATCH"}


async def test_without_address_and_cvv_nothing_is_said_about_them(vault: Installation) -> None:
    view = await paid_on_file(vault, (await stored(vault))["cardId"])
    assert view["paymentStatus"] == "SUCCESS"
    assert checks(view) == {}


@pytest.mark.parametrize(
    ("change", "letter", "reading"),
    [
        ({"zipCode": "00003"}, "N", "NO_MATCH"),
        ({"zipCode": "00002"}, "Z", "POSTAL_CODE_MATCH"),
        ({"zipCode": None}, "A", "ADDRESS_MATCH"),
        ({"address1": "AVS J"}, "J", "UNKNOWN"),
    ],
)
async def test_a_mismatch_is_for_the_merchant_to_judge(
    vault: Installation, change: dict[str, str | None], letter: str, reading: str
) -> None:
    address = {name: value for name, value in {**ADDRESS, **change}.items() if value is not None}
    view = await paid(vault, payment(billingAddress=address))
    assert view["paymentStatus"] == "SUCCESS"
    assert (checks(view)["avsResultRaw"], checks(view)["avsResult"]) == (letter, reading)


@pytest.mark.parametrize(("address", "raw"), [({}, {}), ({"billingAddress": ADDRESS}, {"avsResultRaw": "U"})])
async def test_for_a_card_from_elsewhere_the_answer_says_that_it_does_not_apply(
    vault: Installation, address: dict[str, Any], raw: dict[str, str]
) -> None:
    view = await paid(vault, payment(card=card(PORTUGUESE, cvv=CVV_CANARY), **address))
    assert checks(view) == raw | {"avsResult": "NOT_APPLICABLE", "cvvResultRaw": "M", "cvvResult": "MATCH"}


@pytest.mark.parametrize(("cvv", "letter", "reading"), [("901", "N", "NO_MATCH"), ("904", "U", "UNAVAILABLE")])
async def test_the_issuers_word_about_the_cvv_is_read(vault: Installation, cvv: str, letter: str, reading: str) -> None:
    view = await paid(vault, payment(card=card(cvv=cvv)))
    assert (checks(view)["cvvResultRaw"], checks(view)["cvvResult"]) == (letter, reading)


async def test_the_address_of_a_card_in_the_vault_is_checked_with_each_payment(vault: Installation) -> None:
    card_id = (await stored(vault, store(billingAddress=ADDRESS | {"zipCode": "00003"})))["cardId"]
    assert checks(await paid_on_file(vault, card_id))["avsResult"] == "NO_MATCH"
    newer = card_on_file(billingAddress=ADDRESS)
    assert checks(await paid_on_file(vault, card_id, newer))["avsResult"] == "MATCH"


async def test_what_comes_by_notification_is_read_as_well(vault: Installation) -> None:
    view = await paid(vault, payment(VISA_CANARY, is3DSAuthentication=True, billingAddress=ADDRESS))
    assert checks(view) == {}
    await vault.sandbox_api.post(view["nextAction"]["url"], data={"outcome": "success"})
    assert checks(await vault.settle(view["paymentId"]))["avsResult"] == "MATCH"


def test_every_field_that_can_be_shown_is_described() -> None:
    assert set(SCHEMA["properties"]) == NAMES | {"avsResult", "cvvResult"}
