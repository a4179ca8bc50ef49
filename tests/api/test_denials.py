"""Refused calls under flood: the first ones each, the others as a count, and none forgotten (AUD-1, 10.2.1.4)."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from tests.api.shop import Sql
from tests.cluster import no_audit
from vault.audit.events import ActorKind, Event, EventType, Origin, Outcome
from vault.db import Database, StatementFailed
from vault.denials import Denials
from vault.roles import APP

pytestmark = pytest.mark.anyio
Opened = Callable[..., Any]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def denial(client: str = "cli_a", operation: str = "get_card") -> Event:
    origin = Origin(ActorKind.CLIENT, client, address="192.0.2.7", request_id="req_a")
    details = {"operation": operation}
    return Event(EventType.ACCESS_DENIED, origin, "mer_a", (), Outcome.DENIED, "scope_missing", details)


@pytest.fixture
def opened(onboarded_url: str) -> Opened:
    @asynccontextmanager
    async def denials(*, each: int = 2, **changes: Any) -> AsyncIterator[Denials]:
        database = Database(onboarded_url, role=APP, pool_size=1)
        made = Denials(database, **{"each": dict.fromkeys(EventType, each), **changes})
        try:
            yield made
        finally:
            await made.close()
            await database.close()

    return denials


async def counts(sql: Sql) -> list[tuple[str, str, int | None]]:
    events = await sql.events("access.denied")
    return [(each["actor"]["id"], each["request"], each["details"].get("count")) for each in events]


async def test_a_flood_is_a_count_for_each_client_and_kind(opened: Opened, sql: Sql) -> None:
    clock = Clock()
    async with opened(clock=clock) as denials:
        for _ in range(5):
            await denials.record(denial())
        await denials.record(denial("cli_b"))
        await denials.record(denial(operation="pay"))
        each = ("cli_a", "req_a", None)
        assert await counts(sql) == [each, each, ("cli_b", "req_a", None), each]
        clock.now += 60
        await denials.record(denial())
        assert (await counts(sql))[4:] == [("cli_a", "", 3), each]
        summary = (await sql.events("access.denied"))[4]
        assert summary["details"] == {"operation": "get_card", "count": 3, "seconds": 60}


async def test_what_was_counted_is_written_at_the_end_of_the_minute_and_of_the_process(
    opened: Opened, sql: Sql
) -> None:
    async with opened(seconds=0.01) as denials:
        denials._ends = float("inf")
        for _ in range(4):
            await denials.record(denial())
        assert denials._ending is not None
        await denials._ending
        assert (await counts(sql))[2] == ("cli_a", "", 2)
    async with opened() as denials:
        for _ in range(4):
            await denials.record(denial("cli_b"))
    assert (await counts(sql))[-1] == ("cli_b", "", 2)


async def test_neither_memory_nor_events_grow_with_callers(opened: Opened, sql: Sql) -> None:
    async with opened(each=1, most=3) as denials:
        for number in range(10):
            await denials.record(denial(f"cli_{number}"))
        assert len(denials._tallies) == 4
    events = await sql.events("access.denied")
    assert [each["details"].get("count") for each in events] == [None] * 3 + [7]
    assert (events[-1]["actor"]["kind"], events[-1]["reason"]) == ("anonymous", "flood")


async def test_what_cannot_be_written_is_kept(opened: Opened, sql: Sql) -> None:
    clock = Clock()
    async with opened(clock=clock, each=1) as denials:
        await denials.record(denial())
        await denials.record(denial())
        clock.now += 60
        async with no_audit(sql.connection):
            for _ in range(2):
                with pytest.raises(StatementFailed):
                    await denials.record(replace(denial(), reason="unknown_key"))
        await denials.record(denial())
    assert [count for _, _, count in await counts(sql)] == [None, 1, 2, None]


async def test_what_stays_unwritten_is_counted_and_no_more_than_that(opened: Opened, sql: Sql) -> None:
    async with opened(each=1) as denials:
        async with no_audit(sql.connection):
            for _ in range(3):
                with pytest.raises(StatementFailed):
                    await denials.record(denial())
                denials._ends = 0.0
        assert len(denials._tallies) == 1
    assert [count for _, _, count in await counts(sql)] == [3]
