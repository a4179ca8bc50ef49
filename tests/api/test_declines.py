"""Every way in which the gateway says no, read for the merchant; and words of its own that nobody has heard before."""

from datetime import UTC, datetime

import pytest

from tests.api.gateway import SUCCESS, Puppet, failure
from tests.api.shop import paid, payment, shown
from tests.installation import Installation
from vault.rules.declines import Retry

pytestmark = pytest.mark.anyio

# The result codes with which a payment can end (antom-api.md 4.3), and one that is not in any table.
CODES = [
    "VERIFICATION_FAIL",
    "PARAM_ILLEGAL",
    "INVALID_PAYMENT_METHOD_META_DATA",
    "REPEAT_REQ_INCONSISTENT",
    "PROCESS_FAIL",
    "SYSTEM_ERROR",
    "ACCESS_DENIED",
    "INVALID_SIGNATURE",
    "KEY_NOT_FOUND",
    "INVALID_CLIENT",
    "NO_INTERFACE_DEF",
    "INVALID_API",
    "METHOD_NOT_SUPPORTED",
    "MEDIA_TYPE_NOT_ACCEPTABLE",
    "CURRENCY_NOT_SUPPORT",
    "INVALID_CONTRACT",
    "SETTLE_CONTRACT_NOT_MATCH",
    "INVALID_MERCHANT_STATUS",
    "MERCHANT_KYB_NOT_QUALIFIED",
    "MERCHANT_NOT_REGISTERED",
    "PAYMENT_NOT_QUALIFIED",
    "NO_PAY_OPTIONS",
    "ORDER_IS_CANCELED",
    "ORDER_IS_CANCELLED",
    "ORDER_IS_CLOSED",
    "PAYMENT_AMOUNT_EXCEED_LIMIT",
    "PAYMENT_COUNT_EXCEED_LIMIT",
    "USER_AMOUNT_EXCEED_LIMIT",
    "RISK_REJECT",
    "FRAUD_REJECT",
    "AUTHENTICATION_REQUIRED",
    "USER_PAYMENT_VERIFICATION_FAILED",
    "VERIFY_TIMES_EXCEED_LIMIT",
    "VERIFY_UNMATCHED",
    "USER_BALANCE_NOT_ENOUGH",
    "DO_NOT_HONOR",
    "ISSUER_REJECTS_TRANSACTION",
    "INVALID_CARD_NUMBER",
    "INVALID_CVV",
    "INVALID_EXPIRATION_DATE",
    "INVALID_CARD",
    "CARD_BIN_QUERY_ERROR",
    "CARD_EXPIRED",
    "CARD_NOT_SUPPORTED",
    "SELECTED_CARD_BRAND_NOT_AVAILABLE",
    "LOST_CARD",
    "STOLEN_CARD",
    "PICKUP_CARD",
    "RESTRICTED_CARD",
    "ACCOUNT_CLOSED",
    "SUSPECTED_CARD",
    "BLOCKED_FIRST_USED",
    "NO_SELECTED_ACCOUNT",
    "POLICY",
    "USER_KYC_NOT_QUALIFIED",
    "USER_STATUS_ABNORMAL",
    "USER_NOT_EXIST",
    "INVALID_ACCESS_TOKEN",
    "EXPIRED_CODE",
    "INVALID_PAYMENT_CODE",
    "PAYMENT_PROHIBITED",
    "BUSINESS_NOT_SUPPORT",
    "REGULATION_RESTRICTION",
    "UNAVAILABLE_PAYMENT_METHOD",
]
SOME = {
    "USER_BALANCE_NOT_ENOUGH": ("insufficient_funds", "LATER"),
    "STOLEN_CARD": ("card_unusable", "NEVER"),
    "AUTHENTICATION_REQUIRED": ("authentication_required", "AUTHENTICATE"),
    "INVALID_CVV": ("card_data_invalid", "FIX_DATA"),
    "CARD_EXPIRED": ("card_expired", "NEW_CARD"),
}


