"""The demo's steps: each does something through the public API, checks what came of it, and gives what to show.

They refuse to know how they are shown. Invariant: a step either holds or raises `StepFailed`; nothing in what it gives
could be used to pay.
"""

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ops.demo_story import Story, expect
from ops.leaks import files_below, size_of
from ops.local_http import Call, call
from vault.db import Database

_DECLINED: Final = "USER_BALANCE_NOT_ENOUGH"
_MEGABYTE: Final = 1_000_000
_EVENTS: Final = """
select body from (
    select 0 as queue, place, convert_from(entry, 'UTF8')::jsonb -> 'event' as body from vault.audit_leaf
    union all
    select 1, row_number() over (order by xid, ord), convert_from(body, 'UTF8')::jsonb from vault.audit_pending
) as events order by queue, place
"""
_FORMS: Final = "plain and grouped digits, base64, hexadecimal, integers and more"
_REFUSALS: Final = frozenset({400, 403, 404, 405, 415, 422})


@dataclass(frozen=True, slots=True)
class Shown:
    """What a step has to show: a sentence, and rows of a small table with its heading."""

    sentence: str
    heading: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the story."""

    title: str
    act: Callable[[Story], Shown]


def first_payment(story: Story) -> Shown:
    """Pay with a new card and 3DS, and have the gateway keep the card."""
    card = story.first.as_typed(with_cvv=True)
    payment = story.pay("first", "/v1/payments", "4990", card=card, storeCard="GATEWAY", is3DSAuthentication=True)
    expect(payment["paymentStatus"] == "PROCESSING" and payment["nextAction"], "the bank asks for 3DS")
    expect(payment["card"] is None, "there is no card before the payment succeeded")
    url = payment["nextAction"]["url"].removeprefix(story.state["sandboxUrl"])
    challenge = call(story.state["sandboxUrl"], Call("POST", url, form={"outcome": "success"}))
    expect(challenge.status in {302, 303}, "the bank sends the buyer back to the shop")
    payment = story.settled("first")
    expect(payment["paymentStatus"] == "SUCCESS" and payment["card"], "the payment succeeds and stores the card")
    story.cards["first"] = payment["card"]
    return Shown(
        "The buyer passed the bank's challenge; the card was stored because the payment succeeded.",
        ("payment", "3DS", "stored as"),
        ((_outcome(payment), "challenged, passed", f"{payment['card']['cardId']} ({payment['card']['storage']})"),),
    )


def checkout_view(story: Story) -> Shown:
    """Show the card as a checkout does."""
    cards = story.ask("GET", f"/v1/buyers/{story.buyer}/cards").json["cards"]
    expect([card["cardId"] for card in cards] == [story.cards["first"]["cardId"]], "the buyer has the one card")
    expect(cards[0]["lastFour"] == story.first.last_four, "its last four digits are the card's")
    expect(cards[0]["maskedCardNo"] == "*" * 12 + story.first.last_four, "the rest is masked")
    return Shown("All that a shop can ever see of a stored card.", ("brand", "number", "expires"), (_face(cards[0]),))


def card_on_file(story: Story) -> Shown:
    """Pay with the stored card."""
    payment = story.pay("again", f"/v1/cards/{story.cards['first']['cardId']}/payments", "1250")
    payment = payment if payment["paymentStatus"] == "SUCCESS" else story.settled("again")
    expect(payment["paymentStatus"] == "SUCCESS", "the payment succeeds")
    (sent,) = story.sent("again", "pay")
    expect('"isCardOnFile": true' in sent, "the gateway hears that the card is on file")
    expect(story.first.number not in sent, "the gateway gets its own token, not the number")
    return Shown("Paid with a card id; the vault sent the gateway's token.", ("payment",), ((_outcome(payment),),))


def own_vault(story: Story) -> Shown:
    """Store a second card in the vault itself, and pay with it."""
    body = {"referenceBuyerId": story.buyer, "card": story.second.as_typed(with_cvv=False), "storage": "VAULT"}
    answer = story.ask("POST", "/v1/cards", body)
    expect(answer.status == 201, "the card is stored")  # noqa: PLR2004 - created
    card = story.cards["second"] = answer.json
    expect(
        story.ask("POST", "/v1/cards", body).json["cardId"] == card["cardId"], "storing it again finds the same card"
    )
    payment = story.pay("own", f"/v1/cards/{card['cardId']}/payments", "2300", cvv=story.second.cvv)
    payment = payment if payment["paymentStatus"] == "SUCCESS" else story.settled("own")
    expect(payment["paymentStatus"] == "SUCCESS", "the payment succeeds")
    (sent,) = story.sent("own", "pay")
    expect(story.second.number in sent, "the gateway got the number: the only place it ever goes to")
    return Shown(
        "Sealed here, opened only inside the signed request to the gateway.",
        ("brand", "number", "expires", "payment"),
        ((*_face(card), _outcome(payment)),),
    )


def decline(story: Story) -> Shown:
    """Have a payment declined."""
    story.arm("declined", f"DECLINE:{_DECLINED}")
    payment = story.pay("declined", f"/v1/cards/{story.cards['second']['cardId']}/payments", "99900")
    expect(payment["paymentStatus"] == "FAIL" and payment["declined"], "the payment fails with a reason")
    reason = payment["declined"]
    return Shown(
        "A decline says what may be tried next.",
        ("payment", "gateway's code", "category", "retry"),
        ((_outcome(payment), payment["gateway"]["resultCode"], reason["category"], reason["retry"]),),
    )


def lost_answer(story: Story) -> Shown:
    """Lose the gateway's answer after the charge, and find the payment again."""
    story.arm("lost", "LOST_ANSWER+NO_NOTIFICATION")
    payment = story.pay("lost", f"/v1/cards/{story.cards['second']['cardId']}/payments", "7700")
    expect(payment["paymentStatus"] == "UNKNOWN", "without an answer the outcome is not known, and said to be so")
    payment = story.settled("lost")
    expect(payment["paymentStatus"] == "SUCCESS", "an inquiry finds that the card was charged")
    ledger = story.ledger("lost")
    expect([row["status"] for row in ledger] == ["AUTHORISED"], "the gateway's ledger has one authorisation")
    expect(len(story.sent("lost", "pay")) == 1, "the payment was sent once")
    inquiries = len(story.sent("lost", "inquiryPayment"))
    return Shown(
        "The connection broke after the charge; nothing was sent twice.",
        ("answer", "inquiries", "outcome", "authorisations in the ledger"),
        (("UNKNOWN", str(inquiries), _outcome(payment), str(len(ledger))),),
    )


