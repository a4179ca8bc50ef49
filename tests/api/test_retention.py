"""Retention: cards past their period are purged, what somebody needs is kept, and what is left is counted."""

import asyncio
from typing import Any

import pytest

from tests.api.shop import Sql, card_on_file, paid_on_file, problem, store, stored, until
from tests.api.subscriptions import consent, recorded
from tests.api.vaultings import keep, kept
from tests.canary import MASTERCARD_CANARY, SECOND_VISA_CANARY
from tests.installation import OPERATOR_ORIGIN, Installation
from vault import retention
from vault.audit.events import Event, EventType
from vault.db import Database
from vault.retention import Retention
from vault.retention_class import STANDARD, RetentionClass, RetentionInvalid, Starts
from vault.roles import OPERATOR
from vault.store import cards
from vault.store import retention as rows
from vault.store.retention import Place, Run, RunKind
from vault.worker import loop

pytestmark = pytest.mark.anyio
EXPIRED = "update vault.card set expiry_month = 1, expiry_year = 2020 where id = $1"
AT_ONCE = RetentionClass(0, Starts.UNUSED, "Nobody needs a card that was charged once.")


async def _purge(vault: Installation) -> tuple[Run, Run]:
    return await vault.services.retention.complete()


async def _expired(vault: Installation, sql: Sql, body: dict[str, Any] | None = None) -> str:
    card_id = str((await stored(vault, body))["cardId"])
    await sql.change(EXPIRED, card_id)
    return card_id


async def _classify(vault: Installation, database_url: str, new: RetentionClass) -> None:
    merchant = vault.tenants[0].merchant_id
    database = Database(database_url, role=OPERATOR, pool_size=1)
    async with database.transaction() as transaction:
        event = Event(EventType.RETENTION_CHANGED, OPERATOR_ORIGIN, merchant, (merchant,))
        await rows.add_class(transaction, merchant, new, event)
    await database.close()


async def test_a_card_past_its_period_is_purged_and_everybody_is_told_why(vault: Installation, sql: Sql) -> None:
    """RET-2."""
    due, stays = await _expired(vault, sql), (await stored(vault, store(SECOND_VISA_CANARY)))["cardId"]
    purged, verified = await _purge(vault)
    assert (purged.examined, purged.purged, purged.held) == (2, 1, 0)
    assert (verified.examined, verified.overdue, verified.oldest_due_at) == (1, 0, None)
    problem(await vault.api.get(f"/v1/cards/{due}"), 410, "card_deleted")
    assert (await vault.api.get(f"/v1/cards/{stays}")).json()["status"] == "ACTIVE"
    assert await sql.value("select array_agg(distinct card_id) from vault.card_secret") == [stays]
    (event,) = await sql.events("card.deleted")
    assert (event["objects"], event["actor"]["id"], event["reason"]) == ([due], "retention", "retention")
    told = await sql.value("select data from vault.event where type = 'card.deleted'")
    assert '"reason": "retention"' in told
    done, counted = await sql.events("retention.purged", "retention.verified")
    assert (done["objects"], done["details"]["purged"], counted["details"]["overdue"]) == ([purged.id], 1, 0)


async def test_a_purged_cards_token_is_deleted_at_the_gateway_too(vault: Installation, sql: Sql) -> None:
    card_id = (await kept(vault))["cardId"]
    await sql.change(EXPIRED, card_id)
    await _purge(vault)
    assert (await sql.count("card_secret"), await sql.count("token_deletion")) == (0, 1)
    await vault.work()
    assert await sql.count("token_deletion") == 0


async def test_other_ways_to_go_are_told_too(vault: Installation, sql: Sql) -> None:
    await vault.api.delete(f"/v1/cards/{(await stored(vault))['cardId']}")
    await stored(vault, store(SECOND_VISA_CANARY))
    await vault.api.delete("/v1/buyers/buyer-1")
    told = await sql.rows(
        "select data ->> 'reason' as reason from vault.event where type = 'card.deleted' order by ord"
    )
    assert [each["reason"] for each in told] == ["requested", "buyer_erased"]


