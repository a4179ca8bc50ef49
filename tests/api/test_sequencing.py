import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from keys.keyring import Purpose
from tests.api.sequencers import Log, opened_log
from tests.api.shop import Sql, store, until
from tests.installation import Blueprint, Installation
from tests.vault.audit import naive
from vault.auditing import sequencer as sequencing
from vault.auditing.sequencer import Cadence
from vault.db import Database, Transaction
from vault.errors import DatabaseUnavailable
from vault.worker import sequencing as worker_sequencing
from vault.worker.loop import run
from vault.worker.sequencing import audit_loops

pytestmark = pytest.mark.anyio


@pytest.fixture
async def log(blueprint: Blueprint, onboarded_url: str, sql: Sql, tmp_path: Path) -> AsyncIterator[Log]:
    async with opened_log(blueprint, onboarded_url, sql, tmp_path) as log:
        yield log


async def waiting(log: Log) -> int:
    return int(await log.sql.value("select count(*) from vault.audit_pending"))


async def test_events_become_leaves_in_their_order_and_are_signed(log: Log) -> None:
    before = [row["body"] for row in await log.sql.rows("select body from vault.audit_pending order by xid, ord")]
    assert await log.sequencer().once() is False
    events = [json.loads(entry)["event"] for entry in await log.entries()]
    assert events[: len(before)] == [json.loads(body) for body in before]
    assert [event["type"] for event in events[len(before) :]] == ["audit.log_created", "audit.started"]
    assert all(
        entry.endswith(b',"event":' + body + b"}") for entry, body in zip(await log.entries(), before, strict=False)
    )
    (tree,) = await log.checkpoints()
    assert (tree.size, await waiting(log)) == (len(events), 0)
    assert await log.sequencer().once() is False


async def test_where_nothing_is_due_nothing_is_written(log: Log) -> None:
    sequencer = log.sequencer()
    await sequencer.once()
    before = await log.entries()
    assert await sequencer.once() is False
    assert await log.entries() == before


async def test_an_entry_says_when_the_database_took_the_event(log: Log) -> None:
    await log.write(1)
    at = await log.sql.value("select occurred_at from vault.audit_pending order by ord desc limit 1")
    await log.sequencer().once()
    entry = next(each for each in await log.entries() if b'"m"' in each)
    assert json.loads(entry)["at"] == at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def test_a_log_of_many_batches_is_one_tree(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencing, "_BATCH", 100)
    await log.write(300)
    one = log.sequencer()
    assert [await one.once() for _ in range(4)][:3] == [True, True, True]
    await log.write(300)
    while await log.sequencer().once():
        pass
    trees = await log.checkpoints()
    assert len(trees) >= 6
    hashes = await log.sql.rows("select place, hash from vault.audit_subtree where height = 8 order by place")
    entries = await log.entries()
    assert [row["hash"] for row in hashes] == [naive.root(entries[256 * each : 256 * each + 256]) for each in (0, 1)]


async def test_growth_is_signed_when_its_time_has_come(log: Log) -> None:
    patient = log.sequencer(Cadence(3600.0, 3600.0))
    await patient.once()
    await log.write(1)
    await patient.once()
    assert [len(await log.entries()) - tree.size for tree in await log.checkpoints()] == [1]
    await log.sequencer().once()
    assert len(await log.checkpoints()) == 2


async def test_silence_is_broken(log: Log) -> None:
    lively = log.sequencer(Cadence(0.0, 60.0))
    await lively.once()
    assert not any(b"audit.heartbeat" in entry for entry in await log.entries())
    await log.sql.change("update vault.audit_head set appended_at = now() - interval '61 seconds'")
    await lively.once()
    await lively.once()
    assert [b"audit.heartbeat" in entry for entry in await log.entries()].count(True) == 1
    assert len(await log.checkpoints()) == 2


async def test_starting_and_stopping_are_events(log: Log) -> None:
    one = log.sequencer()
    await one.finish()
    await one.once()
    await one.finish()
    await log.sequencer().once()
    types = [json.loads(entry)["event"]["type"] for entry in await log.entries()]
    assert types[-4:] == ["audit.log_created", "audit.started", "audit.stopped", "audit.started"]


@pytest.mark.parametrize(
    ("event_id", "body"),
    [
        ("e", b"not json"),
        ("e", b"[]"),
        ("e", b'{"id":"other","merchant":""}'),
        ("e", b'{"id":"e","merchant":"another"}'),
        ("e", b'{"id":"e",\n"merchant":""}'),
        ("e", b'{"id":"e","merchant":"","more":"' + b"x" * 33_000 + b'"}'),
    ],
)
async def test_what_is_no_event_is_kept_as_evidence_and_stops_nothing(log: Log, event_id: str, body: bytes) -> None:
    await log.sql.change(
        "insert into vault.audit_pending (event_id, merchant_id, body) values ($1, '', $2)", event_id, body
    )
    await log.write(1)
    await log.sequencer().once()
    (kept,) = [entry for entry in await log.entries() if b'"unreadable"' in entry]
    assert len(kept) < 32_768
    assert await log.checkpoints()


