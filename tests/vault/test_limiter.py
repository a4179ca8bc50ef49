"""Leases of shared quotas, against a real database: never above, hardly below, and what happens without counters."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from random import Random

import asyncpg
import pytest

from tests.vault.web import captured
from vault import limiter
from vault.db import Database
from vault.errors import LimitsUnavailable
from vault.limit_errors import RateLimited
from vault.limiter import Limiter, Spender, Standing, network_of
from vault.roles import APP
from vault.rules.limits import RULES, Limit, WithoutCounters
from vault.store import limits
from vault.worker import loop

pytestmark = pytest.mark.anyio


@dataclass
class Clock:
    """A process's own clock."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Counting:
    """A database with counters, as processes and as a superuser see it."""

    database: Database
    root: "asyncpg.Connection[asyncpg.Record]"
    clock: Clock = field(default_factory=Clock)

    def process(self) -> Limiter:
        """Give another process's limiter."""
        return Limiter(self.database, clock=self.clock)

    async def pass_slices(self, number: int) -> None:
        """Let so many thirtieths of a limit's one window go by, for the database and for the processes."""
        shifted = "slices[1] = slices[1] - $1, taken = taken[$2 + 1:] || taken[:$2]"
        await self.root.execute(f"update vault.rate_counter set {shifted}", number, number % 31)
        self.clock.now += 100_000

    async def taken(self) -> int:
        """Give how many slots are counted in the first window."""
        return int(await self.root.fetchval("select coalesce(sum(totals[1]), 0) from vault.rate_counter"))


@pytest.fixture
async def counting(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counting]:
    monkeypatch.setattr(limiter, "PATIENCE", 60.0)  # a busy machine is no broken one
    database = Database(database_url, role=APP, pool_size=4)
    root = await asyncpg.connect(database_url, ssl=False)
    yield Counting(database, root)
    await root.close()
    await database.close()


def spender(quota: int = 30, limit: Limit = Limit.DISTINCT_CARDS) -> Spender:
    """Give a client with a quota of its own in a day, in which nothing ends while a test runs."""
    return Spender("mer_a", "cli_a", {limit.value: {"day": quota}})


async def spend(process: Limiter, who: Spender, times: int, limit: Limit = Limit.DISTINCT_CARDS) -> int:
    """Take so many slots, one after the other; gives how many there were."""
    standings = [await process.take(who, limit) for _ in range(times)]
    return sum(standing.refusal is None for standing in standings)


def refusal(standing: Standing) -> RateLimited:
    assert isinstance(standing.refusal, RateLimited)
    return standing.refusal


async def test_processes_together_never_take_more_than_the_quota_and_hardly_less(counting: Counting) -> None:
    processes, choice = [counting.process() for _ in range(3)], Random(7)
    taken = [await spend(choice.choice(processes), spender(1000), 1) for _ in range(1500)]
    assert 950 <= sum(taken) <= 1000


async def test_requests_at_once_take_no_more_than_the_quota(counting: Counting) -> None:
    process = counting.process()
    standings = await asyncio.gather(*(process.take(spender(20), Limit.DISTINCT_CARDS) for _ in range(50)))
    assert sum(standing.refusal is None for standing in standings) == 20


async def test_slots_are_asked_for_more_and_more_at_a_time_and_fewer_near_the_end(counting: Counting) -> None:
    process = counting.process()
    assert await spend(process, spender(1000), 15) == 15
    assert await counting.taken() == 1 + 2 + 4 + 8
    assert await spend(process, spender(1000), 85) == 85
    assert await counting.taken() <= 120
    assert await spend(process, spender(1000), 900) == 900


async def test_a_quota_holds_in_every_stretch_of_its_window(counting: Counting) -> None:
    """A slot counts until no window that holds it can hold the present."""
    assert await spend(counting.process(), spender(), 31) == 30
    await counting.pass_slices(15)
    assert await spend(counting.process(), spender(), 1) == 0
    await counting.pass_slices(15)
    assert await spend(counting.process(), spender(), 1) == 0
    await counting.pass_slices(1)
    assert await spend(counting.process(), spender(), 31) == 30


