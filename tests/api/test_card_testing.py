"""The card-testing guard over HTTP: who shows many cards, or meets many declines, is slowed, stopped and told of."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from keys.keyring import Purpose
from tests.api.conftest import QUICK
from tests.api.limits import grant, number, process
from tests.api.retiring import rotate
from tests.api.shop import Sql, card, card_on_file, paid, payment, problem, store, stored, until
from tests.canary import CVV_CANARY
from tests.installation import Blueprint, Installation, installed
from vault import card_testing, metrics
from vault.db import StatementFailed
from vault.store import limits

pytestmark = pytest.mark.anyio
ADDRESS = "203.0.113.9"


@pytest.fixture
async def vault(blueprint: Blueprint, onboarded_url: str) -> AsyncIterator[Installation]:
    """A running vault with its limits on."""
    async with installed(blueprint, onboarded_url, sandbox=QUICK, limits=True) as installation:
        yield installation


@pytest.fixture
def waits(vault: Installation, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long requests were made to wait, without their waiting."""
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(vault.services.card_guard, "_sleep", wait)
    return waited


async def show(api: httpx2.AsyncClient, place: int, buyer: str = "tester") -> httpx2.Response:
    """Store one of many cards for a buyer."""
    return await api.post("/v1/cards", json=store(number(place), buyer))


async def seen(sql: Sql, number: int) -> None:
    """Wait until so many sightings are known to all processes."""

    async def known() -> bool:
        return await sql.count("card_sighting") >= number

    await until(known)


async def declined(vault: Installation, **changes: Any) -> httpx2.Response:
    """Pay, and have it declined."""
    body = payment(**changes)
    await vault.arm(body["paymentRequestId"], "DECLINE:DO_NOT_HONOR")
    return await vault.api.post("/v1/payments", json=body)


async def test_many_cards_of_a_buyer_are_slowed_and_then_stopped(
    vault: Installation, sql: Sql, waits: list[float]
) -> None:
    await grant(sql, guard_buyer_cards={"day": 4})
    assert [(await show(vault.api, place)).status_code for place in range(4)] == [201] * 4
    assert waits == [2.5, 5.0]
    answer = await show(vault.api, 4)
    document = problem(answer, 429, "card_testing_suspected")
    assert (document["limit"], document["violatedPolicies"]) == ("guard.buyer_cards", ["day"])
    assert 86_000 < int(answer.headers["retry-after"]) <= 86_400
    assert await sql.count("card") == 4
    assert await sql.alarms() == {"card_testing_slowed", "card_testing_stopped"}


async def test_a_step_is_told_once(vault: Installation, sql: Sql, waits: list[float]) -> None:
    await grant(sql, guard_buyer_cards={"day": 2})
    for place in range(5):
        await show(vault.api, place)
    assert waits == [5.0]
    rows = await sql.rows("select code, object_id, details from vault.alarm order by code")
    assert [row["code"] for row in rows] == ["card_testing_slowed", "card_testing_stopped"]
    assert "tester" not in str(rows)
    events = await sql.events("alarm.raised")
    assert [(event["reason"], event["actor"]["id"]) for event in events] == [
        ("card_testing_slowed", vault.tenants[0].client_id),
        ("card_testing_stopped", vault.tenants[0].client_id),
    ]
    assert all(event["request"] for event in events)


@pytest.mark.usefixtures("waits")
async def test_a_card_that_is_known_of_the_buyer_goes_on_working(vault: Installation, sql: Sql) -> None:
    await grant(sql, guard_buyer_cards={"day": 2})
    assert [(await show(vault.api, place)).status_code for place in (0, 1, 2, 0, 1)] == [201, 201, 429, 200, 200]


async def test_other_buyers_are_not_held_up(vault: Installation, sql: Sql, waits: list[float]) -> None:
    await grant(sql, guard_buyer_cards={"day": 1})
    assert [(await show(vault.api, place)).status_code for place in range(2)] == [201, 429]
    assert (await show(vault.api, 1, "somebody")).status_code == 201
    assert waits == []


async def test_processes_count_together(
    vault: Installation, sql: Sql, blueprint: Blueprint, onboarded_url: str, waits: list[float]
) -> None:
    await grant(sql, guard_buyer_cards={"day": 6})
    async with process(blueprint, onboarded_url) as other:
        assert (await show(vault.api, 0)).status_code == 201
        assert (await show(other, 1)).status_code == 201
        await seen(sql, 4)
        answers = [(await show(vault.api, place)).status_code for place in range(2, 7)]
    assert answers == [201, 201, 201, 201, 429]
    assert len(waits) == 3