async def test_a_card_keeps_the_class_under_which_it_was_stored(
    vault: Installation, sql: Sql, onboarded_url: str
) -> None:
    before = (await stored(vault))["cardId"]
    await _classify(vault, onboarded_url, AT_ONCE)
    after = (await stored(vault, store(SECOND_VISA_CANARY)))["cardId"]
    assert (await _purge(vault))[0].purged == 1
    assert (await vault.api.get(f"/v1/cards/{before}")).status_code == 200
    assert (await vault.api.get(f"/v1/cards/{after}")).status_code == 410
    async with vault.services.database.session() as session:
        listed = [each for each in await rows.classes(session) if each.merchant_id == vault.tenants[0].merchant_id]
        assert [(each.version, each.retention, each.cards) for each in listed] == [(1, STANDARD, 1), (2, AT_ONCE, 0)]
        assert await rows.current_class(session, vault.tenants[0].merchant_id) == AT_ONCE


async def test_the_period_of_an_unused_card_begins_with_its_last_charge(
    vault: Installation, sql: Sql, onboarded_url: str
) -> None:
    await _classify(vault, onboarded_url, RetentionClass(30, Starts.UNUSED, "Guests come back within a month."))
    unused = (await stored(vault))["cardId"]
    used = (await stored(vault, store(SECOND_VISA_CANARY)))["cardId"]
    await paid_on_file(vault, used)
    await sql.change("update vault.card set created_at = now() - interval '31 days'")
    await _purge(vault)
    assert [(await vault.api.get(f"/v1/cards/{each}")).status_code for each in (unused, used)] == [410, 200]
    await sql.change("update vault.payment set created_at = now() - interval '31 days'")
    await _purge(vault)
    assert (await vault.api.get(f"/v1/cards/{used}")).status_code == 410


async def test_what_somebody_still_needs_is_kept_and_counted(vault: Installation, sql: Sql) -> None:
    """A mandate is a reason to keep a card; an outcome that is not known yet may need it."""
    subscribed = (await stored(vault))["cardId"]
    mandate = await recorded(vault, consent(cardId=subscribed))
    open_payment = (await stored(vault, store(SECOND_VISA_CANARY)))["cardId"]
    body, keeping = card_on_file(), keep(MASTERCARD_CANARY)
    await vault.arm(body["paymentRequestId"], "LOST_ANSWER+NO_NOTIFICATION")
    await paid_on_file(vault, open_payment, body, status=202)
    await vault.arm(keeping["vaultingRequestId"], "NO_NOTIFICATION")
    vaulting = (await kept(vault, keeping))["cardId"]
    await sql.change("update vault.vaulting set status = 'PROCESSING'")
    for each in (subscribed, open_payment, vaulting):
        await sql.change(EXPIRED, each)
    purged, verified = await _purge(vault)
    assert (purged.purged, purged.held, verified.held, verified.overdue) == (0, 3, 3, 0)
    await vault.api.delete(f"/v1/mandates/{mandate['mandateId']}")
    await sql.change("update vault.payment set status = 'FAIL'")
    await sql.change("update vault.vaulting set status = 'SUCCESS'")
    assert (await _purge(vault))[0].purged == 3


