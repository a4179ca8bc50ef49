"""The promises of groups, kept on a real database: whoever asks with others is answered as if alone."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from contextvars import ContextVar

import pytest

from vault.db import Database, Session, StatementFailed
from vault.errors import DatabaseUnavailable
from vault.groups import Groups

pytestmark = pytest.mark.anyio

POISON = -1
LONG = 60.0
request: ContextVar[str] = ContextVar("request", default="nobody's")


class Notes:
    """Writes numbers into a table that takes none twice and none below zero; remembers the groups that came.

    Each group is answered only while `open`. What it gives is the number's square.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.groups: list[list[int]] = []
        self.requests: set[str] = set()
        self.open = asyncio.Event()
        self.open.set()
        self.begun = asyncio.Event()

    async def write(self, session: Session, numbers: Sequence[int]) -> list[int]:
        """Write a group in one statement."""
        self.groups.append(list(numbers))
        self.requests.add(request.get())
        self.begun.set()
        await self.open.wait()
        await session.rows("insert into noted select * from unnest($1::int[])", list(numbers))
        return [number * number for number in numbers]

    async def behind_one(self, writer: Groups[int, int], *numbers: int) -> list[asyncio.Task[int]]:
        """Have 100 under way, and numbers waiting behind it."""
        self.open.clear()
        first = asyncio.create_task(writer.ask(100))
        await self.begun.wait()
        tasks = [first, *(asyncio.create_task(writer.ask(number)) for number in numbers)]
        await asyncio.sleep(0)
        return tasks

    async def kept(self) -> list[int]:
        """Give what is in the table."""
        async with self.database.session() as session:
            return [row["number"] for row in await session.rows("select number from noted order by number")]


@pytest.fixture
async def notes(database_url: str) -> AsyncIterator[Notes]:
    database = Database(database_url, role=None, pool_size=6)
    async with database.session() as session:
        await session.rows("create table noted (number int primary key check (number >= 0))")
    yield Notes(database)
    await database.close()


def patient(notes: Notes, most: int = 32) -> Groups[int, int]:
    """Make a writer whose groups are waited for however long they take."""
    return Groups(notes.database, notes.write, most=most, patience=LONG)


async def test_who_comes_alone_is_written_alone(notes: Notes) -> None:
    writer = patient(notes)
    assert [await writer.ask(number) for number in (3, 1)] == [9, 1]
    assert (notes.groups, await notes.kept()) == ([[3], [1]], [1, 3])


async def test_those_who_come_at_the_same_moment_are_written_together(notes: Notes) -> None:
    writer = patient(notes)
    assert await asyncio.gather(*map(writer.ask, range(5))) == [0, 1, 4, 9, 16]
    assert notes.groups == [[0, 1, 2, 3, 4]]


async def test_those_who_come_while_a_group_is_under_way_are_the_next_in_their_order(notes: Notes) -> None:
    waiting = await notes.behind_one(patient(notes), 7, 5, 6)
    assert notes.groups == [[100]]
    notes.open.set()
    assert await asyncio.gather(*waiting) == [10_000, 49, 25, 36]
    assert notes.groups == [[100], [7, 5, 6]]


async def test_a_group_has_no_more_than_so_many(notes: Notes) -> None:
    waiting = await notes.behind_one(patient(notes, most=2), 1, 2, 3, 4, 5)
    notes.open.set()
    await asyncio.gather(*waiting)
    assert notes.groups == [[100], [1, 2], [3, 4], [5]]


async def test_what_is_refused_of_one_is_written_of_the_others(notes: Notes) -> None:
    writer = patient(notes)
    assert await writer.ask(4) == 16
    told = await asyncio.gather(*map(writer.ask, (1, POISON, 2, 4, 3)), return_exceptions=True)
    refused = [each for each in told if isinstance(each, StatementFailed)]
    assert [each for each in told if isinstance(each, int)] == [1, 4, 9]
    assert [each.constraint for each in refused] == ["noted_number_check", "noted_pkey"]
    assert await notes.kept() == [1, 2, 3, 4]


