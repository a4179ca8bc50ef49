"""What the gateway's messages about vaultings are evidence of, the odd ones first (antom-api.md 2.8, 2.11)."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from tests.vault.test_vaulting import VAULTING
from vault.card import Expiry
from vault.gateway.vaulting_evidence import (
    read_vaulting,
    read_vaulting_inquiry,
    read_vaulting_notification,
    read_vaulting_session,
    unknown_to_gateway,
)
from vault.payment import Source
from vault.result import Result
from vault.stored_card import CardFace
from vault.vaulting import VaultingStatus

Json = dict[str, Any]
SUCCESS = {"resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success"}
IN_PROCESS = {"resultCode": "VERIFICATION_IN_PROCESS", "resultStatus": "U", "resultMessage": "in process"}
REFUSED = {"resultCode": "VERIFICATION_FAIL", "resultStatus": "F", "resultMessage": "failed"}
CARD = {
    "cardToken": "ALIPAYq3+demo/tok==",
    "maskedCardNo": "************1111",
    "brand": "VISA",
    "bin": "41111111",
    "last4": "1111",
    "networkTransactionId": "ntid-1",
    "fingerprint": "dropped",
}
OURS = replace(VAULTING, face=CardFace("VISA", "************1111", "411111", "1111", Expiry.parse("03", "39")))


def _told(result: object = SUCCESS, card: object = CARD, **changes: Any) -> Json:
    detail = {"paymentMethodType": "CARD", "card": card}
    return {"result": result, "vaultingRequestId": "card.1", "paymentMethodDetail": detail} | changes


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"result": "S"},
        _told({"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U"}),
        _told({"resultCode": "ACCEPTED", "resultStatus": "A"}),
        _told(card={name: value for name, value in CARD.items() if name != "cardToken"}),
        _told(card=CARD | {"cardToken": 7}),
        _told(card=CARD | {"cardToken": "a" * 5000}),
        _told(card={"cardToken": "ALIPAY"}),
        _told(card="ALIPAY"),
        _told(paymentMethodDetail="CARD"),
    ],
)
def test_an_answer_that_does_not_name_a_usable_card_leaves_the_outcome_open(body: Json) -> None:
    seen = read_vaulting(body, VAULTING)
    assert (seen.source, seen.status) == (Source.ANSWER, VaultingStatus.UNKNOWN)


def test_a_success_names_the_card_in_the_words_of_payments() -> None:
    seen = read_vaulting(_told(), VAULTING)
    assert (seen.status, seen.result) == (VaultingStatus.SUCCESS, Result("SUCCESS", "S", "success"))
    assert seen.info == {
        "cardNo": "************1111",
        "cardBrand": "VISA",
        "cardBin": "411111",
        "lastFour": "1111",
        "networkTransactionId": "ntid-1",
    }
    assert seen.token is not None
    assert seen.bound


def test_a_card_that_the_vault_saw_needs_its_token_alone() -> None:
    assert read_vaulting(_told(card={"cardToken": "ALIPAY"}), OURS).status is VaultingStatus.SUCCESS


def test_a_challenge_leads_the_buyer_somewhere_and_nothing_else_does() -> None:
    page = {"normalUrl": "https://bank.example/3ds"}
    seen = read_vaulting(_told(IN_PROCESS, {}, **page), VAULTING)
    assert (seen.status, (seen.next_action or {})["url"]) == (VaultingStatus.PROCESSING, page["normalUrl"])
    refused = read_vaulting(_told(REFUSED, {}, **page), VAULTING)
    assert (refused.status, refused.next_action) == (VaultingStatus.FAIL, None)
    assert read_vaulting(_told(IN_PROCESS, {}), VAULTING).status is VaultingStatus.PROCESSING


@pytest.mark.parametrize(
    "body",
    [_told(vaultingRequestId="card.2"), _told(vaultingRequestId=7), _told(card=CARD | {"last4": "1112"})],
)
def test_what_names_another_request_or_card_is_not_bound(body: Json) -> None:
    assert not read_vaulting(body, OURS).bound
    assert not read_vaulting_notification(body, OURS).bound


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (_told(), VaultingStatus.SUCCESS),
        (_told(REFUSED, {}), VaultingStatus.FAIL),
        (_told(IN_PROCESS, {}), None),
        (_told("S"), None),
        (_told(card={}), VaultingStatus.UNKNOWN),
    ],
)
def test_a_notification_tells_outcomes_alone(body: Json, status: VaultingStatus | None) -> None:
    seen = read_vaulting_notification(body, VAULTING)
    assert (seen.source, seen.status) == (Source.NOTIFICATION, status)


@pytest.mark.parametrize(
    ("body", "status", "result"),
    [
        (_told(vaultingStatus="SUCCESS"), VaultingStatus.SUCCESS, Result("SUCCESS", "S", "")),
        (
            _told(card={}, vaultingStatus="FAIL", vaultingResultCode="LOST_CARD", vaultingResultMessage="lost"),
            VaultingStatus.FAIL,
            Result("LOST_CARD", "F", "lost"),
        ),
        (_told(card={}, vaultingStatus="PROCESSING"), VaultingStatus.PROCESSING, Result("PROCESSING", "U", "")),
        (_told(card={}, vaultingStatus="PENDING"), None, Result("PENDING", "U", "")),
        (_told(card={}), None, Result("None", "U", "")),
    ],
)
def test_an_inquiry_tells_the_state(body: Json, status: VaultingStatus | None, result: Result) -> None:
    seen = read_vaulting_inquiry(body, VAULTING)
    assert seen is not None
    assert (seen.source, seen.status, seen.result) == (Source.INQUIRY, status, result)
    assert not unknown_to_gateway(seen)


def test_an_inquiry_that_failed_says_nothing() -> None:
    assert read_vaulting_inquiry({}, VAULTING) is None
    assert read_vaulting_inquiry({"result": REFUSED, "vaultingStatus": "FAIL"}, VAULTING) is None


def test_a_vaulting_that_the_gateway_does_not_know_is_no_outcome_by_itself() -> None:
    seen = read_vaulting_inquiry({"result": {"resultCode": "ORDER_NOT_EXIST", "resultStatus": "F"}}, VAULTING)
    assert seen is not None
    assert seen.status is None
    assert unknown_to_gateway(seen)


def test_a_session_is_open_with_what_opens_it_and_not_without() -> None:
    opened = {"result": SUCCESS, "vaultingSessionData": "opaque", "vaultingSessionId": "vs-1", "normalUrl": 7}
    seen = read_vaulting_session(opened, VAULTING)
    assert seen.status is VaultingStatus.PROCESSING
    assert seen.session is not None
    assert orjson.loads(seen.session.reveal()) == {
        "vaultingSessionData": "opaque",
        "vaultingSessionId": "vs-1",
        "vaultingSessionExpiryTime": None,
        "normalUrl": None,
    }
    for body in ({}, {"result": SUCCESS}, opened | {"vaultingSessionData": ""}, opened | {"result": IN_PROCESS}):
        assert read_vaulting_session(body, VAULTING).status is VaultingStatus.UNKNOWN
    assert read_vaulting_session({"result": REFUSED}, VAULTING).status is VaultingStatus.FAIL
