from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import (
    DELETE_TOKEN,
    INQUIRE_VAULTING,
    PAY,
    VAULT,
    VAULT_SESSION,
    VISA,
    Answer,
    Gateway,
    Merchant,
    payment,
    token_method,
    vaulting,
)

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
CHALLENGED = {"card": {"is3DSAuthentication": True}}


def session(request_id: str, notify_url: str = "https://shop.example/hooks", **changes: Any) -> dict[str, Any]:
    return {
        "paymentMethodType": "CARD",
        "vaultingRequestId": request_id,
        "vaultingNotificationUrl": notify_url,
        "redirectUrl": "https://shop.example/back?card=1",
    } | changes


async def inquired(gateway: Gateway, request_id: str = "vr-1") -> dict[str, Any]:
    return (await gateway.call(INQUIRE_VAULTING, {"vaultingRequestId": request_id})).json


async def paid_with(gateway: Gateway, token: str, request_id: str = "pr-1") -> tuple[str, str]:
    body = payment(request_id, paymentMethod={"paymentMethodType": "CARD", **token_method(token)})
    return (await gateway.call(PAY, body)).result


async def test_a_card_is_kept_at_once_and_pays(gateway: Gateway, merchant: Merchant) -> None:
    answer = await gateway.call(VAULT, vaulting("vr-1", merchant.url))
    assert answer.result == ("S", "SUCCESS")
    card = answer.json["paymentMethodDetail"]["card"]
    assert (card["maskedCardNo"], card["brand"], card["lastFour"], card["bin"]) == (
        "************1111",
        "VISA",
        "1111",
        "411111",
    )
    assert card["networkTransactionId"]
    assert card["cvvResultRaw"] == "M"
    assert "expiryMonth" not in card
    (sent,) = await merchant.wait_for(1)
    assert (sent.json["vaultingStatus"], sent.json["vaultingRequestId"]) == ("SUCCESS", "vr-1")
    assert sent.json["paymentMethodDetail"] == answer.json["paymentMethodDetail"]
    assert "notifyType" not in sent.json
    assert VISA not in answer.raw.decode() + sent.raw.decode()
    assert await paid_with(gateway, card["cardToken"]) == ("S", "SUCCESS")
    assert await gateway.ledger("vr-1") == []


async def test_authentication_leads_to_a_page(gateway: Gateway, merchant: Merchant) -> None:
    answer = await gateway.call(VAULT, vaulting("vr-1", merchant.url, **CHALLENGED))
    assert answer.result == ("U", "VERIFICATION_IN_PROCESS")
    assert "paymentMethodDetail" not in answer.json
    state = await inquired(gateway)
    assert (state["vaultingStatus"], state["normalUrl"]) == ("PROCESSING", answer.json["normalUrl"])
    back = await gateway.complete(answer.json["normalUrl"], "success")
    assert (back.status, back.headers["Location"]) == (303, "https://shop.example/back?card=1")
    (sent,) = await merchant.wait_for(1)
    state = await inquired(gateway)
    assert (state["vaultingStatus"], state["vaultingResultCode"]) == ("SUCCESS", "SUCCESS")
    assert state["paymentMethodDetail"] == sent.json["paymentMethodDetail"]


async def test_a_failed_authentication_leaves_no_token(gateway: Gateway, merchant: Merchant) -> None:
    answer = await gateway.call(VAULT, vaulting("vr-1", merchant.url, **CHALLENGED))
    for outcome in ("fail", "success"):
        await gateway.complete(answer.json["normalUrl"], outcome)
    (sent,) = await merchant.wait_for(1)
    assert sent.json["result"]["resultCode"] == "USER_PAYMENT_VERIFICATION_FAILED"
    assert sent.json["paymentMethodDetail"] == {"paymentMethodType": "CARD"}
    assert (await inquired(gateway))["vaultingStatus"] == "FAIL"


@pytest.mark.parametrize(
    ("card", "result"),
    [
        ({"enableAuthenticationUpgrade": True}, ("U", "VERIFICATION_IN_PROCESS")),
        ({}, ("U", "VERIFICATION_IN_PROCESS")),
        ({"enableAuthenticationUpgrade": False}, ("F", "AUTHENTICATION_REQUIRED")),
        (
            {
                "enableAuthenticationUpgrade": False,
                "mpiData": {"threeDSVersion": "2.2.0", "eci": "05", "cavv": "AAAB", "dsTransactionId": "1f0e"},
            },
            ("S", "SUCCESS"),
        ),
    ],
)
async def test_an_issuer_may_insist(gateway: Gateway, card: dict[str, Any], result: tuple[str, str]) -> None:
    await gateway.arm("vr-1", "REQUIRE_3DS")
    assert (await gateway.call(VAULT, vaulting("vr-1", card=card))).result == result


