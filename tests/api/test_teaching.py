"""What a decline of a stored card changes: the card is disabled, agreements end, waiting has a date."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.api.gateway import Puppet, courier, failure, told
from tests.api.shop import Sql, card_on_file, paid, paid_on_file, payment, problem, shown, store, stored
from tests.api.subscriptions import attempt, charge, charged, consent, recorded, shown_mandate
from tests.canary import MASTERCARD_CANARY, VISA_CANARY
from tests.installation import Blueprint, Installation

pytestmark = pytest.mark.anyio


async def declined(vault: Installation, card_id: str, words: str) -> dict[str, Any]:
    """Pay with a stored card and have it declined in these words."""
    body = card_on_file()
    await vault.arm(body["paymentRequestId"], f"DECLINE:{words}")
    return await paid_on_file(vault, card_id, body)


@pytest.mark.parametrize(
    ("number", "words", "disabled"),
    [
        (VISA_CANARY, "DO_NOT_HONOR:41", True),
        (VISA_CANARY, "INVALID_CARD_NUMBER:14", True),
        (VISA_CANARY, "LOST_CARD:05", True),
        (VISA_CANARY, "DO_NOT_HONOR:57", False),
        (VISA_CANARY, "DO_NOT_HONOR:05:03", False),
        (MASTERCARD_CANARY, "DO_NOT_HONOR:14", False),
    ],
)
async def test_a_card_that_is_gone_is_disabled_by_whatever_words_say_so(
    vault: Installation, number: str, words: str, *, disabled: bool
) -> None:
    view = await declined(vault, (await stored(vault, store(number)))["cardId"], words)
    assert view["declined"]["retry"] == ("LATER" if number == MASTERCARD_CANARY else "NEVER")
    assert view["card"]["status"] == ("DISABLED" if disabled else "ACTIVE")


@pytest.mark.parametrize(("advice", "hours"), [("24", 1), ("02", 72), ("30", 240)])
async def test_waiting_has_a_date_that_stays(vault: Installation, advice: str, hours: int) -> None:
    card_id = (await stored(vault, store(MASTERCARD_CANARY)))["cardId"]
    view = await declined(vault, card_id, f"DO_NOT_HONOR:05:{advice}")
    assert view["declined"]["retry"] == "LATER"
    waited = datetime.fromisoformat(view["declined"]["notBefore"]) - datetime.fromisoformat(view["createdAt"])
    assert timedelta(hours=hours) <= waited < timedelta(hours=hours, minutes=5)
    assert (await shown(vault, view["paymentId"]))["declined"] == view["declined"]


async def test_a_card_that_is_only_typed_is_never_disabled(vault: Installation) -> None:
    card_id = (await stored(vault))["cardId"]
    body = payment()
    await vault.arm(body["paymentRequestId"], "DECLINE:DO_NOT_HONOR:41")
    assert (await paid(vault, body))["declined"]["category"] == "card_unusable"
    assert (await vault.api.get(f"/v1/cards/{card_id}")).json()["status"] == "ACTIVE"


async def test_a_revoked_agreement_ends_its_mandate_alone(vault: Installation, sql: Sql) -> None:
    """RTY-2."""
    card_id = (await stored(vault))["cardId"]
    mandates = [
        await recorded(vault, consent(cardId=card_id, recurringType=kind)) for kind in ("SCHEDULED", "UNSCHEDULED")
    ]
    body = charge()
    await vault.arm(body["paymentRequestId"], "DECLINE:DO_NOT_HONOR:R1")
    mark = await sql.mark()
    assert (await charged(vault, mandates[0], body))["declined"]["retry"] == "NEVER"
    assert await sql.since(mark) == ["payment.created", "payment.changed", "mandate.ended"]
    assert (await sql.events("mandate.ended"))[-1]["reason"] == "stopped_by_issuer"
    assert [(await shown_mandate(vault, each))["status"] for each in mandates] == ["ENDED", "ACTIVE"]
    problem(await attempt(vault, mandates[0]), 409, "mandate_ended")


async def test_all_agreements_on_a_card_can_be_revoked_at_once(vault: Installation) -> None:
    card_id = (await stored(vault))["cardId"]
    mandates = [
        await recorded(vault, consent(cardId=card_id, recurringType=kind)) for kind in ("SCHEDULED", "UNSCHEDULED")
    ]
    body = charge()
    await vault.arm(body["paymentRequestId"], "DECLINE:DO_NOT_HONOR:R3")
    view = await charged(vault, mandates[0], body)
    assert [(await shown_mandate(vault, each))["status"] for each in mandates] == ["ENDED", "ENDED"]
    assert view["card"]["status"] == "ACTIVE"


async def test_a_payment_of_the_buyer_ends_no_single_mandate(vault: Installation) -> None:
    card_id = (await stored(vault, store(MASTERCARD_CANARY)))["cardId"]
    mandate = await recorded(vault, consent(cardId=card_id))
    await declined(vault, card_id, "DO_NOT_HONOR:05:21")
    assert (await shown_mandate(vault, mandate))["status"] == "ACTIVE"


async def test_words_that_come_later_teach_as_well(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    card_id = (await stored(puppeteer))["cardId"]
    puppet.says("pay", {"result": failure("DO_NOT_HONOR")})
    view = await paid_on_file(puppeteer, card_id)
    assert view["card"]["status"] == "ACTIVE"
    news = told(view, failure("DO_NOT_HONOR"), paymentResultInfo={"refusalCodeRaw": "15"})
    for _ in range(2):
        assert (await courier(puppeteer, blueprint).bring(news)).status_code == 200
    assert (await shown(puppeteer, view["paymentId"]))["card"]["status"] == "DISABLED"
    assert [event["type"] for event in await sql.events("card.disabled")] == ["card.disabled"]