def subscription(story: Story) -> Shown:
    """Record the buyer's consent, charge twice without the buyer, and be refused twice."""
    cap = {"currency": "EUR", "value": "1500"}
    consent = {"text": "Charge me each month", "acceptedAt": "2026-01-31T12:00:00Z", "clientIp": "203.0.113.9"}
    agreed = {
        "cardId": story.cards["first"]["cardId"],
        "initialPaymentId": story.payments["first"]["paymentId"],
        "recurringType": "SCHEDULED",
        "maxAmount": cap,
        "consent": consent,
    }
    answer = story.ask("POST", "/v1/mandates", agreed)
    expect(answer.status == 201, "the consent is recorded")  # noqa: PLR2004 - created
    mandate = answer.json
    expect(mandate["evidence"]["kind"] == "THREE_DS", "it rests on the challenge that the buyer passed")
    path, rows = f"/v1/mandates/{mandate['mandateId']}", []
    for name in ("month-1", "month-2"):
        payment = story.pay(name, f"{path}/payments", cap["value"])
        payment = payment if payment["paymentStatus"] == "SUCCESS" else story.settled(name)
        expect(payment["paymentStatus"] == "SUCCESS", "the charge succeeds")
        (sent,) = story.sent(name, "pay")
        expect(mandate["networkTransactionId"] in sent, "it refers to the buyer's first payment")
        rows.append((name, _outcome(payment)))
    rows.append(("above the limit", story.refused("month-3", f"{path}/payments", "1501")))
    expect(rows[-1][1] == "mandate_amount_exceeded", "nobody is charged more than was agreed to")
    story.ask("DELETE", path)
    rows.append(("after the end", story.refused("month-4", f"{path}/payments", cap["value"])))
    expect(rows[-1][1] == "mandate_ended", "nobody is charged after the end")
    return Shown("Charged without the buyer, within what the buyer agreed to.", ("charge", "outcome"), tuple(rows))


