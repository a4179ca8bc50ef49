"""The gateway's documented messages beside ours: equal field for field, except where ADR 0004 says why."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.gateway import Json, Puppet, courier, told
from tests.api.shop import paid, payment, shown
from tests.canary import CVV_CANARY, VISA_CANARY
from tests.installation import Blueprint, Installation

pytestmark = pytest.mark.anyio
SAMPLES = Path(__file__).parents[1] / "samples"
OUTSIDE_THE_CARD = ("is3DSAuthentication", "enableAuthenticationUpgrade", "mpiData", "billingAddress")


def _sample(name: str) -> Json:
    """Read a sample with a canary for its card."""
    read: Json = json.loads((SAMPLES / f"{name}.json").read_text())
    details = read["paymentMethod"]["paymentMethodMetaData"]
    if "cardNo" in details:
        details |= {"cardNo": VISA_CANARY}
    if "cvv" in details:
        details |= {"cvv": CVV_CANARY}
    return read


def _card(sample: Json) -> Json:
    details = sample["paymentMethod"]["paymentMethodMetaData"]
    return {
        name: details[name]
        for name in ("cardNo", "cvv", "expiryMonth", "expiryYear", "cardholderName")
        if name in details
    }


def _request(sample: Json) -> Json:
    """Ask the vault for what a sample asks the gateway for."""
    details = sample["paymentMethod"]["paymentMethodMetaData"]
    same = (
        "paymentRequestId",
        "paymentAmount",
        "settlementStrategy",
        "paymentRedirectUrl",
        "paymentExpiryTime",
        "creditPayPlan",
    )
    asked = {name: sample[name] for name in same if name in sample}
    asked |= {name: details[name] for name in OUTSIDE_THE_CARD if name in details}
    asked["order"] = {name: value for name, value in sample["order"].items() if name not in {"env", "extendInfo"}}
    asked["env"] = sample.get("env") or sample["order"]["env"]
    if "captureMode" in sample["paymentFactor"]:
        asked["captureMode"] = sample["paymentFactor"]["captureMode"]
    return asked


def _expected(sample: Json, vault: Installation) -> Json:
    """Give what ADR 0004 makes of a sample."""
    body: Json = json.loads(json.dumps(sample))
    body["paymentNotifyUrl"] = f"{vault.settings.public_url}/v1/gateway/notifications/{vault.tenants[0].merchant_id}"
    body["env"] = body["order"].pop("env", None) or body["env"]
    body["order"].pop("extendInfo", None)
    body["paymentFactor"].pop("asyncPay", None)
    body.pop("enableInstallmentCollection", None)
    details = body["paymentMethod"]["paymentMethodMetaData"]
    details.pop("useStringType", None)
    details.setdefault("isCardOnFile", False)
    if "caav" in details.get("mpiData", {}):
        details["mpiData"]["cavv"] = details["mpiData"].pop("caav")
    for place in (body, details):
        for name in [name for name, value in place.items() if value == ""]:
            del place[name]
    return body


def test_every_documented_message_has_its_test() -> None:
    told = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    names = {path.stem.removeprefix("create-payment-session-") for path in SAMPLES.glob("*.json")}
    assert len(names) > 10
    assert sorted(name for name in names if f'"{name}' not in told) == []


async def _sent(vault: Installation, request_id: str) -> Json:
    (body,) = await vault.sent(request_id)
    return body


@pytest.mark.parametrize("name", ["pay-tokenize", "pay-mpi", "pay-installments"])
async def test_a_first_payment_is_sent_as_documented(vault: Installation, name: str) -> None:
    sample = _sample(name)
    body = _request(sample) | {"card": _card(sample)}
    if sample["paymentMethod"]["paymentMethodMetaData"].get("tokenize"):
        body["storeCard"] = "GATEWAY"
    answer = await vault.api.post("/v1/payments", json=body)
    assert answer.status_code in {201, 202}, answer.text
    assert await _sent(vault, sample["paymentRequestId"]) == _expected(sample, vault)


async def test_a_card_from_the_own_vault_is_sent_as_documented(vault: Installation) -> None:
    sample = _sample("pay-card-on-file-self-stored")
    request = _request(sample)
    stored = await vault.api.post(
        "/v1/cards",
        json={
            "referenceBuyerId": request["order"]["buyer"]["referenceBuyerId"],
            "card": _card(sample),
            "billingAddress": request.pop("billingAddress"),
            "storage": "VAULT",
        },
    )
    answer = await vault.api.post(f"/v1/cards/{stored.json()['cardId']}/payments", json=request)
    assert answer.status_code == 201, answer.text
    assert await _sent(vault, sample["paymentRequestId"]) == _expected(sample, vault)


async def test_a_token_is_sent_as_documented(vault: Installation) -> None:
    sample = _sample("pay-card-on-file-token")
    buyer = sample["order"]["buyer"]["referenceBuyerId"]
    card_id = (await paid(vault, payment(buyer=buyer, storeCard="GATEWAY")))["card"]["cardId"]
    answer = await vault.api.post(f"/v1/cards/{card_id}/payments", json=_request(sample))
    assert answer.status_code == 201, answer.text
    sent = await _sent(vault, sample["paymentRequestId"])
    expected = _expected(sample, vault)
    expected["paymentMethod"]["paymentMethodId"] = sent["paymentMethod"]["paymentMethodId"]
    for name in ("recurringType", "networkTransactionId"):
        del expected["paymentMethod"]["paymentMethodMetaData"][name]
    assert sent == expected


async def test_a_charge_without_the_buyer_is_sent_as_documented_but_for_the_code(vault: Installation) -> None:
    """The sample has a CVV, which nobody can know any more when the buyer is absent (COF-8)."""
    sample = _sample("pay-merchant-initiated")
    request = _request(sample)
    details = sample["paymentMethod"]["paymentMethodMetaData"]
    del details["cvv"], request["is3DSAuthentication"], request["enableAuthenticationUpgrade"]
    stored = await vault.api.post(
        "/v1/cards",
        json={
            "referenceBuyerId": request["order"]["buyer"]["referenceBuyerId"],
            "card": _card(sample),
            "billingAddress": request.pop("billingAddress"),
            "storage": "VAULT",
        },
    )
    imported = {
        "networkTransactionId": details["networkTransactionId"],
        "authenticatedAt": "2026-01-01T00:00:00Z",
    }
    agreed = {"cardId": stored.json()["cardId"], "recurringType": "SCHEDULED", "imported": imported}
    mandate = (await vault.api.post("/v1/mandates", json=agreed)).json()
    answer = await vault.api.post(f"/v1/mandates/{mandate['mandateId']}/payments", json=request)
    assert answer.status_code == 201, answer.text
    assert await _sent(vault, sample["paymentRequestId"]) == _expected(sample, vault)


async def test_the_documented_answer_with_a_redirect_is_understood(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint
) -> None:
    sample: Json = json.loads((SAMPLES / "pay-response-3ds-redirect.json").read_text())
    puppet.says("pay", {"result": sample["result"]} | sample)
    body: dict[str, Any] = payment(paymentRequestId=sample["paymentRequestId"], paymentAmount=sample["paymentAmount"])
    view = await paid(puppeteer, body)
    assert view["paymentStatus"] == "PROCESSING"
    assert view["nextAction"]["url"] == sample["normalUrl"]
    assert view["gateway"]["paymentId"] == sample["paymentId"]
    assert view["gateway"]["resultMessage"] == sample["result"]["resultMessage"]
    assert (await courier(puppeteer, blueprint).bring(told(view))).status_code == 200
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "SUCCESS"