async def test_a_mandate_whose_window_is_over_keeps_no_card(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    await recorded(vault, consent(cardId=card_id))
    await sql.change("update vault.mandate set valid_until = now() - interval '1 day'")
    await sql.change(EXPIRED, card_id)
    assert (await _purge(vault))[0].purged == 1


async def test_a_merchant_without_a_class_can_store_nothing(vault: Installation, sql: Sql) -> None:
    """RET-1."""
    await sql.change("delete from vault.retention_class")
    assert (await vault.api.post("/v1/cards", json=store())).status_code == 500
    assert await sql.count("card") == 0


@pytest.mark.parametrize(
    ("days", "reason"),
    [
        (-1, STANDARD.reason),
        (4000, STANDARD.reason),
        (1, ""),
        (1, "   short  "),
        (1, "x" * 501),
        (1, "line one\nline two"),
    ],
)
def test_a_class_without_a_reason_or_a_sensible_period_cannot_be(days: int, reason: str) -> None:
    """RET-1."""
    with pytest.raises(RetentionInvalid):
        RetentionClass(days, Starts.EXPIRED, reason)


def test_a_reason_holds_no_card_number() -> None:
    with pytest.raises(RetentionInvalid, match="card number"):
        RetentionClass(1, Starts.EXPIRED, f"because of {MASTERCARD_CANARY}")


async def test_the_worker_purges_and_verifies_in_turns(vault: Installation, sql: Sql) -> None:
    """RET-3."""
    await _expired(vault, sql)
    stop = asyncio.Event()
    _, keeping = loop.card_life(vault.services.expiry_sweep, vault.services.retention, interval=0.05)
    working = asyncio.create_task(loop.run((keeping,), stop))

    async def verified() -> bool:
        return bool(await sql.events("retention.verified"))

    await until(verified)
    stop.set()
    await working
    assert await vault.services.retention.once() is False
    runs = await sql.rows("select kind from vault.retention_run order by started_at")
    assert [each["kind"] for each in runs] == ["PURGE", "VERIFY"]
    await sql.change("update vault.retention_run set started_at = started_at - interval '2 days'")
    assert await vault.services.retention.once() is True
    assert await sql.value("select count(*) from vault.retention_run where finished_at is null and kind = 'PURGE'") == 1


async def test_a_run_goes_on_where_the_last_worker_stopped(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_BATCH", 1)
    for number, buyer in enumerate(("a", "b", "c")):
        await _expired(vault, sql, store(buyer=buyer))
        assert number < 3
    keeper = vault.services.retention
    for _ in range(3):
        assert await keeper.once()
    assert await sql.value("select (examined, purged)::text from vault.retention_run") == "(2,2)"
    another = Retention(vault.services.database, interval=86_400.0)
    purged, _ = await another.complete()
    assert (purged.examined, purged.purged) == (3, 3)


async def test_a_run_is_in_one_workers_hands(vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    await _expired(vault, sql)
    database, looked, latest = vault.services.database, asyncio.Event(), rows.latest

    async def seen(*arguments: Any) -> Run | None:
        run = await latest(*arguments)
        looked.set()
        return run

    async with database.session() as session:
        await rows.begin(session, RunKind.PURGE)
    async with database.transaction() as transaction:
        assert await rows.claim(transaction, RunKind.PURGE) is not None
        assert await vault.services.retention.once() is False
        monkeypatch.setattr(rows, "latest", seen)
        finishing = asyncio.create_task(vault.services.retention.complete())
        await looked.wait()
        assert not finishing.done()
    assert (await finishing)[0].purged == 1


async def test_what_is_overdue_is_counted_and_alarmed(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RET-3."""

    async def nothing(*_: Any) -> bool:
        return False

    await _expired(vault, sql)
    monkeypatch.setattr(rows, "still_due", nothing)
    purged, verified = await _purge(vault)
    assert (purged.purged, verified.overdue) == (0, 1)
    assert verified.oldest_due_at is not None
    assert await sql.alarms() == {"retention_overdue"}


async def test_what_came_due_lately_is_counted_without_an_alarm(
    vault: Installation, sql: Sql, onboarded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any) -> bool:
        return False

    await _classify(vault, onboarded_url, AT_ONCE)
    await stored(vault)
    monkeypatch.setattr(rows, "still_due", nothing)
    assert (await _purge(vault))[1].overdue == 1
    assert await sql.alarms() == set()


async def test_a_quarter_without_a_verification_is_alarmed(vault: Installation, sql: Sql) -> None:
    """RET-3."""
    await _purge(vault)
    await sql.change("update vault.retention_run set started_at = started_at - interval '93 days'")
    await _purge(vault)
    assert await sql.alarms() == {"retention_unverified"}


async def test_cards_that_go_away_before_they_are_locked_are_nobodys_purge(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted before the first look, and between that and the lock."""
    first, second = await _expired(vault, sql), await _expired(vault, sql, store(SECOND_VISA_CANARY))
    past, lock = rows.past, cards.lock_buyer

    async def late(*arguments: Any) -> Any:
        found = await past(*arguments)
        await vault.api.delete(f"/v1/cards/{first}")
        monkeypatch.setattr(cards, "lock_buyer", later)
        return found

    async def later(transaction: Any, *arguments: Any) -> Any:
        monkeypatch.setattr(cards, "lock_buyer", lock)
        await vault.api.delete(f"/v1/cards/{second}")
        return await lock(transaction, *arguments)

    monkeypatch.setattr(rows, "past", late)
    await _purge(vault)
    assert {event["reason"] for event in await sql.events("card.deleted")} == {None}


async def test_places_follow_merchants_and_cards(vault: Installation, sql: Sql) -> None:
    ids = [await _expired(vault, sql, store(buyer=each)) for each in ("a", "b")]
    merchant = vault.tenants[0].merchant_id
    async with vault.services.database.session() as session:
        assert [each.card_id for each in await rows.next_cards(session, Place(), 10)] == sorted(ids)
        assert await rows.next_cards(session, Place(merchant, max(ids)), 10) == []
