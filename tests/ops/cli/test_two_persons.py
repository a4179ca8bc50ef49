"""What no operator does alone: every operation of the policy that comes with the product, and a shredding as a whole.

KEY-4, KEY-11, T-32.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ops import auditing
from tests.api.sequencers import Log
from tests.api.shop import Sql
from tests.database import Databases
from tests.ops.cli.commands import Desk
from tests.ops.cli.conftest import KeyTexts, make_merchant
from tests.ops.cli.persons import creation, enrolled, seat, waits
from tests.ops.cli.test_audit import Office, made
from vault.approval import Operation
from vault.approval_policy import DEFAULT

pytestmark = pytest.mark.usefixtures("quick_stretching")
_TYPED = "a passphrase of a custodian's\n" * 6
_OWN = {"approval", "approval_request", "audit_pending"}


@dataclass(frozen=True, slots=True)
class Two:
    """An installation with a log and a merchant, and two operators under the policy that comes with the product."""

    office: Office
    merchant_id: str
    free: Desk
    alice: Desk
    bob: Desk

    @property
    def new_seal(self) -> str:
        return f"local:{self.free.folder / 'new.json'}"

    def rows(self) -> dict[str, Any]:
        """Sum up the rows of every table but those that asking itself writes."""
        found: dict[str, Any] = {}

        async def work(log: Log) -> None:
            found.update({name: await _digest(log.sql, name) for name in await _tables(log.sql) if name not in _OWN})

        self.office.with_log(work)
        return found


async def _tables(sql: Sql) -> list[str]:
    return [row["tablename"] for row in await sql.rows("select tablename from pg_tables where schemaname = 'vault'")]


async def _digest(sql: Sql, table: str) -> str:
    return str(await sql.value(f"select coalesce(sum(hashtextextended(t::text, 0)), 0)::text from vault.{table} t"))


@pytest.fixture
def two(
    databases: Databases,
    migrated_template: str,
    tmp_path: Path,
    key_texts: KeyTexts,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Two]:
    monkeypatch.setattr(auditing, "_PATIENCE", 0.0)
    for office in made(databases, migrated_template, tmp_path):
        merchant_id = make_merchant(office.desk, key_texts, "GATEWAY_1")["merchantId"]
        seals = f"{office.desk.env['CARDVAULT_SEAL']} local:{tmp_path / 'new.json'}"
        free = replace(office.desk, env={**office.desk.env, "CARDVAULT_SEAL": seals})
        guarded = replace(free, env={**free.env, "CARDVAULT_APPROVAL_POLICY_FILE": ""})
        first = ("clients", "create", "--merchant", merchant_id, "--name", "first", "--scope", "cards:read")
        office.desk.data(*first)
        yield Two(office, merchant_id, free, enrolled(guarded, "alice"), enrolled(guarded, "bob"))


def _commands(two: Two) -> dict[Operation, tuple[str, ...]]:
    """Give a command for each operation that the default policy names; one that is missing here fails the test."""
    retired = {each["purpose"]: each["retiredKeyId"] for each in two.free.data("keys", "rotate", "data")}
    seal = two.office.desk.data("keys", "seals", "verify")[0]["seal"]
    custodians = ("--threshold", "2", "--custodian", "dora", "--custodian", "emil", "--output", str(two.free.folder))
    seat(two.alice, "carol")
    return {
        Operation.CLIENT_WIDEN: (
            *("clients", "create", "--merchant", two.merchant_id, "--name", "app"),
            *("--scope", "cards:read", "--scope", "audit:read"),
        ),
        Operation.OPERATOR_CREATE: creation(two.alice, "carol"),
        Operation.KEY_DESTROY: ("keys", "destroy", retired["card"]),
        Operation.SHRED: ("keys", "shred", "--seal", two.new_seal),
        Operation.SEAL_ADD: ("keys", "seals", "add", "--create", two.new_seal),
        Operation.SEAL_REMOVE: ("keys", "seals", "remove", seal),
        Operation.SHARES_CREATE: ("keys", "shares", "create", *custodians),
        Operation.AUDIT_EPOCH: ("audit", "new-epoch", "--reason", "restored"),
        Operation.AUDIT_PRUNE: ("audit", "prune", "--exported", str(two.office.bundle)),
    }


def test_nothing_that_destroys_or_widens_is_done_by_one(two: Two) -> None:
    commands = _commands(two)
    assert commands.keys() == {operation for operation, needed in DEFAULT.approvals.items() if needed}
    before = two.rows()
    for operation, command in commands.items():
        asked = two.alice.run(*command, given=_TYPED)
        assert asked.exit_code == 3, (operation, asked.output)
        [request] = [line.split()[-1] for line in asked.stderr.splitlines() if "approvals approve" in line]
        assert two.bob.data("approvals", "show", request)["operation"] == operation
        assert "nobody approves what the same person asked for" in two.alice.refusal("approvals", "approve", request)
        assert two.alice.run(*command, given=_TYPED).exit_code == 3, operation
    assert two.rows() == before
    assert not (two.free.folder / "new.json").exists()


def test_a_shredding_takes_two_from_its_beginning_to_its_end(two: Two) -> None:
    """What was approved is this plan alone, by this requester, once; openers are destroyed with an approval of its own."""
    receipt = two.free.folder / "receipt"
    begin = ("keys", "shred", "--seal", two.new_seal, "--receipt", str(receipt))
    request = waits(two.alice, *begin)
    assert "nobody approves" in two.alice.refusal("approvals", "approve", request)
    two.bob.data("approvals", "approve", request)
    assert waits(two.alice, *begin, "--destroy") != request
    assert waits(two.bob, *begin) != request
    assert not receipt.exists()
    begun = two.alice.data(*begin)
    assert (begun["complete"], len(begun["left"])) == (False, 1)
    assert waits(two.alice, *begin) != request
    destroy = ("keys", "shred", "--destroy", "--receipt", str(receipt))
    denied = waits(two.alice, *destroy)
    two.bob.data("approvals", "approve", denied)
    two.bob.data("approvals", "deny", denied)
    again = waits(two.alice, *destroy)
    assert again != denied
    assert (two.free.folder / "keystore.json").exists()
    two.bob.data("approvals", "approve", again)
    done = two.alice.data(*destroy)
    assert (done["complete"], done["left"]) == (True, [])
    assert not (two.free.folder / "keystore.json").exists()


def test_a_receipt_is_verified_after_the_logs_key_was_replaced(two: Two) -> None:
    receipt = two.free.folder / "receipt"
    two.free.data("keys", "shred", "--seal", two.new_seal, "--destroy", "--receipt", str(receipt))
    pinned = two.free.run("keys", "receipt", "key").stdout.strip()
    two.free.data("audit", "rotate-key")
    verify = ("keys", "receipt", "verify", str(receipt))
    assert two.free.data(*verify)["complete"] is True
    alone = Desk(two.free.folder, {})
    assert alone.data(*verify, "--key", pinned)["complete"] is True
    current = two.free.run("keys", "receipt", "key").stdout.strip()
    assert current != pinned
    assert "no known key has signed" in alone.refusal(*verify, "--key", current)
    two.free.data("keys", "shred", "--receipt", str(receipt))
    assert alone.data(*verify, "--key", current)["complete"] is True
