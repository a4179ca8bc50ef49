"""The pool's promises, kept on real connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import pytest

from tests.database import Cluster
from tests.faults.waiting import until
from vault.hosts import Driver
from vault.pool import Pool, PoolClosed

pytestmark = pytest.mark.anyio

SOON = 0.05
LONG = 20.0


class Doors:
    """Opens connections to a server, and counts them; `fault` is raised instead."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.opened: list[Driver] = []
        self.fault: Exception | None = None

    async def __call__(self) -> Driver:
        if self.fault is not None:
            raise self.fault
        driver = await asyncpg.connect(self._url, ssl=False)
        self.opened.append(driver)
        return driver

    @asynccontextmanager
    async def pool(self, *, size: int = 1, patience: float = LONG) -> AsyncIterator[Pool]:
        """Give a pool; whatever a test left open is closed afterwards."""
        pool = Pool(self, size=size, patience=patience)
        yield pool
        for driver in self.opened:
            driver.terminate()
        await pool.close()


@pytest.fixture
def doors(postgres: Cluster) -> Doors:
    return Doors(postgres.url)


async def are_closed(drivers: list[Driver]) -> bool:
    """Tell whether connections are closed on our side."""
    return all(driver.is_closed() for driver in drivers)


async def is_gone(watcher: Driver, pid: int) -> bool:
    """Tell whether the server has ended a connection."""
    return not await watcher.fetchval("select count(*) from pg_stat_activity where pid = $1", pid)


async def test_nothing_is_opened_before_it_is_needed_and_what_was_used_last_is_used_again(doors: Doors) -> None:
    async with doors.pool(size=2) as pool:
        assert doors.opened == []
        first, second = await pool.take(), await pool.take()
        pool.give_back(first)
        pool.give_back(second)
        assert await pool.take() is second
        assert len(doors.opened) == 2
        pool.give_back(second)


async def test_who_finds_all_places_taken_gives_up_in_time(doors: Doors) -> None:
    async with doors.pool(patience=SOON) as pool:
        taken = await pool.take()
        with pytest.raises(TimeoutError):
            await pool.take()
        pool.give_back(taken)
        assert await pool.take() is taken
        assert doors.opened == [taken]
        pool.give_back(taken)


async def test_who_waits_longest_is_served_first(doors: Doors) -> None:
    async with doors.pool() as pool:
        taken, served = await pool.take(), []

        async def work(number: int) -> None:
            driver = await pool.take()
            served.append(number)
            pool.give_back(driver)

        waiting = [asyncio.create_task(work(number)) for number in range(5)]
        await asyncio.sleep(0)
        waiting[1].cancel()
        pool.give_back(taken)
        await asyncio.wait(waiting)
        assert served == [0, 2, 3, 4]


async def test_a_newcomer_does_not_overtake_who_was_given_the_place(doors: Doors) -> None:
    async with doors.pool() as pool:
        taken, served = await pool.take(), []

        async def work(name: str) -> None:
            driver = await pool.take()
            served.append(name)
            pool.give_back(driver)

        early = asyncio.create_task(work("early"))
        await asyncio.sleep(0)
        pool.give_back(taken)
        await asyncio.gather(work("late"), early)
        assert served == ["early", "late"]


@pytest.mark.parametrize("given_first", [True, False])
async def test_who_is_cancelled_while_waiting_keeps_no_place(doors: Doors, *, given_first: bool) -> None:
    async with doors.pool() as pool:
        taken = await pool.take()
        waiting = asyncio.create_task(pool.take())
        await asyncio.sleep(0)
        if given_first:
            pool.give_back(taken)
            waiting.cancel()
        else:
            waiting.cancel()
            pool.give_back(taken)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert await pool.take() is taken
        pool.give_back(taken)


async def test_a_connection_that_cannot_be_opened_takes_no_place(doors: Doors) -> None:
    async with doors.pool(patience=SOON) as pool:
        doors.fault = ConnectionRefusedError()
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                await pool.take()
        doors.fault = None
        pool.give_back(await pool.take())