async def test_declines_and_late_decisions_can_be_armed(gateway: Gateway) -> None:
    await gateway.arm("vr-1", "DECLINE:LOST_CARD")
    for _ in range(2):
        assert (await gateway.call(VAULT, vaulting("vr-1"))).result == ("F", "LOST_CARD")
    await gateway.arm("vr-2", "LATE_SUCCESS")
    late = await gateway.call(VAULT, vaulting("vr-2"))
    assert late.result == ("U", "VERIFICATION_IN_PROCESS")
    assert "normalUrl" not in late.json
    await gateway.arm("vr-3", "RATE_LIMIT")
    assert (await gateway.call(VAULT, vaulting("vr-3"))).result == ("U", "REQUEST_TRAFFIC_EXCEED_LIMIT")
    for _ in range(200):
        if (await inquired(gateway, "vr-2"))["vaultingStatus"] == "SUCCESS":
            break
        await asyncio.sleep(0.05)
    assert (await inquired(gateway, "vr-2"))["vaultingStatus"] == "SUCCESS"
    assert (await gateway.call(INQUIRE_VAULTING, {"vaultingRequestId": "vr-3"})).result == ("F", "ORDER_NOT_EXIST")


async def test_an_expired_card_is_not_kept(gateway: Gateway) -> None:
    old = {"expiryMonth": "01", "expiryYear": "20"}
    assert (await gateway.call(VAULT, vaulting("vr-1", card=old))).result == ("F", "CARD_EXPIRED")


async def test_an_open_vaulting_ends_by_itself(
    gateway: Gateway, merchant: Merchant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ops.sandbox.vault_operations.DEFAULT_EXPIRY", timedelta(seconds=0.2))
    answer = await gateway.call(VAULT, vaulting("vr-1", merchant.url, **CHALLENGED))
    (sent,) = await merchant.wait_for(1)
    assert (sent.json["vaultingStatus"], sent.json["result"]["resultCode"]) == ("FAIL", "ORDER_IS_CLOSED")
    await gateway.complete(answer.json["normalUrl"], "success")
    assert (await inquired(gateway))["vaultingStatus"] == "FAIL"


async def test_the_same_request_again_is_the_same_vaulting(gateway: Gateway) -> None:
    first = await gateway.call(VAULT, vaulting("vr-1"))
    assert (await gateway.call(VAULT, vaulting("vr-1"))).raw == first.raw
    other = await gateway.call(VAULT, vaulting("vr-1", card={"cardNo": "5555555555554444"}))
    assert other.result == ("F", "REPEAT_REQ_INCONSISTENT")
    assert (await gateway.call(VAULT_SESSION, session("vr-1"))).result == ("F", "REPEAT_REQ_INCONSISTENT")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"vaultingRequestId": ""}, "PARAM_ILLEGAL"),
        ({"vaultingNotificationUrl": ""}, "PARAM_ILLEGAL"),
        ({"redirectUrl": ""}, "PARAM_ILLEGAL"),
        ({"paymentMethodDetail": None}, "PARAM_ILLEGAL"),
        ({"paymentMethodDetail": {"paymentMethodType": "WALLET", "card": {}}}, "PARAM_ILLEGAL"),
        ({"paymentMethodDetail": {"paymentMethodType": "CARD", "card": {}}}, "PARAM_ILLEGAL"),
        ({"env": {"terminalType": "TELEX"}}, "PARAM_ILLEGAL"),
        ({"card": {"cardNo": "4111111111111112"}}, "INVALID_CARD_NUMBER"),
        ({"card": {"cardNo": "9999999999999995"}}, "CARD_NOT_SUPPORTED"),
        ({"card": {"expiryYear": ""}}, "PARAM_ILLEGAL"),
        ({"card": {"cvv": "1"}}, "INVALID_CVV"),
    ],
)
async def test_a_vaulting_that_cannot_be_is_refused(gateway: Gateway, changes: dict[str, Any], code: str) -> None:
    assert (await gateway.call(VAULT, vaulting("vr-1", **changes))).result == ("F", code)