async def test_many_cards_from_an_address_are_stopped_whoever_the_buyer_is(
    vault: Installation, sql: Sql, waits: list[float]
) -> None:
    await grant(sql, guard_address_cards={"day": 2})
    for place in range(2):
        body = payment(buyer=f"buyer-{place}", card=card(number(place), cvv=CVV_CANARY), env={"clientIp": ADDRESS})
        await paid(vault, body)
    assert waits == [5.0]
    third = card(number(2), cvv=CVV_CANARY)
    answer = await vault.api.post("/v1/payments", json=payment(env={"clientIp": ADDRESS}, card=third))
    assert problem(answer, 429, "card_testing_suspected")["limit"] == "guard.address_cards"
    await paid(vault, payment(env={"clientIp": "203.0.113.10"}, card=third))


@pytest.mark.usefixtures("waits")
async def test_declines_of_a_buyer_stop_payments_of_that_buyer(vault: Installation, sql: Sql) -> None:
    await grant(sql, guard_buyer_declines={"hour": 2})
    first = payment(buyer="unlucky")
    await vault.arm(first["paymentRequestId"], "DECLINE:DO_NOT_HONOR")
    for _ in range(3):
        assert (await vault.api.post("/v1/payments", json=first)).status_code == 201
    assert (await declined(vault, buyer="unlucky")).status_code == 201
    answer = await declined(vault, buyer="unlucky")
    assert problem(answer, 429, "card_testing_suspected")["limit"] == "guard.buyer_declines"
    assert 0 < int(answer.headers["retry-after"]) <= 3_720
    await paid(vault, payment(buyer="lucky"))


@pytest.mark.usefixtures("waits")
async def test_declines_count_for_address_and_client_too(vault: Installation, sql: Sql) -> None:
    await grant(sql, guard_address_declines={"hour": 1}, guard_client_declines={"hour": 2})
    assert (await declined(vault, buyer=None, env={"clientIp": ADDRESS})).status_code == 201
    answer = await declined(vault, buyer=None, env={"clientIp": ADDRESS})
    assert problem(answer, 429, "card_testing_suspected")["limit"] == "guard.address_declines"
    assert (await declined(vault)).status_code == 201
    assert problem(await declined(vault), 429, "card_testing_suspected")["limit"] == "guard.client_declines"
    assert await sql.alarms() == {"card_testing_stopped"}


@pytest.mark.usefixtures("waits")
async def test_a_decline_of_a_stored_card_counts_for_its_buyer(vault: Installation, sql: Sql) -> None:
    await grant(sql, guard_buyer_declines={"hour": 1})
    card_id = (await stored(vault, store(buyer="holder")))["cardId"]
    body = card_on_file()
    await vault.arm(body["paymentRequestId"], "DECLINE:LOST_CARD")
    assert (await vault.api.post(f"/v1/cards/{card_id}/payments", json=body)).status_code == 201
    problem(await vault.api.post("/v1/payments", json=payment(buyer="holder")), 429, "card_testing_suspected")


async def test_a_decline_that_cannot_be_counted_is_answered_all_the_same(
    vault: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: Any) -> None:
        raise StatementFailed("XX000", None)

    monkeypatch.setattr(limits, "take_each", refuse)
    assert (await declined(vault)).json()["paymentStatus"] == "FAIL"


async def test_what_nobody_but_the_merchant_can_mend_is_no_sign(vault: Installation, sql: Sql) -> None:
    await grant(sql, guard_buyer_declines={"hour": 1})
    body = payment()
    await vault.arm(body["paymentRequestId"], "DECLINE:INVALID_CONTRACT")
    await paid(vault, body)
    await paid(vault, payment())


async def test_distinct_cards_of_a_client_are_counted_once_each(
    vault: Installation, sql: Sql, blueprint: Blueprint, onboarded_url: str
) -> None:
    """New ids of a known card are no new cards, in whatever process."""
    await grant(sql, cards_distinct={"day": 2})
    first = (await show(vault.api, 0, "a")).json()["cardId"]
    assert (await show(vault.api, 0, "b")).status_code == 201
    assert (await vault.api.delete(f"/v1/cards/{first}")).status_code == 204
    assert (await show(vault.api, 0, "a")).json()["cardId"] != first
    await seen(sql, 3)
    async with process(blueprint, onboarded_url) as other:
        assert (await show(other, 1, "c")).status_code == 201
        assert problem(await show(other, 2, "d"), 429, "rate_limited")["limit"] == "cards.distinct"
        assert (await show(other, 0, "e")).status_code == 201
    assert (await show(vault.api, 1, "f")).status_code == 201
    assert (await show(vault.api, 2, "g")).status_code == 429
    assert (await vault.api.get("/v1/buyers/g/cards")).status_code == 200


