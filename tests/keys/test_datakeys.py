import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.datakeys import Usage, forks
from keys.errors import KeyExhausted
from keys.keyring import Keyring, KeyState, Location, Purpose, new_data_key
from keys.rootkey import RootKey
from tests.keys.rows import ENVIRONMENT, MERCHANT, MemoryRows, RingOf, stored
from tests.keys.sealing_process import save

REPOSITORY = Path(__file__).parents[2]


class PausedRows(MemoryRows):
    """Answers a reservation only when told to."""

    def __init__(self, root: RootKey) -> None:
        super().__init__(root)
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def reserve(self, key_id: bytes, count: int) -> int:
        """As the protocol says."""
        self.asked.set()
        await self.answer.wait()
        return await super().reserve(key_id, count)


def start(*arguments: str | Path | int) -> subprocess.Popen[bytes]:
    program = [sys.executable, "-m", "tests.keys.sealing_process", *map(str, arguments)]
    return subprocess.Popen(program, cwd=REPOSITORY)


@pytest.fixture
def keys(tmp_path: Path, root: RootKey) -> Path:
    save(tmp_path / "keys", root, stored(new_data_key(root, MERCHANT, Purpose.CARD, ENVIRONMENT)))
    return tmp_path / "keys"


def test_no_nonce_repeats_over_processes_forked_after_the_key_was_loaded(keys: Path, tmp_path: Path) -> None:
    """T-6; and no child spends what its parent reserved."""
    children, seals = 8, 2500
    assert start("forked", keys, tmp_path, children, seals).wait() == 0
    written = b"".join(path.read_bytes() for path in tmp_path.glob("*-*")) + (tmp_path / "parent").read_bytes()
    nonces = [written[at : at + 12] for at in range(0, len(written), 12)]
    assert len(nonces) == len(set(nonces)) == (children + 1) * seals + 1
    # The parent's first block of 1,000 and two more; three blocks for each child, which cannot use the parent's rest.
    assert int((tmp_path / "counter").read_bytes()) == 3000 + children * 3000


@pytest.mark.no_cover
def test_eight_writing_processes_never_pass_the_limit(keys: Path, tmp_path: Path) -> None:
    """T-7."""
    counter, marks = tmp_path / "counter", tmp_path / "marks"
    writers = [start("endless", keys, counter, marks, 7, 1000) for _ in range(8)]
    assert [writer.wait() for writer in writers] == [7] * 8
    assert marks.stat().st_size == 1000
    assert int(counter.read_bytes()) >= 1000


def test_a_killed_process_leaves_too_high_a_count_and_never_too_low_a_one(keys: Path, tmp_path: Path) -> None:
    """T-7: kill -9, three times over one counter."""
    counter, marks = tmp_path / "counter", tmp_path / "marks"
    marks.touch()
    block = 50
    for kills in range(1, 4):
        writer = start("endless", keys, counter, marks, block, 2**31)
        enough = marks.stat().st_size + 200
        while marks.stat().st_size < enough:
            time.sleep(0.001)
        os.kill(writer.pid, signal.SIGKILL)
        assert writer.wait() == -signal.SIGKILL
        assert 0 <= int(counter.read_bytes()) - marks.stat().st_size <= kills * block


@pytest.mark.anyio
async def test_eight_writers_replace_a_key_at_its_limit_and_never_use_it_beyond(
    rows: MemoryRows, ring_of: RingOf, place: Location
) -> None:
    """T-7: four keyrings as four processes, two writers each."""
    rows.add()
    used: Counter[bytes] = Counter()

    async def write(keyring: Keyring) -> None:
        for _ in range(500):
            used[(await keyring.seal(Purpose.CARD, b"value", place)).key_id] += 1

    rings = [ring_of(rows, block=16, limit=1000) for _ in range(4)]
    await asyncio.gather(*[write(ring) for ring in rings * 2])
    assert sum(used.values()) == 8 * 500
    assert max(used.values()) <= 1000
    assert all(used[key_id] <= rows.uses[key_id] for key_id in used)
    assert [row.state for row in rows.rows.values()].count(KeyState.ACTIVE) == 1


@pytest.mark.anyio
async def test_concurrent_seals_reserve_together_and_exactly_what_they_use(
    rows: MemoryRows, ring_of: RingOf, place: Location
) -> None:
    key_id = rows.add()
    keyring = ring_of(rows, block=4)
    await asyncio.gather(*[keyring.seal(Purpose.CARD, b"value", place) for _ in range(100)])
    assert rows.uses[key_id] == 100
    assert rows.calls["reserve"] == 25


@pytest.mark.anyio
async def test_the_count_is_taken_before_the_first_seal(rows: MemoryRows, ring_of: RingOf, place: Location) -> None:
    key_id = rows.add()
    keyring = ring_of(rows, block=3)
    for seals in range(1, 20):
        await keyring.seal(Purpose.CARD, b"value", place)
        assert rows.uses[key_id] >= seals


@pytest.mark.anyio
async def test_a_task_cancelled_while_it_reserves_holds_up_nobody(
    root: RootKey, ring_of: RingOf, place: Location
) -> None:
    rows = PausedRows(root)
    rows.add()
    keyring = ring_of(rows, block=4)
    tasks = [asyncio.ensure_future(keyring.seal(Purpose.CARD, b"value", place)) for _ in range(10)]
    await rows.asked.wait()
    tasks[0].cancel()
    rows.answer.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == ["CancelledError"] + ["Envelope"] * 9


@pytest.mark.anyio
async def test_a_forked_child_reserves_anew_and_is_not_held_up_by_its_parents_locks(
    rows: MemoryRows, ring_of: RingOf, place: Location
) -> None:
    """T-6: the state that a child inherits, with every lock held at the moment of the fork."""
    rows.add()
    keyring = ring_of(rows, block=100)
    await keyring.seal(Purpose.CARD, b"value", place)
    for lock in keyring._locks:
        await lock.acquire()
    forks._forked()
    await keyring.seal(Purpose.CARD, b"value", place)
    assert rows.calls["reserve"] == 2


def test_a_fork_is_noticed_in_the_child_alone() -> None:
    before = forks.count
    script = "import os; from keys.datakeys import forks; pid = os.fork(); status = forks.count if pid == 0 else 0; "
    script += "os._exit(status) if pid == 0 else print(forks.count, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
    shown = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, check=True)
    assert shown.stdout.split() == [b"0", b"1"]
    assert forks.count == before


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 500))
def test_whatever_the_reservations_no_more_is_granted_than_the_limit(counts: list[int], limit: int) -> None:
    total = taken = 0
    for count in counts:
        total += count
        usage = Usage()
        if total - count >= limit:
            with pytest.raises(KeyExhausted):
                usage.grant(count, total, limit)
        else:
            usage.grant(count, total, limit)
        while usage.take():
            taken += 1
    assert taken == min(total, limit)
