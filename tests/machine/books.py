"""What must hold, always and in the end: the gateway's ledger beside the vault's database and its audit events.

It refuses to change anything. Invariant: both books are read as their keepers wrote them, past every API.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ops.sandbox.book import Book
from tests.api.shop import Sql
from tests.machine.asked import Payment, Vaulting, moves_on
from tests.machine.world import Json

KINDS = ("capture", "refund")
_OF_BUYER = "from vault.payment where buyer = $1"
_UNKNOWN = """
select count(*) from vault.payment p where buyer = $1 and (
    status not in ('SUCCESS', 'FAIL', 'CANCELLED') or cancel_requested_at is not null or store_state = 'PENDING'
    or (status = 'SUCCESS' and capture_status = 'PENDING')
    or exists (select from vault.movement m where m.payment_id = p.id and m.status in ('CREATED', 'PENDING'))
)"""
_MISCOUNTED = """
select count(*) from vault.card_attempt a join vault.payment p on (p.merchant_id, p.id) = (a.merchant_id, a.payment_id)
where p.buyer = $1 and (a.declined_at is null or p.status <> 'FAIL' or p.not_sent)"""
_AGREES: dict[str, set[str | None]] = {
    "SUCCESS": {"AUTHORISED"},
    "FAIL": {None, "DECLINED"},
    "CANCELLED": {None, "CANCELLED"},
}
_TOLD = {None, "SUCCESS", "PROCESS_FAIL", "PAYMENT_IN_PROCESS", "REQUEST_TRAFFIC_EXCEED_LIMIT"}
# The news of a capture overtook that of its payment for longer than is patient; an interval passed over an open charge.
_HARMLESS = {"notification_orphan", "payment_unresolved"}


def ledger(book: Book, payments: Mapping[str, Payment], mark: int) -> list[Json]:
    """Give the ledger's rows of an example's payments."""
    return [row.as_json() for row in book.rows[mark:] if row.payment_request_id in payments]


def check_ledger(rows: Iterable[Json], payments: Mapping[str, Payment]) -> None:
    """Check that no money moved that must not have, whatever else is known."""
    seen: set[str] = set()
    for row in rows:
        name = row["paymentRequestId"]
        payment = payments[name]
        assert name not in seen, "authorised twice"
        seen.add(name)
        assert not payment.refused, "sent although it was refused"
        taken, given = (sum(int(each["amount"]["value"]) for each in row[f"{kind}s"]) for kind in KINDS)
        assert given <= taken <= int(payment.body["paymentAmount"]["value"])
        assert row["status"] != "CANCELLED" or not taken
        if payment.body["captureMode"] == "MANUAL":
            names = [each[f"{kind}RequestId"] for kind in KINDS for each in row[f"{kind}s"]]
            assert len(names) == len(set(names)), "moved twice"
            assert set(names) <= payment.moves


async def check_states(sql: Sql, buyer: str, last: dict[str, str]) -> None:
    """Check that no payment and no vaulting went back since it was looked at last."""
    vaultings = "select request_id, status from vault.vaulting where buyer = $1"
    for row in await sql.rows(f"select request_id, status {_OF_BUYER} union all {vaultings}", buyer):
        assert moves_on(last.get(row["request_id"]), row["status"]), row
        last[row["request_id"]] = row["status"]


def check_mandate(rows: Iterable[Json], payments: Mapping[str, Payment], cap: int) -> None:
    """Check that nothing was charged outside its mandate, and not twice for one interval."""
    standing: list[tuple[str, int]] = []
    for row in rows:
        interval = payments[row["paymentRequestId"]].interval
        if interval is not None:
            assert row["amount"]["currency"] == "EUR"
            assert int(row["amount"]["value"]) <= cap
            standing += [interval] * (row["status"] == "AUTHORISED")
    assert len(standing) == len(set(standing)), "two charges stand for one interval"


async def all_known(sql: Sql, buyer: str) -> bool:
    """Tell whether nothing of a buyer is open any more."""
    vaultings = "select count(*) from vault.vaulting where buyer = $1 and status not in ('SUCCESS', 'FAIL')"
    return not await sql.value(_UNKNOWN, buyer) and not await sql.value(vaultings, buyer)


async def compare(sql: Sql, buyer: str, rows: Iterable[Json], payments: Mapping[str, Payment]) -> None:
    """Check that gateway and database tell the same story, once everything is known."""
    by_id = {row["paymentRequestId"]: row for row in rows}
    known = {row["request_id"]: row for row in await sql.rows(f"select * {_OF_BUYER}", buyer)}
    assert set(by_id) <= set(known) <= set(payments)
    for name, payment in payments.items():
        assert name in known or payment.payment_id is None, "forgotten"
        assert not (payment.refused and name in known), "kept although it was refused"
    moved = await sql.rows(
        "select m.* from vault.movement m join vault.payment p on p.id = m.payment_id where p.buyer = $1", buyer
    )
    for name, row in known.items():
        there = by_id.get(name)
        assert (there["status"] if there else None) in _AGREES[row["status"]], (row["status"], there)
        mine = [each for each in moved if each["payment_id"] == row["id"]]
        _compare_money(mine, there)
    assert await sql.alarms() <= _HARMLESS
    secrets = (
        "select count(*) from vault.payment_secret s join vault.payment p on p.id = s.payment_id where p.buyer = $1"
    )
    assert await sql.value(secrets, buyer) == 0
    assert await sql.value(_MISCOUNTED, buyer) == 0


def _compare_money(mine: list[dict[str, Any]], there: Json | None) -> None:
    refused = {each["result_code"] for each in mine} - _TOLD
    assert not refused, f"the gateway had to refuse what should not have been sent: {refused}"
    for kind in KINDS:
        done = {
            each["request_id"]: each["value"]
            for each in mine
            if (each["kind"], each["status"]) == (kind.upper(), "SUCCESS")
        }
        theirs = {
            each[f"{kind}RequestId"]: int(each["amount"]["value"]) for each in (there[f"{kind}s"] if there else [])
        }
        assert done == theirs


async def compare_vaultings(sql: Sql, buyer: str, book: Book, vaultings: Mapping[str, Vaulting]) -> None:
    """Check that a card is stored here if and only if the gateway has stored it, or nobody waits for it any more."""
    theirs = {request_id: str(each.status) for (_, request_id), each in book.vaultings.items()}
    rows = await sql.rows("select id, request_id, status, ending, card_id from vault.vaulting where buyer = $1", buyer)
    assert {row["request_id"] for row in rows} <= vaultings.keys()
    for row in rows:
        there = theirs.get(row["request_id"])
        match row["status"], row["ending"]:
            case "SUCCESS", _:
                assert (there, bool(row["card_id"])) == ("SUCCESS", True), row
            case _, None:
                assert there in {None, "FAIL"}, row
            case _, "NOT_SENT":
                assert there is None, row
    secrets = (
        "select count(*) from vault.vaulting_secret s join vault.vaulting v on v.id = s.vaulting_id where v.buyer = $1"
    )
    assert await sql.value(secrets, buyer) == 0


async def check_events(sql: Sql, mark: int, buyer: str) -> None:
    """Follow each payment, capture and refund through its events to the state it is in."""
    told: dict[str, str | None] = {}
    for event in [each for each in await sql.after(mark) if each["objects"]]:
        subject, details = event["objects"][0], event.get("details", {})
        match event["type"]:
            case "payment.created" | "capture.created" | "refund.created" | "vaulting.created":
                assert subject not in told, event
                told[subject] = "CREATED"
            case "payment.changed" | "capture.recorded" | "refund.recorded" | "vaulting.changed" if "to" in details:
                assert told.get(subject) == details["from"], event
                told[subject] = details["to"]
            case "vaulting.changed" if event["reason"] == "card_deleted":
                told |= dict.fromkeys(event["objects"], "FAIL")
    states = await sql.rows(
        f"select id, status {_OF_BUYER} union all select m.id, m.status from vault.movement m "
        "join vault.payment p on p.id = m.payment_id where p.buyer = $1 "
        "union all select id, status from vault.vaulting where buyer = $1",
        buyer,
    )
    untold = [(row["id"], row["status"], told.get(row["id"])) for row in states if told.get(row["id"]) != row["status"]]
    assert untold == []