async def test_a_card_that_another_process_has_seen_costs_nothing_in_the_end(
    vault: Installation, sql: Sql, blueprint: Blueprint, onboarded_url: str
) -> None:
    await grant(sql, cards_distinct={"day": 3})
    assert (await show(vault.api, 0, "a")).status_code == 201
    async with process(blueprint, onboarded_url) as other:
        assert (await show(other, 0, "b")).status_code == 201
        await seen(sql, 3)
        assert [(await show(other, place, "c")).status_code for place in (1, 2)] == [201, 201]


async def test_a_budget_that_is_used_up_refuses_what_nobody_can_say_is_known(vault: Installation, sql: Sql) -> None:
    await grant(sql, cards_distinct={"day": 1})
    assert (await show(vault.api, 0, "a")).status_code == 201
    await seen(sql, 2)
    await sql.connection.execute("alter table vault.card_sighting rename to gone")
    assert (await show(vault.api, 1, "b")).status_code == 429
    await sql.connection.execute("alter table vault.gone rename to card_sighting")
    assert (await show(vault.api, 0, "b")).status_code == 201


async def test_a_session_with_a_typed_card_is_looked_at_too(vault: Installation, sql: Sql) -> None:
    await grant(sql, cards_distinct={"day": 1})
    assert (await show(vault.api, 0)).status_code == 201
    body = {**payment(), "card": card(number(1), cvv=CVV_CANARY)}
    problem(await vault.api.post("/v1/payment-sessions", json=body), 429, "rate_limited")


async def test_too_many_waiting_requests_are_sent_away(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_testing, "_WAITING", 0)
    await grant(sql, guard_buyer_cards={"day": 4})
    before = _counted()
    answers = [await show(vault.api, place) for place in range(3)]
    assert [answer.status_code for answer in answers] == [201, 201, 429]
    assert answers[2].headers["retry-after"] == "5"
    slowed, stopped = _counted()
    assert (slowed, stopped) == (before[0], before[1] + 1)


def _counted() -> tuple[float, float]:
    """Give how many requests were slowed and how many stopped."""
    slowed, stopped = (
        metrics.OWN.get_sample_value("cardvault_card_testing_total", {"action": action}) or 0.0
        for action in ("slowed", "stopped")
    )
    return slowed, stopped


@pytest.mark.usefixtures("waits")
async def test_nobodys_name_in_a_count_can_look_like_a_card_number(vault: Installation, sql: Sql) -> None:
    await paid(vault, payment(buyer="somebody", card=card(number(0), cvv=CVV_CANARY), env={"clientIp": ADDRESS}))
    await seen(sql, 3)
    subjects = [row["subject"] for row in await sql.rows("select subject from vault.card_sighting")]
    assert {subject.partition("_")[0] for subject in subjects} == {"buyer", "address", "cli"}
    assert all(re.fullmatch(r"(buyer|address)_[a-p]{30}|cli_[a-z2-7]{26}", subject) for subject in subjects)


async def test_without_its_counters_the_guard_lets_nothing_pass(vault: Installation, sql: Sql) -> None:
    """T-50."""
    assert (await show(vault.api, 0)).status_code == 201
    await seen(sql, 2)
    await sql.connection.execute("alter table vault.card_sighting rename to gone")
    problem(await show(vault.api, 1), 503, "limits_unavailable")
    await sql.connection.execute("alter table vault.gone rename to card_sighting")
    assert (await show(vault.api, 1)).status_code == 201


async def test_a_print_of_a_key_that_is_retired_meanwhile_stores_nothing(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard's fingerprints serve the storing, unless their key is no longer the active one by then."""
    admit, fresh = vault.services.card_guard.admit, list[bytes]()

    async def admitted(*asked: Any) -> Any:
        prints = await admit(*asked)
        fresh.append(await rotate(vault, sql, Purpose.FINGERPRINT))
        return prints

    monkeypatch.setattr(vault.services.card_guard, "admit", admitted)
    assert (await show(vault.api, 0)).status_code == 201
    assert await sql.value("select fingerprint_key_id from vault.card") == fresh[0]