async def test_an_open_connection_is_preferred_to_a_place_where_none_could_be_opened(doors: Doors) -> None:
    async with doors.pool(size=2) as pool:
        taken = await pool.take()
        doors.fault = ConnectionRefusedError()
        with pytest.raises(ConnectionRefusedError):
            await pool.take()
        pool.give_back(taken)
        assert await pool.take() is taken
        pool.give_back(taken)


async def test_a_connection_that_was_lost_is_replaced_whoever_had_it(doors: Doors) -> None:
    async with doors.pool() as pool:
        lost_in_use = await pool.take()
        lost_in_use.terminate()
        pool.give_back(lost_in_use)
        lost_in_the_pool = await pool.take()
        pool.give_back(lost_in_the_pool)
        lost_in_the_pool.terminate()
        driver = await pool.take()
        assert await driver.fetchval("select 1") == 1
        assert driver not in (lost_in_use, lost_in_the_pool)
        pool.give_back(driver)


async def test_connections_that_the_server_ended_are_all_replaced(doors: Doors, postgres: Cluster) -> None:
    watcher = await asyncpg.connect(postgres.url, ssl=False)
    async with doors.pool(size=3) as pool:
        taken = [await pool.take() for _ in range(3)]
        pids = [driver.get_server_pid() for driver in taken]
        for driver in taken:
            pool.give_back(driver)
        await watcher.fetch("select pg_terminate_backend(pid, 10000) from unnest($1::int[]) as pid", pids)
        await until(lambda: are_closed(taken))
        again = [await pool.take() for _ in range(3)]
        assert [await driver.fetchval("select 1") for driver in again] == [1, 1, 1]
        for driver in again:
            pool.give_back(driver)
    await watcher.close()


async def test_a_spoilt_connection_ends_with_its_statement_before_its_place_is_free(
    doors: Doors, postgres: Cluster
) -> None:
    watcher = await asyncpg.connect(postgres.url, ssl=False)
    async with doors.pool() as pool:
        driver = await pool.take()
        pid = driver.get_server_pid()
        statement = asyncio.create_task(driver.fetch("select pg_sleep(600)"))
        await asyncio.sleep(0)
        statement.cancel()
        with suppress(asyncio.CancelledError):
            await statement
        pool.give_back(driver, spoilt=True)
        other = await pool.take()
        assert other is not driver
        await until(lambda: is_gone(watcher, pid))
        pool.give_back(other)
    await watcher.close()


async def test_an_open_transaction_is_handed_to_nobody(doors: Doors) -> None:
    async with doors.pool() as pool:
        driver = await pool.take()
        await driver.execute("begin")
        pool.give_back(driver)
        other = await pool.take()
        assert other is not driver
        assert not other.is_in_transaction()
        pool.give_back(other)


async def test_closing_waits_for_what_is_in_use(doors: Doors) -> None:
    async with doors.pool(size=2) as pool:
        idle, taken = await pool.take(), await pool.take()
        pool.give_back(idle)
        closing = asyncio.create_task(pool.close())
        await asyncio.sleep(SOON)
        assert not closing.done()
        with pytest.raises(PoolClosed):
            await pool.take()
        assert await taken.fetchval("select 1") == 1
        pool.give_back(taken)
        await closing
        assert [driver.is_closed() for driver in (idle, taken)] == [True, True]


async def test_what_comes_too_late_for_the_closing_is_closed_as_well(doors: Doors) -> None:
    async with doors.pool(patience=SOON) as pool:
        taken = await pool.take()
        await pool.close()
        assert not taken.is_closed()
        pool.give_back(taken)
        await until(lambda: are_closed([taken]))


async def test_a_server_that_is_gone_does_not_keep_a_pool_from_closing(doors: Doors) -> None:
    class Deaf:
        """A connection whose goodbye fails."""

        def is_closed(self) -> bool:
            return False

        def is_in_transaction(self) -> bool:
            return False

        async def close(self, *, timeout: float) -> None:  # noqa: ASYNC109 - the driver's signature
            raise ConnectionResetError(timeout)

    async def connect() -> Any:
        return Deaf()

    pool = Pool(connect, size=2, patience=LONG)
    pool.give_back(await pool.take())
    await pool.close()