async def test_slots_come_back_slice_by_slice(counting: Counting) -> None:
    for _ in range(3):
        assert await spend(counting.process(), spender(), 10) == 10
        await counting.pass_slices(10)
    assert await spend(counting.process(), spender(), 1) == 0
    await counting.pass_slices(1)
    assert await spend(counting.process(), spender(), 11) == 10


async def test_a_long_silence_forgets_everything(counting: Counting) -> None:
    assert await spend(counting.process(), spender(), 30) == 30
    await counting.pass_slices(100_000)
    assert await spend(counting.process(), spender(), 31) == 30


async def test_a_lease_ends_with_its_slice_and_what_is_left_is_given_back(counting: Counting) -> None:
    process = counting.process()
    assert await spend(process, spender(1000), 4) == 4
    assert await counting.taken() == 1 + 2 + 4
    counting.clock.now += 100_000
    assert await spend(process, spender(1000), 1) == 1
    assert await counting.taken() == 4 + 2
    assert await spend(process, spender(1000), 994) == 994
    assert await spend(process, spender(1000), 2) == 1


async def test_as_many_are_asked_for_again_as_were_nearly_used_up(counting: Counting) -> None:
    process = counting.process()
    assert await spend(process, spender(1000), 6) == 6
    counting.clock.now += 100_000
    assert await spend(process, spender(1000), 1) == 1
    assert await counting.taken() == 6 + 4


async def test_a_slot_that_was_not_needed_is_given_back_while_its_lease_lasts(counting: Counting) -> None:
    process, place = counting.process(), limits.Counter("mer_a", "cli_a", Limit.DISTINCT_CARDS)
    process.give_back(place)
    assert await spend(process, spender(2), 1) == 1
    process.give_back(place)
    assert await spend(process, spender(2), 3) == 2
    counting.clock.now += 100_000
    process.give_back(place)
    assert await spend(process, spender(2), 1) == 0


async def test_the_strictest_window_decides_and_every_one_is_told(counting: Counting) -> None:
    who = Spender("mer_a", "cli_a", {"objects.read": {"minute": 2, "day": 2}})
    process = counting.process()
    for _ in range(2):
        assert (await process.take(who, Limit.READ)).refusal is None
    refused = await process.take(who, Limit.READ)
    assert refusal(refused).windows == ("minute", "day")
    assert (refusal(refused).retry_after or 0) > 80_000
    told = dict(refused.headers)
    assert told[b"ratelimit-policy"] == b'"burst";q=1000;w=10, "minute";q=2;w=60, "day";q=2;w=86400'
    assert told[b"ratelimit"].startswith(b'"burst";r=998;t=')
    assert told[b"ratelimit"].count(b";r=0;t=") == 2


async def test_the_waits_that_are_told_pass_with_the_time(counting: Counting) -> None:
    process = counting.process()
    standing = await process.take(Spender("mer_a", "cli_a"), Limit.READ)
    assert standing.lease is not None
    seen = set()
    for quarters in range(280):
        moment = standing.at + quarters / 4
        (_, told) = standing._replace(at=moment).headers
        waits = [int(wait) for wait in re.findall(rb"t=(\d+)", told[1])]
        assert waits == standing.lease.waits(moment)
        seen.add(tuple(waits))
    assert len(seen) > 60


async def test_who_only_looks_is_told_of_the_own_counters_and_takes_nothing(counting: Counting) -> None:
    """One that nobody ever took of has no row, and its whole quota."""
    used, other, none = (
        limits.Watched(limits.Counter(merchant_id, "cli_a", Limit.CLIENT_DECLINES), 86_400, quota)
        for merchant_id, quota in (("mer_a", 3), ("mer_b", 3), ("mer_a", 0))
    )
    async with counting.database.session() as session:
        for watched in ([used], [used], [used, other]):
            await limits.take_each(session, watched)
        fresh = used._replace(counter=used.counter._replace(subject="cli_b"))
        nothing = none._replace(counter=none.counter._replace(subject="cli_b"))
        asked = [[fresh, used], [], [other], [nothing]]
        found = await limits.look(session, asked)
    assert [[left.slots for left in together] for together in found] == [[3, 0], [], [2], [0]]
    assert 80_000 < found[0][1].wait <= 86_400 + 86_400 / 30
    assert (found[0][0].wait, found[3][0].wait) == (0.0, 0.0)
    assert await counting.taken() == 4


