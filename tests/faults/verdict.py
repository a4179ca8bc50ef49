"""What must hold when everything is over: one known outcome, one authorisation, an event for each change.

It refuses to know what went wrong before. Invariant: gateway, database, audit queue and API are all asked, and have to
tell the same story.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from tests.faults.cases import Case
from tests.faults.trial import Trial
from tests.faults.waiting import until


@dataclass(frozen=True, slots=True)
class Record:
    """What is on record about a run of cases, by request id."""

    payments: dict[str, dict[str, Any]]
    ledger: dict[str, list[str]]
    sent: Counter[str]
    events: list[dict[str, Any]]
    credentials: dict[str, set[str]]


async def read(trial: Trial) -> Record:
    """Read what the database and the gateway have."""
    payments = await trial.database.fetch("select * from vault.payment")
    ledger: dict[str, list[str]] = {}
    for row in (await trial.vault.sandbox_api.get("/_sandbox/ledger")).json():
        ledger.setdefault(row["paymentRequestId"], []).append(row["status"])
    requests = (await trial.vault.sandbox_api.get("/_sandbox/requests")).json()
    events = await trial.database.fetch("select body from vault.audit_pending order by ord")
    cards = await trial.database.fetch(
        "select card_id, array_agg(kind) as kinds from vault.card_secret where kind <> 'PROFILE' group by card_id"
    )
    return Record(
        payments={row["request_id"]: dict(row) for row in payments},
        ledger=ledger,
        sent=Counter(each["body"].get("paymentRequestId") for each in requests if each["operation"] == "pay"),
        events=[orjson.loads(row["body"]) for row in events],
        credentials={row["card_id"]: set(row["kinds"]) for row in cards},
    )


async def recorded(trial: Trial, cases: Sequence[Case]) -> Record:
    """Check what is on record about cases that are over, and give it."""
    record = await read(trial)
    for case in cases:
        _one_known_outcome(case, record)
        _card_kept_on_success_alone(case, record)
    a_story_without_holes(record)
    _an_event_for_each_card(record, await _cards(trial))
    assert await trial.database.fetchval("select count(*) from vault.payment_secret") == 0
    assert not await _alarms(trial, record)
    return record


async def settled(trial: Trial, cases: Sequence[Case]) -> Record:
    """Check everything that must hold for cases that are over: what is on record, what is shown, what repeats do."""
    record = await recorded(trial, cases)
    await asyncio.gather(*(_shown_and_replayed(trial, case, record) for case in cases))
    after = await read(trial)
    assert after.ledger == record.ledger
    assert after.sent == record.sent
    await until(trial.nobody_waits_in_a_transaction)
    return record


async def _cards(trial: Trial) -> dict[str, str]:
    return {row["id"]: row["status"] for row in await trial.database.fetch("select id, status from vault.card")}


async def _alarms(trial: Trial, record: Record) -> list[dict[str, Any]]:
    """Give the alarms; the news of a capture may overtake the news of its payment, and is told again by an inquiry."""
    alarms = [dict(row) for row in await trial.database.fetch("select code, object_id, details from vault.alarm")]
    known = {row["gateway_payment_id"] for row in record.payments.values()}
    return [
        alarm
        for alarm in alarms
        if alarm["code"] != "notification_orphan" or alarm["object_id"].partition(":")[2] not in known
    ]


def _one_known_outcome(case: Case, record: Record) -> None:
    status, rows = record.payments[case.request_id]["status"], record.ledger.get(case.request_id, [])
    sent = record.sent[case.request_id]
    assert sent <= 1, case
    assert status in case.outcomes(sent=bool(sent)), (case, status, rows)
    assert rows.count("AUTHORISED") == (status == "SUCCESS"), (case, status, rows)
    assert len(rows) <= 1, (case, rows)
    assert record.payments[case.request_id]["not_sent"] <= (status == "FAIL"), case


def _card_kept_on_success_alone(case: Case, record: Record) -> None:
    payment = record.payments[case.request_id]
    if not case.flow.stores:
        assert payment["store_state"] == "NONE", case
    elif payment["status"] == "SUCCESS":
        assert payment["store_state"] == "STORED", case
        assert record.credentials[payment["card_id"]] == case.kept, case
    else:
        assert payment["store_state"] == "DROPPED", case
        assert payment["card_id"] is None, case


def a_story_without_holes(record: Record) -> None:
    """Follow each payment through its events, from its creation to the state it is in."""
    told: dict[str, str] = {}
    for event in record.events:
        if not event["type"].startswith("payment."):
            continue
        payment_id = event["objects"][0]
        match event["type"]:
            case "payment.created":
                assert payment_id not in told, event
                told[payment_id] = "CREATED"
            case "payment.changed":
                assert told[payment_id] == event["details"]["from"], event
                told[payment_id] = event["details"]["to"]
    assert told == {row["id"]: row["status"] for row in record.payments.values()}


def _an_event_for_each_card(record: Record, cards: dict[str, str]) -> None:
    named = Counter((event["type"], event["objects"][0]) for event in record.events if event["objects"])
    stored = {card_id for kind, card_id in named if kind == "card.stored"}
    disabled = {card_id for kind, card_id in named if kind == "card.disabled"}
    assert stored == set(cards)
    assert all(named["card.stored", card_id] == 1 for card_id in cards)
    assert disabled == {card_id for card_id, status in cards.items() if status == "DISABLED"}


async def _shown_and_replayed(trial: Trial, case: Case, record: Record) -> None:
    """Ask the server that was never stopped."""
    payment = record.payments[case.request_id]
    shown = await trial.ask("GET", f"/v1/payments/{payment['id']}")
    assert shown.json()["paymentStatus"] == payment["status"], case
    again = await trial.insist(case)
    assert again.status_code == HTTPStatus.CREATED, (case, again.text)
    assert again.headers["Idempotent-Replayed"] == "true", case
    assert again.json()["paymentId"] == payment["id"], case
    assert again.json()["paymentStatus"] == payment["status"], case


async def untouched(trial: Trial, cases: Sequence[Case]) -> None:
    """Check that nothing at all is on record about cases."""
    record = await read(trial)
    ids = {case.request_id for case in cases}
    assert not ids & record.payments.keys()
    assert not ids & record.ledger.keys()
    assert not ids & record.sent.keys()
    assert sum(event["type"] == "payment.created" for event in record.events) == len(record.payments)
