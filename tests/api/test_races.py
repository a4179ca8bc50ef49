"""What moves between planning and writing: everything is planned again, and a charge is never forgotten."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from keys.keyring import Purpose
from tests.api.retiring import rotate
from tests.api.shop import BUYER, Sql, card_on_file, paid, payment, problem, store, stored
from tests.installation import Installation
from vault.keeping import KeepingPlan

pytestmark = pytest.mark.anyio
Between = Callable[[], Awaitable[object]]


def meanwhile(vault: Installation, monkeypatch: pytest.MonkeyPatch, happens: Between) -> None:
    """Let something happen once, after a payment's card was planned and before the plan is written."""
    keeper = vault.services.payments._tools.recorder._keeper
    made, waiting = keeper.plan, [happens]

    async def plan(*arguments: Any) -> KeepingPlan | None:
        planned = await made(*arguments)
        if planned is not None and waiting:
            await waiting.pop()()
        return planned

    monkeypatch.setattr(keeper, "plan", plan)


async def test_a_card_that_appears_meanwhile_gets_the_credential(
    vault: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(vault, monkeypatch, lambda: vault.api.post("/v1/cards", json=store()))
    view = await paid(vault, payment(storeCard="GATEWAY"))
    listed = (await vault.api.get(f"/v1/buyers/{BUYER}/cards")).json()["cards"]
    assert [one["cardId"] for one in listed] == [view["card"]["cardId"]]
    assert view["card"]["storage"] == "BOTH"


async def test_a_card_that_goes_meanwhile_is_made_anew(vault: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    before = await stored(vault)
    meanwhile(vault, monkeypatch, lambda: vault.api.delete(f"/v1/cards/{before['cardId']}"))
    view = await paid(vault, payment(storeCard="VAULT"))
    assert view["card"]["cardId"] != before["cardId"]


@pytest.mark.parametrize("before", ["unknown", "known"])
async def test_a_key_that_retires_meanwhile_is_not_used(
    before: str, vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    if before == "known":
        await stored(vault)
    fresh: list[bytes] = []

    async def retire() -> None:
        fresh.append(await rotate(vault, sql, Purpose.CARD))

    meanwhile(vault, monkeypatch, retire)
    view = await paid(vault, payment(storeCard="GATEWAY"))
    kept = "select key_id from vault.card_secret where card_id = $1 and kind = 'TOKEN'"
    assert [await sql.value(kept, view["card"]["cardId"])] == fresh


async def test_a_charge_whose_card_cannot_be_kept_now_is_found_again(
    vault: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = vault.services.payments._tools.recorder._keeper

    async def nothing(*_: Any) -> None:
        return None

    body = payment(storeCard="GATEWAY")
    with monkeypatch.context() as patched:
        patched.setattr(keeper, "plan", nothing)
        problem(await vault.api.post("/v1/payments", json=body), 503, "overloaded")
    assert len(await vault.ledger(body["paymentRequestId"])) == 1
    (found,) = (await vault.api.get("/v1/payments", params={"paymentRequestId": body["paymentRequestId"]})).json()[
        "payments"
    ]
    view = await vault.settle(found["paymentId"])
    assert (view["paymentStatus"], view["card"]["storage"]) == ("SUCCESS", "GATEWAY")
    assert len(await vault.ledger(body["paymentRequestId"])) == 1


@pytest.mark.parametrize("times", [1, 9])
async def test_a_stored_card_that_changes_under_a_payment_is_read_again(
    times: int, vault: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = await stored(vault)
    service = vault.services.payments._ahead
    begin, refusals = service._begin, [None] * times

    async def refused_at_first(*arguments: Any) -> object:
        return refusals.pop() if refusals else await begin(*arguments)

    monkeypatch.setattr(service, "_begin", refused_at_first)
    answer = await vault.api.post(f"/v1/cards/{known['cardId']}/payments", json=card_on_file())
    if times == 1:
        assert answer.json()["paymentStatus"] == "SUCCESS"
    else:
        problem(answer, 503, "overloaded")