async def test_a_code_is_needed_in_strict_mode_alone(start: Start) -> None:
    for strict, status in ((False, "S"), (True, "F")):
        gateway = await start(strict=strict)
        body = vaulting("vr-1", card={"cvv": ""}, env={"terminalType": "WEB", "clientIp": "203.0.113.9"})
        assert (await gateway.call(VAULT, body)).result[0] == status


async def test_a_session_lets_the_buyer_type_the_card(start: Start, merchant: Merchant) -> None:
    gateway = await start(clock=lambda: NOON)
    answer = await gateway.call(VAULT_SESSION, session("vr-1", merchant.url))
    assert answer.result == ("S", "SUCCESS")
    assert answer.json["vaultingSessionExpiryTime"] == "2026-01-05T13:00:00Z"
    assert answer.json["vaultingSessionData"]
    assert answer.json["vaultingSessionId"]
    assert (await inquired(gateway))["vaultingStatus"] == "PROCESSING"
    refused = await gateway.type_card(answer.json["normalUrl"], cardNo="9999999999999995")
    assert refused.status == 422
    await gateway.type_card(answer.json["normalUrl"])
    (sent,) = await merchant.wait_for(1)
    assert await paid_with(gateway, sent.json["paymentMethodDetail"]["card"]["cardToken"]) == ("S", "SUCCESS")
    assert (await gateway.call(VAULT_SESSION, session("vr-1", merchant.url))).json["result"]["resultStatus"] == "S"


@pytest.mark.parametrize(("outcome", "status"), [("success", "SUCCESS"), ("fail", "FAIL")])
async def test_a_session_may_authenticate_or_end_without_a_card(gateway: Gateway, outcome: str, status: str) -> None:
    answer = await gateway.call(VAULT_SESSION, session("vr-1", is3DSAuthentication=True))
    await gateway.type_card(answer.json["normalUrl"], outcome=outcome)
    assert (await inquired(gateway))["vaultingStatus"] == status


async def test_notifications_can_come_first_twice_or_never(gateway: Gateway, merchant: Merchant) -> None:
    await gateway.arm("vr-1", "NOTIFY_FIRST")
    await gateway.call(VAULT, vaulting("vr-1", merchant.url))
    assert len(merchant.received) == 1
    await gateway.arm("vr-2", "NO_NOTIFICATION")
    await gateway.call(VAULT, vaulting("vr-2", merchant.url))
    await gateway.arm("vr-3", "DUPLICATE_NOTIFICATIONS")
    await gateway.call(VAULT, vaulting("vr-3", merchant.url, metadata="m-1"))
    await merchant.wait_for(3)
    assert [item.json["vaultingRequestId"] for item in merchant.received] == ["vr-1", "vr-3", "vr-3"]
    assert merchant.received[-1].json["metadata"] == (await inquired(gateway, "vr-3"))["metadata"] == "m-1"


async def test_a_deleted_token_pays_no_more(gateway: Gateway) -> None:
    token = (await gateway.call(VAULT, vaulting("vr-1"))).json["paymentMethodDetail"]["card"]["cardToken"]
    assert (await gateway.call(DELETE_TOKEN, {"token": token})).result == ("S", "SUCCESS")
    assert await paid_with(gateway, token) == ("F", "INVALID_PAYMENT_METHOD_META_DATA")
    assert (await gateway.call(DELETE_TOKEN, {"token": token})).result == ("F", "PARAM_ILLEGAL")


async def test_with_stable_tokens_a_deleted_one_is_not_given_again(start: Start) -> None:
    gateway = await start(stable_tokens=True)

    async def token(answer: Answer) -> str:
        return str(answer.json["paymentMethodDetail"]["card"]["cardToken"])

    first = await token(await gateway.call(VAULT, vaulting("vr-1")))
    assert await token(await gateway.call(VAULT, vaulting("vr-2"))) == first
    await gateway.call(DELETE_TOKEN, {"token": first})
    assert await token(await gateway.call(VAULT, vaulting("vr-3"))) != first


async def test_received_vaultings_are_shown_by_their_id(gateway: Gateway) -> None:
    await gateway.call(VAULT, vaulting("vr-1"))
    await inquired(gateway)
    assert [each["operation"] for each in await gateway.requests("vr-1")] == ["vaultPaymentMethod", "inquireVaulting"]
