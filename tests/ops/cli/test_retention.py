"""Retention as an operator sets, sees and enforces it."""

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.ops.cli.commands import Desk
from tests.ops.cli.conftest import KeyTexts, make_merchant
from vault.retention_class import STANDARD

REASON = "Chargebacks arrive for half a year."
CLASS = {"days": 180, "from": "unused", "reason": REASON}
OPTIONS = ("--retention", "180", "--retention-from", "unused", "--retention-reason", REASON)


def _change(url: str, *statements: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url, ssl=False)
        try:
            async with connection.transaction():
                await connection.execute("set local session_replication_role = replica")
                for statement in statements:
                    await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


def _finding(desk: Desk) -> dict[str, Any]:
    result = desk.run("doctor")
    (line,) = [line for line in result.stdout.splitlines() if "retention: " in line]
    return {"level": line.split()[0], "said": line}


def test_a_merchant_has_a_class_from_the_beginning(desk: Desk, key_texts: KeyTexts) -> None:
    """RET-1."""
    standard = make_merchant(desk, key_texts, "GATEWAY_1")
    chosen = make_merchant(desk, key_texts, "GATEWAY_2", *OPTIONS)
    assert standard["retention"] == {"days": STANDARD.days, "from": "expired", "reason": STANDARD.reason}
    assert chosen["retention"] == CLASS
    listed = desk.data("retention")
    assert {each["days"] for each in listed["classes"]} == {STANDARD.days, 180}
    assert (listed["runs"], listed["oldestExpiredUnpurgedSeconds"]) == ([], None)


def test_a_change_is_a_further_class_for_cards_to_come(desk: Desk, merchant_id: str) -> None:
    changed = desk.data("merchants", "update", merchant_id, *OPTIONS)
    assert changed["retention"] == desk.data("merchants", "show", merchant_id)["retention"] == CLASS
    assert desk.data("merchants", "update", merchant_id, "--name", "Other")["retention"] == CLASS
    assert [each["version"] for each in desk.data("retention")["classes"]] == [1, 2]
    shown = desk.run("retention").stdout
    assert REASON in shown
    assert "not verified yet" in shown


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        (("--retention", "30"), "given together"),
        (("--retention-reason", REASON), "given together"),
        (("--retention-from", "unused"), "given together"),
        (("--retention", "30", "--retention-reason", "so"), "written in one line"),
        (("--retention", "9999", "--retention-reason", REASON), "0 to 3653 days"),
    ],
)
def test_a_period_without_a_reason_is_refused(
    desk: Desk, merchant_id: str, options: tuple[str, ...], mend: str
) -> None:
    """RET-1."""
    assert mend in desk.refusal("merchants", "update", merchant_id, *options)
    assert len(desk.data("retention")["classes"]) == 1


def test_a_purge_reports_what_it_did_and_the_doctor_asks_for_it(
    desk: Desk, database_url: str, merchant_id: str
) -> None:
    """RET-3."""
    _change(database_url, "update vault.retention_class set created_at = now() - interval '100 days'")
    assert (_finding(desk)["level"], "100 days" in _finding(desk)["said"]) == ("fail", True)
    report = desk.data("purge")
    assert (report["purge"]["kind"], report["verification"]["overdue"], report["tokensWaiting"]) == ("PURGE", 0, 0)
    assert _finding(desk)["level"] == "ok"
    runs = desk.data("retention")["runs"]
    assert {each["kind"] for each in runs} == {"PURGE", "VERIFY", "SCRUB"}
    _change(database_url, "update vault.retention_run set oldest_due_at = now() - interval '1 hour', overdue = 1")
    assert _finding(desk)["level"] == "warn"
    assert "past its period, not purged: 36" in desk.run("retention").stdout
    waiting = (
        "insert into vault.token_deletion (merchant_id, owner_id, sealed_in, envelope, key_id, next_at) "
        f"values ('{merchant_id}', 'card_x', 'card_secret', '', '', now())"
    )
    _change(database_url, waiting)
    result = desk.run("purge")
    assert "purge again" in result.stderr
    assert "wal_recycle = off" in result.stderr


def test_the_inventory_lists_every_column_with_what_it_holds(desk: Desk) -> None:
    """RET-4."""
    listed = {(each["table"], each["column"]): each for each in desk.data("data-inventory")}
    assert listed["card_secret", "envelope"]["holds"] == "sealed"
    assert listed["card", "last_four"] | {"encrypted": None} == {
        "table": "card",
        "column": "last_four",
        "holds": "truncated_pan",
        "encrypted": None,
    }
    assert [each["encrypted"] for each in (listed["data_key", "wrapped"], listed["card", "bin"])] == [True, False]