async def test_who_is_refused_alone_is_not_tried_again(notes: Notes) -> None:
    with pytest.raises(StatementFailed):
        await patient(notes).ask(POISON)
    assert notes.groups == [[POISON]]


async def test_of_who_gives_up_before_the_group_begins_nothing_is_written(notes: Notes) -> None:
    first, gone, other = await notes.behind_one(patient(notes), 1, 2)
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone
    notes.open.set()
    assert [await first, await other] == [10_000, 4]
    assert (notes.groups, await notes.kept()) == ([[100], [2]], [2, 100])


async def test_where_all_give_up_there_is_no_group(notes: Notes) -> None:
    writer = patient(notes)
    first, gone = await notes.behind_one(writer, 1)
    gone.cancel()
    notes.open.set()
    assert await first == 10_000
    assert await writer.ask(2) == 4
    assert notes.groups == [[100], [2]]


async def test_who_gives_up_in_a_group_takes_nothing_from_the_others(notes: Notes) -> None:
    notes.open.clear()
    writer = patient(notes)
    gone, other = (asyncio.create_task(writer.ask(number)) for number in (1, 2))
    await notes.begun.wait()
    gone.cancel()
    notes.open.set()
    assert await other == 4
    assert (gone.cancelled(), await notes.kept()) == (True, [1, 2])


async def test_a_group_that_takes_long_is_not_waited_for(notes: Notes) -> None:
    writer = Groups(notes.database, notes.write, patience=0.01)
    slow = asyncio.create_task(writer.ask(100))
    notes.open.clear()
    await notes.begun.wait()
    notes.begun.clear()
    behind = [asyncio.create_task(writer.ask(number)) for number in (1, 2)]
    await notes.begun.wait()
    assert notes.groups == [[100], [1, 2]]
    notes.open.set()
    assert await asyncio.gather(slow, *behind) == [10_000, 1, 4]
    assert await writer.ask(3) == 9


async def test_a_group_keeps_its_pace_behind_the_one_before_it(notes: Notes) -> None:
    writer = Groups(notes.database, notes.write, pace=LONG)
    assert await writer.ask(1) == 1
    behind = [asyncio.create_task(writer.ask(number)) for number in (2, 3)]
    assert await notes.kept() == [1]
    assert isinstance(writer._before, asyncio.TimerHandle)
    writer._before.cancel()
    writer._begin()
    assert await asyncio.gather(*behind) == [4, 9]
    assert notes.groups == [[1], [2, 3]]


async def test_a_connection_lost_under_a_group_is_an_unavailable_database_to_each(notes: Notes) -> None:
    async def lose(session: Session, numbers: Sequence[int]) -> list[int]:
        notes.groups.append(list(numbers))
        await session.rows("select pg_terminate_backend(pg_backend_pid())")
        return []

    writer = Groups(notes.database, lose)
    told = await asyncio.gather(*map(writer.ask, (1, 2)), return_exceptions=True)
    assert [type(each) for each in told] == [DatabaseUnavailable] * 2
    assert notes.groups == [[1, 2]]
    assert await patient(notes).ask(3) == 9


async def test_a_fault_in_the_statement_reaches_everybody_and_ends_nothing(notes: Notes) -> None:
    faults = [ZeroDivisionError()]

    async def stumble(session: Session, numbers: Sequence[int]) -> list[int]:
        if faults:
            raise faults.pop()
        return await notes.write(session, numbers)

    writer = Groups(notes.database, stumble)
    told = await asyncio.gather(*map(writer.ask, (1, 2)), return_exceptions=True)
    assert [type(each) for each in told] == [ZeroDivisionError] * 2
    assert await writer.ask(3) == 9


async def test_a_group_belongs_to_no_request(notes: Notes) -> None:
    request.set("the first one's")
    await patient(notes).ask(1)
    assert notes.requests == {"nobody's"}


async def test_when_a_process_ends_nobody_waits_for_a_group_that_was_given_up(notes: Notes) -> None:
    notes.open.clear()
    writer = patient(notes)
    waiting = asyncio.create_task(writer.ask(1))
    await notes.begun.wait()
    for task in writer._under_way:
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    notes.open.set()
    assert await writer.ask(2) == 4