def no_way_back(story: Story) -> Shown:
    """Try to get a card number back, as somebody with a stolen API key would."""
    card = f"/v1/cards/{story.cards['second']['cardId']}"
    attempts: list[tuple[str, str, Any]] = [
        ("GET", f"{card}?reveal=true", None),
        ("GET", f"{card}?fields=cardNo&expand=pan", None),
        ("GET", f"{card}/pan", None),
        ("GET", f"{card}/reveal", None),
        ("POST", f"{card}/detokenize", {}),
        ("POST", card, {"cardNo": True}),
        ("PATCH", card, {"cardNo": story.first.last_four}),
        ("PATCH", card, {"maskedCardNo": None}),
        ("GET", "/v1/export/cards", None),
    ]
    rows = []
    for method, path, body in attempts:
        answer = story.ask(method, path, body)
        # A view that ignores what it was asked is no better an answer than a refusal: it holds the masked number.
        harmless = answer.status in _REFUSALS or story.cards["second"]["maskedCardNo"] in answer.text
        expect(harmless, f"{method} {path.partition('card_')[0]} gives nothing")
        rows.append((f"{method} {path.replace(card, '/v1/cards/{id}')}", str(answer.status), "no digits"))
    return Shown("No route, role or flag gives a card number back.", ("attempt", "status", "card number"), tuple(rows))


def audit_events(story: Story) -> Shown:
    """Find an audit event for everything that was done."""
    events = asyncio.run(_events(story))
    types = Counter(event["type"] for event in events)
    about = {each for event in events for each in event["objects"]}
    ids = [payment["paymentId"] for payment in story.payments.values()]
    ids += [card["cardId"] for card in story.cards.values()]
    expect(about.issuperset(ids), "every payment and card has its events")
    expect(types["payment.created"] == len(story.payments), "each payment was recorded before it was sent")
    expect(types["card.stored"] == len(story.cards), "each stored card was recorded")
    expect(not story.canaries.forms_in(json.dumps(events)), "no event holds card data")
    return Shown(
        f"{len(events)} events, each written in the transaction of its change.",
        ("event", "times"),
        tuple((name, str(count)) for name, count in sorted(types.items())),
    )


async def _events(story: Story) -> list[dict[str, Any]]:
    database = Database(story.state["databaseUrl"], role=None, pool_size=1)
    try:
        async with database.session() as session:
            rows = await session.rows(_EVENTS)
            await session.rows("checkpoint")
    finally:
        await database.close()
    return [row["body"] for row in rows]


def canary_scan(story: Story) -> Shown:
    """Search everything that was written for the two card numbers and their codes."""
    folder = story.playground.folder
    with tempfile.TemporaryDirectory() as planted:
        Path(planted, "planted.log").write_text(f"card {story.second.number}")
        expect(story.canaries.leaks_in_folder(Path(planted), text=False), "the search finds what is planted")
    data = folder.postgres / "data"
    log = data / "pg_wal"
    places: list[tuple[str, list[Path], bool]] = [
        ("database files", [path for path in files_below(data) if log not in path.parents], False),
        ("write-ahead log", files_below(log), False),
        ("logs of all processes", files_below(folder.logs), True),
        ("everything else", _own_files(story), True),
    ]
    rows = []
    for name, files, text in places:
        leaks = [leak for path in files for leak in story.canaries.leaks_in_file(path, text=text)]
        expect(not leaks, f"no card data in the {name}; found in {', '.join(leak.path.name for leak in leaks)}")
        size = sum(size_of(path) for path in files)
        rows.append((name, str(len(files)), f"{size / _MEGABYTE:.1f} MB", "0"))
    return Shown(
        f"Both numbers and codes, in {_FORMS}; the {story.responses} answers of the vault were searched, too.",
        ("place", "files", "size", "found"),
        tuple(rows),
    )


def _own_files(story: Story) -> list[Path]:
    folder = story.playground.folder
    return [path for path in [*folder.root.iterdir(), *files_below(folder.sandbox)] if path.is_file()]


def _outcome(payment: Mapping[str, Any]) -> str:
    amount = payment["paymentAmount"]
    return f"{amount['currency']} {int(amount['value']) / 100:.2f} {payment['paymentStatus']}"


def _face(card: Mapping[str, Any]) -> tuple[str, ...]:
    return card["cardBrand"], card["maskedCardNo"], f"{card['expiryMonth']}/{card['expiryYear']}"


STEPS: Final[tuple[Step, ...]] = (
    Step("A first payment with 3DS stores the card", first_payment),
    Step("The card as a checkout shows it", checkout_view),
    Step("Paying again with the stored card", card_on_file),
    Step("A second card, kept in our own vault and paid with", own_vault),
    Step("A decline", decline),
    Step("An answer lost after the charge, found again", lost_answer),
    Step("A subscription: charges without the buyer", subscription),
    Step("Trying to get the card number back", no_way_back),
    Step("The audit events", audit_events),
    Step("The canary scan: no card data in files, write-ahead log and logs", canary_scan),
)