async def test_an_event_that_comes_twice_is_kept_twice(log: Log) -> None:
    body = b'{"id":"e","merchant":""}'
    for _ in range(2):
        await log.sql.change("insert into vault.audit_pending (event_id, merchant_id, body) values ('e', '', $1)", body)
    await log.sequencer().once()
    assert [body in entry for entry in await log.entries()].count(True) == 2


async def test_without_a_key_the_log_grows_and_an_alarm_is_raised(log: Log) -> None:
    await log.tamper("update vault.data_key set state = 'decrypt_only' where purpose = 'audit'")
    log.keyring.forget("", Purpose.AUDIT)
    one = log.sequencer()
    await one.once()
    await one.once()
    assert await log.checkpoints() == []
    assert (len(await log.entries()) > 0, await log.sql.alarms()) == (True, {"audit_unsigned"})
    await log.tamper("update vault.data_key set state = 'active' where purpose = 'audit'")
    await one.once()
    assert len(await log.checkpoints()) == 1


class Faulty(Database):
    """A database whose connections die at the end of some transactions: before the commit, or when it is done."""

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        fault = random.choice(["none", "before", "after"])
        async with super().transaction() as transaction:
            yield transaction
            if fault == "before":
                raise DatabaseUnavailable
        if fault == "after":
            raise DatabaseUnavailable


async def test_sequencers_that_fail_anywhere_make_one_log(
    log: Log, onboarded_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """T-15, T-22, T-25: events are written in transactions that overlap, some of which are rolled back."""
    monkeypatch.setattr(sequencing, "_BATCH", 17)
    writing = Database(onboarded_url, role="cardvault_app", pool_size=4)
    faulty = Faulty(onboarded_url, role="cardvault_sequencer", pool_size=4)
    acknowledged: set[str] = set()

    async def write(writer: int) -> None:
        for number in range(40):
            event_id = f"w{writer}-{number}"
            body = json.dumps({"id": event_id, "merchant": ""}).encode()
            with suppress(ZeroDivisionError):
                async with writing.transaction() as transaction:
                    await transaction.rows(
                        "insert into vault.audit_pending (event_id, merchant_id, body) values ($1, '', $2)",
                        event_id,
                        body,
                    )
                    await asyncio.sleep(random.random() * 0.01)
                    _ = 1 // (number % 5)  # every fifth is rolled back
                acknowledged.add(event_id)

    async def sequence() -> None:
        one = log.sequencer(database=faulty)
        while not written.done():
            try:
                await one.once()
            except DatabaseUnavailable:
                continue
            await asyncio.sleep(0)

    try:
        written = asyncio.gather(*(write(writer) for writer in range(4)))
        await asyncio.gather(written, *(sequence() for _ in range(3)))
    finally:
        await writing.close()
        await faulty.close()
    while await log.sequencer().once():
        pass
    ids = [json.loads(entry)["event"]["id"] for entry in await log.entries()]
    assert sorted(each for each in ids if each.startswith("w")) == sorted(acknowledged)
    trees = await log.checkpoints()
    assert len({tree.size for tree in trees}) == len(trees) > 1


async def test_one_sequencer_at_a_time_has_the_log(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = log.sequencer(), log.sequencer()
    await one.once()
    await log.write(1)
    async with log.sql.connection.transaction():
        await log.sql.connection.execute("select from vault.audit_head for update")
        assert await other.once() is False
    assert await waiting(log) == 2  # with the other's own start
    assert await other.once() is False
    assert await waiting(log) == 0


async def test_the_worker_makes_the_log_and_copies_it_to_the_anchor(
    vault: Installation, blueprint: Blueprint, sql: Sql, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_sequencing, "_IDLE", 0.02)
    anchor = tmp_path / "anchor.jsonl"
    stored = "select count(*) from vault.audit_leaf where entry like '%card.stored%'::bytea"
    changed = vault.settings.model_copy(update={"audit_anchor": f"file:{anchor}", "audit_checkpoint_interval": 0.01})
    object.__setattr__(vault.services, "settings", changed)
    stop = asyncio.Event()
    async with audit_loops(vault.services) as loops:
        running = asyncio.create_task(run(loops, stop))
        assert (await vault.api.post("/v1/cards", json=store())).status_code == 201

        async def anchored() -> bool:
            return bool(await sql.value(stored)) and anchor.exists() and "note" in anchor.read_text()

        await until(anchored)
        stop.set()
        await running
    assert json.loads(anchor.read_text().splitlines()[-1])["note"].startswith("127.0.0.1:")
    assert await sql.value(stored) == 1


async def test_without_an_anchor_there_is_one_loop(vault: Installation) -> None:
    async with audit_loops(vault.services) as loops:
        assert [loop.name for loop in loops] == ["sequence"]
        assert await loops[0].once() is False