async def test_a_refusal_is_remembered_for_a_moment(counting: Counting) -> None:
    process = counting.process()
    assert await spend(process, spender(1), 3) == 1
    await counting.root.execute("update vault.rate_counter set slices[1] = slices[1] - 100")
    assert await spend(process, spender(1), 1) == 0
    counting.clock.now += 1.1
    assert await spend(process, spender(1), 2) == 1
    assert await spend(counting.process(), spender(1), 2) == 0


async def test_another_quota_holds_from_the_next_lease_on(counting: Counting) -> None:
    process = counting.process()
    assert await spend(process, spender(2), 3) == 2
    counting.clock.now += 2
    assert await spend(process, spender(5), 5) == 3
    counting.clock.now += 2
    assert await spend(process, spender(1), 1) == 0


async def test_other_windows_than_the_counters_begin_anew(counting: Counting) -> None:
    assert await spend(counting.process(), spender(), 30) == 30
    await counting.root.execute("update vault.rate_counter set spans = '{3600}'")
    assert await spend(counting.process(), spender(), 31) == 30


async def test_a_grant_that_came_too_late_is_not_spent(counting: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    take, process = limits.take, counting.process()

    async def slow(*asked: object) -> limits.Granted:
        monkeypatch.setattr(limits, "take", take)
        granted = await take(*asked)  # type: ignore[arg-type] # handed on as they came
        counting.clock.now += 100_000
        return granted

    monkeypatch.setattr(limits, "take", slow)
    assert await spend(process, spender(2), 3) == 2


@pytest.mark.parametrize("limit", [limit for limit in Limit if not limit.startswith("guard.")])
async def test_without_counters_the_limits_rule_decides(counting: Counting, limit: Limit) -> None:
    """T-50."""
    await counting.root.execute("alter table vault.rate_counter rename to gone")
    process, who = counting.process(), spender()
    with captured() as lines:
        standings = [await process.take(who, limit) for _ in range(2)]
    admitted = RULES[limit].without_counters is WithoutCounters.ADMITTED
    assert all((standing.refusal is None) is admitted for standing in standings)
    assert admitted or all(isinstance(standing.refusal, LimitsUnavailable) for standing in standings)
    assert [line["outcome"] for line in lines.of("limits.unavailable")] == [RULES[limit].without_counters] * 2
    await counting.root.execute("alter table vault.gone rename to rate_counter")
    counting.clock.now += 2
    assert (await process.take(who, limit)).refusal is None


async def test_a_counter_that_does_not_answer_is_not_waited_for(
    counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await spend(counting.process(), spender(), 1) == 1
    monkeypatch.setattr(limiter, "PATIENCE", 0.05)
    async with counting.root.transaction():
        await counting.root.execute("select * from vault.rate_counter for update")
        assert isinstance((await counting.process().take(spender(), Limit.DISTINCT_CARDS)).refusal, LimitsUnavailable)


async def test_counts_that_no_window_reaches_are_forgotten(counting: Counting) -> None:
    assert await spend(counting.process(), spender(), 1) == 1
    upkeep = loop.counting(counting.database)
    assert not await upkeep.once()
    assert await counting.taken() == 1
    await counting.root.execute("update vault.rate_counter set touched_at = touched_at - interval '3 days'")
    assert not await upkeep.once()
    assert await counting.taken() == 0


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
        ("testclient", ""),
    ],
)
def test_an_address_counts_as_what_one_subscriber_has(address: str, counted: str) -> None:
    assert network_of(address) == counted
