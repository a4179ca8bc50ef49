"""Writers of audit events that overlap, dawdle, roll back, and lose their connection (T-25), and what must hold of all.

It refuses to use the product's order of events: ids alone are compared.
"""

import asyncio
import json
import random
from dataclasses import dataclass, field

from tests.api.sequencers import Log
from vault.db import Database, StatementFailed, Transaction
from vault.errors import DatabaseUnavailable

_INSERT = "insert into vault.audit_pending (event_id, merchant_id, body) values ($1, '', $2)"


class _Regret(Exception):
    """A transaction that is rolled back."""


@dataclass(slots=True)
class Written:
    """Ids of events: those that were acknowledged, and those of which nobody heard."""

    acknowledged: set[str] = field(default_factory=set)
    uncertain: set[str] = field(default_factory=set)

    async def hold(self, log: Log) -> None:
        """Check that the log has each acknowledged event once, nothing that was rolled back, and one tree."""
        ids = [json.loads(entry)["event"]["id"] for entry in await log.entries()]
        own = [each for each in ids if each.startswith("w")]
        assert len(set(ids)) == len(ids)
        assert self.acknowledged <= set(own) <= self.acknowledged | self.uncertain
        trees = await log.checkpoints()
        assert len({tree.size for tree in trees}) == len(trees) > 0


async def write(database: Database, writer: int, written: Written, stop: asyncio.Event) -> None:
    """Write until told to stop."""
    number = 0
    while not stop.is_set():
        number += 1
        event_id = f"w{writer}-{number}"
        try:
            async with database.transaction() as transaction:
                await _insert(transaction, event_id)
                _regret(number)
        except _Regret:
            continue
        except (DatabaseUnavailable, StatementFailed):
            written.uncertain.add(event_id)
            await asyncio.sleep(0.05)
        else:
            written.acknowledged.add(event_id)


def _regret(number: int) -> None:
    if number % 7 == 0:
        raise _Regret


async def _insert(transaction: Transaction, event_id: str) -> None:
    await transaction.rows("savepoint doubt")
    await transaction.rows(_INSERT, f"doubted-{event_id}", b"{}")
    await transaction.rows("rollback to savepoint doubt")
    await transaction.rows(_INSERT, event_id, json.dumps({"id": event_id, "merchant": ""}).encode())
    await asyncio.sleep(random.random() * 0.02)
