"""The gateway's documented session messages beside ours: equal field for field, except where ADR 0015 says why."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.gateway import Json
from tests.api.shop import paid, payment
from tests.canary import CVV_CANARY, VISA_CANARY
from tests.installation import Installation

pytestmark = pytest.mark.anyio
SAMPLES = Path(__file__).parents[1] / "samples"
CUT: Json = {"paymentRequestId": "session-mpi", "paymentFactor": {"isAuthorization": True}}  # of the third sample
SAME = (
    "paymentRequestId",
    "paymentAmount",
    "settlementStrategy",
    "paymentRedirectUrl",
    "creditPayPlan",
    "enableInstallmentCollection",
)
OF_THE_CARD = ("cardNo", "cvv", "expiryMonth", "expiryYear", "cardholderName")


def _sample(name: str) -> Json:
    read: Json = CUT | json.loads((SAMPLES / f"create-payment-session-{name}.json").read_text())
    details = read["paymentMethod"].get("paymentMethodMetaData")
    if details is not None:
        details |= {"cardNo": VISA_CANARY, "cvv": CVV_CANARY}
    return read


async def _asked(vault: Installation, sample: Json) -> Json:
    """Ask the vault for the session that a sample asks the gateway for."""
    details: Json = sample["paymentMethod"].get("paymentMethodMetaData", {})
    asked = {name: sample[name] for name in SAME if name in sample}
    order = dict(sample["order"])
    env = order.pop("env", None) or sample.get("env")
    order.pop("extendInfo", None)
    asked |= {"order": order, "captureMode": sample["paymentFactor"].get("captureMode"), "env": env}
    asked |= {name: details[name] for name in ("mpiData", "billingAddress") if name in details}
    if details:
        asked["card"] = {name: details[name] for name in OF_THE_CARD}
    if "paymentMethodId" in sample["paymentMethod"]:
        buyer = order["buyer"]["referenceBuyerId"]
        asked["cardId"] = (await paid(vault, payment(buyer=buyer, storeCard="GATEWAY")))["card"]["cardId"]
    return {name: value for name, value in asked.items() if value is not None}


def _expected(sample: Json, sent: Json) -> Json:
    """Give what ADR 0015 makes of a sample; the token and the addresses that were made up come from what was sent."""
    body: dict[str, Any] = json.loads(json.dumps(sample))
    body["productCode"] = "CASHIER_PAYMENT"
    body["paymentNotifyUrl"] = sent["paymentNotifyUrl"]
    body.setdefault("paymentRedirectUrl", sent["paymentRedirectUrl"])
    body.setdefault("settlementStrategy", sent["settlementStrategy"])
    body.pop("agreementInfo", None)
    env = body["order"].pop("env", None) or body.get("env")
    body |= {"env": env} if env else {}
    body["order"].pop("extendInfo", None)
    body["paymentFactor"].pop("asyncPay", None)
    method = body["paymentMethod"]
    if "paymentMethodId" in method:
        method["paymentMethodId"] = sent["paymentMethod"]["paymentMethodId"]
        method["paymentMethodMetaData"] = {"isCardOnFile": True}
    data = method.get("paymentMethodMetaData", {}).get("mpiData")
    if data is not None:
        data["cavv"] = data.pop("caav")
    return body


@pytest.mark.parametrize("name", ["card-token", "installments", "mpi"])
async def test_a_session_is_opened_as_documented(vault: Installation, name: str) -> None:
    sample = _sample(name)
    answer = await vault.api.post("/v1/payment-sessions", json=await _asked(vault, sample))
    assert answer.status_code == 201, answer.text
    (sent,) = await vault.sent(sample["paymentRequestId"], "createPaymentSession")
    assert sent == _expected(sample, sent)
