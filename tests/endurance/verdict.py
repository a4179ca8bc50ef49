"""What has to hold once faults and load are over: nothing acknowledged is lost, nobody pays twice, all outcomes are known.

It refuses to know what the faults were. Invariant: database, gateway and audit log are all asked.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import asyncpg
import orjson

from ops.local_http import Call, call
from tests.endurance.load import Acknowledged
from tests.endurance.site import GATEWAY, PATIENCE, Site
from vault.hosts import Hosts

STILL_OPEN = (
    "select count(*) from vault.payment where status not in ('SUCCESS', 'FAIL', 'CANCELLED') or store_state = 'PENDING'"
)
# The news of a capture may overtake the answer to its payment; an inquiry tells it again.
_ALARMS = (
    "select code from vault.alarm where code <> 'notification_orphan' or split_part(object_id, ':', 2) not in "
    "(select gateway_payment_id from vault.payment where gateway_payment_id is not null)"
)
_UNSEQUENCED = "select count(*) from vault.audit_pending"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found; all but the first two has to be zero, or nothing."""

    cards: int
    payments: int
    cards_lost: int
    payments_lost: int
    outcomes_changed: int
    authorised_twice: int
    authorised_unknown: int
    disagreeing: int
    still_open: int
    without_event: int
    alarms: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Tell whether nothing is wrong."""
        return not any(getattr(self, name) for name in self.__slots__[2:])


async def judge(site: Site, told: Acknowledged) -> Verdict:
    """Wait until all payments are final and the audit log is complete, then look."""
    connection = await Hosts(site.superuser).connect()
    try:
        still_open = await _until_none(lambda: connection.fetchval(STILL_OPEN))
        await _until_none(lambda: connection.fetchval(_UNSEQUENCED))
        return await _compare(site, told, connection, still_open)
    finally:
        await connection.close()


async def _until_none(count: Callable[[], Awaitable[int]]) -> int:
    deadline = time.monotonic() + PATIENCE
    while left := await count():
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.5)
    return left


async def _compare(
    site: Site, told: Acknowledged, connection: "asyncpg.Connection[asyncpg.Record]", still_open: int
) -> Verdict:
    cards = {row["id"] for row in await connection.fetch("select id from vault.card where status = 'ACTIVE'")}
    payments = {row["request_id"]: row for row in await connection.fetch("select * from vault.payment")}
    ledger = call(site.urls[GATEWAY], Call("GET", "/_sandbox/ledger")).json
    rows = Counter(row["paymentRequestId"] for row in ledger)
    authorised = Counter(row["paymentRequestId"] for row in ledger if row["status"] == "AUTHORISED")
    final = {"SUCCESS", "FAIL", "CANCELLED"}
    known = [(payments.get(name), view) for name, view in told.payments.items()]
    return Verdict(
        cards=len(told.cards),
        payments=len(told.payments),
        cards_lost=len(told.cards.keys() - cards),
        payments_lost=sum(row is None or row["id"] != view[0] for row, view in known),
        outcomes_changed=sum(row is not None and view[1] in final and row["status"] != view[1] for row, view in known),
        authorised_twice=sum(count > 1 for count in rows.values()),
        authorised_unknown=len(authorised.keys() - payments.keys()),
        disagreeing=sum((row["status"] == "SUCCESS") != (authorised[name] == 1) for name, row in payments.items()),
        still_open=still_open,
        without_event=await _without_event(connection),
        alarms=tuple(row["code"] for row in await connection.fetch(_ALARMS)),
    )


async def _without_event(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    """Count cards and payments whose creation the audit log does not tell of."""
    entries = [orjson.loads(row["entry"]) for row in await connection.fetch("select entry from vault.audit_leaf")]
    told = {name for entry in entries for name in entry["event"]["objects"]}
    made = await connection.fetch("select id from vault.card union all select id from vault.payment")
    return sum(row["id"] not in told for row in made)