async def test_every_result_code_of_a_decline_is_read_for_the_merchant(vault: Installation) -> None:
    for code in CODES:
        body = payment()
        await vault.arm(body["paymentRequestId"], f"DECLINE:{code}")
        view = await paid(vault, body)
        assert (view["paymentStatus"], view["gateway"]["resultCode"]) == ("FAIL", code)
        assert view["gateway"]["resultStatus"] == "F"
        read = view["declined"]
        assert read["category"] != "unknown", code
        assert read["retry"] in set(Retry) - {Retry.NEW_ID}, code
        assert (read["notBefore"] is None) is (
            read["retry"] != "LATER" or "merchantAdviceCode" not in view["paymentResultInfo"]
        )
        assert (read["category"], read["retry"]) == SOME.get(code, (read["category"], read["retry"]))


async def test_an_unknown_code_is_a_decline_that_nobody_repeats(vault: Installation) -> None:
    body = payment()
    await vault.arm(body["paymentRequestId"], "DECLINE:SOMETHING_NEW")
    view = await paid(vault, body)
    assert view["gateway"]["resultCode"] == "SOMETHING_NEW"
    assert view["declined"] == {"category": "unknown", "retry": "NEVER", "notBefore": None}


async def test_what_never_reached_the_gateway_may_be_tried_under_a_new_id(puppeteer: Installation) -> None:
    puppeteer.services.payments._tools.sender._client._origin = "http://127.0.0.1:9"
    view = await paid(puppeteer, payment())
    assert (view["paymentStatus"], view["gateway"]["resultCode"]) == ("FAIL", None)
    assert view["declined"] == {"category": "not_sent", "retry": "NEW_ID", "notBefore": None}


async def test_unknown_values_of_the_gateway_stay_as_they_came(puppeteer: Installation, puppet: Puppet) -> None:
    info = {"cardBrand": "BRAND_OF_TOMORROW", "funding": "MOON_MONEY", "unheardOf": 1, "cardNo": "****1846"}
    puppet.says("pay", {"result": SUCCESS, "paymentResultInfo": info, "authExpiryTime": "2039-01-01T00:00:00Z"})
    view = await paid(puppeteer, payment())
    assert view["paymentResultInfo"] == {key: value for key, value in info.items() if key != "unheardOf"}
    assert datetime.fromisoformat(view["authorisationExpiresAt"]) == datetime(2039, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "answer",
    [
        {"result": {"resultCode": "ODD", "resultStatus": "A", "resultMessage": "odd"}},
        {"result": {"resultCode": 7}},
        {"result": "S"},
        {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U"}},
    ],
)
async def test_an_answer_that_says_nothing_final_leaves_the_outcome_open(
    puppeteer: Installation, puppet: Puppet, answer: dict[str, object]
) -> None:
    puppet.says("pay", answer)
    puppet.says("inquiryPayment", {"result": SUCCESS, "paymentStatus": "STATUS_OF_TOMORROW"})
    view = await paid(puppeteer, payment(), status=202)
    assert view["paymentStatus"] == "UNKNOWN"
    await puppeteer.work()
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "UNKNOWN"


async def test_a_failure_without_the_payments_id_is_still_its_failure(puppeteer: Installation, puppet: Puppet) -> None:
    puppet.says("pay", {"result": failure("DO_NOT_HONOR"), "paymentRequestId": None, "paymentAmount": None})
    assert (await paid(puppeteer, payment()))["declined"]["category"] == "issuer_declined"


async def test_a_redirect_by_post_hands_on_its_parameters(puppeteer: Installation, puppet: Puppet) -> None:
    form = {"method": "POST", "redirectUrl": "https://acs.example/c", "parameters": {"PaReq": "x"}}
    result = {"resultCode": "PAYMENT_IN_PROCESS", "resultStatus": "U", "resultMessage": ""}
    extra = {"schemeUrl": "bank://x", "applinkUrl": "https://bank.example/x"}
    puppet.says("pay", {"result": result, "redirectActionForm": form} | extra)
    view = await paid(puppeteer, payment())
    assert (
        view["nextAction"]
        == {
            "type": "REDIRECT",
            "url": form["redirectUrl"],
            "method": "POST",
            "parameters": {"PaReq": "x"},
        }
        | extra
    )
