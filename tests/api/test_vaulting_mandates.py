"""Mandates that rest on the vaulting of their card: `vaultingCardId` (controls.md COF-5)."""

from typing import Any

import pytest

from tests.api.gateway import SUCCESS, Puppet
from tests.api.shop import Sql, configure, problem, stored
from tests.api.subscriptions import charge, charged, consent, recorded
from tests.api.vaultings import IN_PROCESS, KEPT, concluded, keep, kept, passed
from tests.canary import SECOND_VISA_CANARY
from tests.installation import Installation

pytestmark = pytest.mark.anyio
STORED: dict[str, Any] = {"result": SUCCESS, "paymentMethodDetail": {"paymentMethodType": "CARD", "card": KEPT}}


async def _authenticated(vault: Installation, **changes: Any) -> str:
    """Have a card stored by a buyer who authenticates, and give its id."""
    body = keep(is3DSAuthentication=True, **changes)
    await passed(await kept(vault, body))
    return str((await concluded(vault, body["vaultingRequestId"]))["card"]["cardId"])


def _on(card_id: str, vaulting_card_id: str | None = None) -> dict[str, Any]:
    return consent(cardId=card_id, imported=None, vaultingCardId=vaulting_card_id or card_id)


async def test_a_mandate_starts_from_an_authenticated_vaulting_and_is_charged(vault: Installation, sql: Sql) -> None:
    card_id = await _authenticated(vault)
    mandate = await recorded(vault, _on(card_id))
    told = await sql.value("select result_info->>'networkTransactionId' from vault.vaulting")
    assert (mandate["status"], mandate["networkTransactionId"], mandate["initialPaymentId"]) == ("ACTIVE", told, None)
    assert (await recorded(vault, _on(card_id), status=200))["mandateId"] == mandate["mandateId"]
    body = charge()
    assert (await charged(vault, mandate, body))["paymentStatus"] == "SUCCESS"
    (sent,) = await vault.sent(body["paymentRequestId"])
    assert sent["paymentMethod"]["paymentMethodMetaData"]["networkTransactionId"] == told


async def test_a_card_that_was_stored_without_its_buyer_authenticating_bears_no_mandate(vault: Installation) -> None:
    card_id = (await kept(vault))["cardId"]
    answer = await vault.api.post("/v1/mandates", json=_on(card_id))
    document = problem(answer, 422, "authentication_evidence_missing")
    assert document["errors"] == [{"pointer": "/vaultingCardId", "code": "invalid_value"}]


async def test_a_redirect_alone_counts_where_the_merchant_says_so(vault: Installation, sql: Sql) -> None:
    card_id = await _authenticated(vault)
    await sql.change("update vault.vaulting set result_info = result_info - 'threeDSResult'")
    await configure(sql, "assumeAuthentication", "false")
    problem(await vault.api.post("/v1/mandates", json=_on(card_id)), 422, "authentication_evidence_missing")
    await configure(sql, "assumeAuthentication", "true")
    assert (await recorded(vault, _on(card_id)))["evidence"]["kind"] == "ASSUMED"


async def test_another_card_or_one_that_was_not_vaulted_bears_no_mandate(vault: Installation) -> None:
    vaulted, other = await _authenticated(vault), await _authenticated(vault, number=SECOND_VISA_CANARY)
    for card_id, vaulting_card_id in ((vaulted, other), (vaulted, "card_nobody")):
        answer = await vault.api.post("/v1/mandates", json=_on(card_id, vaulting_card_id))
        document = problem(answer, 422, "initial_vaulting_unsuitable")
        assert document["errors"] == [{"pointer": "/vaultingCardId", "code": "invalid_value"}]


async def test_a_card_that_only_the_vault_holds_was_not_vaulted(vault: Installation) -> None:
    card_id = (await stored(vault))["cardId"]
    answer = await vault.api.post("/v1/mandates", json=_on(card_id))
    problem(answer, 422, "initial_vaulting_unsuitable")


async def test_a_card_that_waits_bears_no_mandate_yet(vault: Installation) -> None:
    card_id = (await kept(vault, keep(is3DSAuthentication=True)))["cardId"]
    problem(await vault.api.post("/v1/mandates", json=_on(card_id)), 409, "card_pending")


async def test_a_missing_network_transaction_id_is_asked_for_once(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    nameless = {name: value for name, value in KEPT.items() if name != "networkTransactionId"}
    told = STORED | {"paymentMethodDetail": {"paymentMethodType": "CARD", "card": nameless}}
    puppet.says("vaultPaymentMethod", {"result": IN_PROCESS, "normalUrl": "https://bank.example/3ds"})
    puppet.says("inquireVaulting", told | {"vaultingStatus": "SUCCESS"})
    body = keep(is3DSAuthentication=True)
    await kept(puppeteer, body)
    await sql.change("update vault.vaulting_inquiry set next_at = now() - interval '1 second'")
    card_id = (await concluded(puppeteer, body["vaultingRequestId"]))["card"]["cardId"]
    problem(await puppeteer.api.post("/v1/mandates", json=_on(card_id)), 422, "network_transaction_id_missing")
    puppet.says("inquireVaulting", STORED | {"vaultingStatus": "SUCCESS"})
    mandate = await recorded(puppeteer, _on(card_id))
    assert mandate["networkTransactionId"] == KEPT["networkTransactionId"]
    asked = puppet.count("inquireVaulting")
    await recorded(puppeteer, _on(card_id), status=200)
    assert puppet.count("inquireVaulting") == asked == 3
