"""A database that was set back or tampered with is not signed for; the anchor is what tells (T-24), and may fail (T-20)."""

import json
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from keys.keyring import Purpose
from keys.sealed import KeyMaterial
from keys.signing import Signer
from tests.api.sequencers import NAME, Log, opened_log
from tests.api.shop import Sql
from tests.installation import Blueprint
from vault.audit.log_keys import LogKeys
from vault.audit.merkle import EMPTY, Tree
from vault.audit.note import Checkpoint, sign
from vault.auditing import publisher as publishing
from vault.auditing.anchor import AnchorFile, AnchorUnavailable

pytestmark = pytest.mark.anyio


@pytest.fixture
async def log(blueprint: Blueprint, onboarded_url: str, sql: Sql, tmp_path: Path) -> AsyncIterator[Log]:
    async with opened_log(blueprint, onboarded_url, sql, tmp_path) as log:
        yield log


async def own_note(log: Log, tree: Tree) -> str:
    signer = await log.keyring.signer("", Purpose.AUDIT)
    return sign(str(Checkpoint(NAME, tree)), NAME, signer)


def notes(log: Log) -> list[str]:
    lines = (log.folder / "anchor.jsonl").read_text().splitlines()
    return [json.loads(line)["note"] for line in lines if line.endswith("}")]


def sizes(log: Log) -> list[int]:
    return [int(note.splitlines()[1]) for note in notes(log)]


_SWAP = """
update vault.audit_leaf l set hash = o.hash, entry = o.entry from vault.audit_leaf o
where l.place in (3, 4) and o.place = 7 - l.place
"""
TAMPERING = [
    (_SWAP, "audit_damaged"),
    ("update vault.audit_head set frontier = overlay(frontier placing '\\x00'::bytea from 5)", "audit_damaged"),
    ("update vault.audit_head set size = size - 1", "audit_damaged"),
    (
        "update vault.audit_leaf set hash = overlay(hash placing '\\x0000'::bytea from 5) where place = 3",
        "audit_damaged",
    ),
    ("delete from vault.audit_leaf where place = (select max(place) from vault.audit_leaf)", "audit_damaged"),
    ("update vault.audit_checkpoint set note = note || 'x'", "audit_damaged"),
    ("delete from vault.audit_leaf", "audit_damaged"),
]


@pytest.mark.parametrize(("statement", "code"), TAMPERING)
async def test_nothing_more_is_signed_after_tampering_and_events_wait(log: Log, statement: str, code: str) -> None:
    one = log.sequencer()
    await one.once()
    await log.tamper(statement)
    await log.write(3)
    signed = await log.sql.value("select count(*) from vault.audit_checkpoint")
    for _ in range(2):
        assert await one.once() is False
    assert await log.sql.alarms() == {code}
    assert await log.sql.value("select count(*) from vault.audit_checkpoint") == signed
    assert await log.sql.value("select count(*) from vault.audit_pending") == 4


_CUT = """
with tail as (delete from vault.audit_leaf where place >= {size}),
    signed as (delete from vault.audit_checkpoint where size > {size})
update vault.audit_head set size = {size}, frontier = '{frontier}'
"""
_SMUGGLE = """
insert into vault.audit_leaf select epoch, place + 1, 'smuggled', '', now(), hash, entry
from vault.audit_leaf order by place desc limit 1
"""
_OLD_NOTE = "update vault.audit_checkpoint set note = (select note from vault.audit_checkpoint order by size limit 1)"
CORPUS = [
    (_SMUGGLE, "audit_damaged"),
    ("update vault.audit_subtree set hash = sha256(hash)", "audit_damaged"),
    ("delete from vault.audit_subtree", "audit_damaged"),
    (_OLD_NOTE, "audit_damaged"),
    (_CUT, "audit_fork"),
]


@pytest.mark.parametrize(("statement", "code"), CORPUS)
async def test_whatever_becomes_of_the_rows_is_named(log: Log, statement: str, code: str) -> None:
    """T-24: inserted rows, a replaced tile, a swapped checkpoint, and a tail that is gone without trace."""
    one = log.sequencer(witness=log.anchor.newest)
    await one.once()
    cut = await log.sql.rows("select size, frontier from vault.audit_head")
    await log.publisher().once()
    await log.write(300)
    await one.once()
    await log.publisher().once()
    await log.tamper(statement.format(size=cut[0]["size"], frontier="\\x" + cut[0]["frontier"].hex()))
    await log.write(3)
    await one.once()
    assert await log.sql.alarms() == {code}


async def test_a_rewritten_beginning_contradicts_what_was_signed(log: Log) -> None:
    """A tree that is consistent in itself, and another one than before."""
    one = log.sequencer()
    await one.once()
    await log.write(2)
    await one.once()
    for table in ("audit_leaf", "audit_subtree"):
        await log.tamper(f"delete from vault.{table}")
    await log.tamper("update vault.audit_head set size = 0, frontier = ''")
    await log.write(1)
    await one.once()
    assert await log.sql.alarms() == {"audit_fork"}


async def test_a_database_that_was_set_back_is_not_signed_for(log: Log) -> None:
    one = log.sequencer(witness=log.anchor.newest)
    await one.once()
    await log.publisher().once()
    ahead = await log.anchor.newest(log.keys, 1)
    assert ahead is not None
    await log.anchor.add(log.keys, 1, [await own_note(log, Tree(ahead.tree.size + 5, EMPTY))])
    await log.write(1)
    await one.once()
    assert await log.sql.alarms() == {"audit_fork"}
    await log.write(10)
    await one.once()
    assert len(await log.entries()) == ahead.tree.size


async def test_an_anchor_with_another_history_of_the_same_size_is_a_fork(log: Log) -> None:
    await log.sequencer().once()
    (tree,) = await log.checkpoints()
    await log.anchor.add(log.keys, 1, [await own_note(log, Tree(tree.size, EMPTY))])
    await log.write(1)
    await log.sequencer(witness=log.anchor.newest).once()
    assert await log.sql.alarms() == {"audit_fork"}


async def test_an_anchor_of_another_log_is_refused_until_it_is_the_right_one(log: Log) -> None:
    stranger = Signer(bytes(16), KeyMaterial(bytes(range(32))))
    note = sign(str(Checkpoint(NAME, Tree(0, EMPTY))), NAME, stranger)
    await log.anchor.add(LogKeys(NAME, (stranger.public,)), 1, [note])
    one = log.sequencer(witness=log.anchor.newest)
    await one.once()
    await log.publisher().once()
    assert await log.sql.alarms() == {"audit_anchor_foreign"}
    assert (await log.checkpoints(), sizes(log)) == ([], [0])
    (log.folder / "anchor.jsonl").unlink()
    await one.once()
    assert len(await log.checkpoints()) == 1


async def test_an_anchor_that_agrees_lets_the_log_grow(log: Log) -> None:
    one = log.sequencer(witness=log.anchor.newest)
    for _ in range(3):
        await log.write(2)
        await one.once()
        await log.publisher().once()
        await log.publisher().once()
    assert sizes(log) == [tree.size for tree in await log.checkpoints()]
    assert await log.sql.alarms() == set()


async def test_an_anchor_that_was_away_gets_what_it_missed(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    one, publisher = log.sequencer(), log.publisher()
    assert await publisher.once() is False
    await one.once()
    assert await publisher.once() is False
    for _ in range(5):
        await log.write(1)
        await one.once()
    monkeypatch.setattr(publishing, "_BATCH", 2)
    assert [await publisher.once() for _ in range(3)] == [True, True, False]
    assert sizes(log) == [tree.size for tree in await log.checkpoints()]


async def test_a_line_that_was_cut_short_is_passed_over_and_closed(log: Log) -> None:
    one = log.sequencer()
    await one.once()
    await log.publisher().once()
    with (log.folder / "anchor.jsonl").open("a") as file:
        file.write('{"at":"2026')
    assert await log.anchor.newest(log.keys, 1) is not None
    await log.write(1)
    await one.once()
    await log.publisher().once()
    assert sizes(log) == [tree.size for tree in await log.checkpoints()]


async def test_a_checkpoint_that_the_anchor_has_is_not_added_again(log: Log) -> None:
    both = [await own_note(log, Tree(size, EMPTY)) for size in (1, 2)]
    await log.anchor.add(log.keys, 1, both)
    await log.anchor.add(log.keys, 1, both)
    assert sizes(log) == [1, 2]


async def test_an_anchor_that_cannot_be_written_is_an_alarm_and_the_log_goes_on(log: Log) -> None:
    (log.folder / "anchor.jsonl").mkdir()
    one = log.sequencer(witness=log.anchor.newest)
    for _ in range(2):
        await log.write(1)
        await one.once()
        assert await log.publisher().once() is False
    assert await log.sql.alarms() == {"audit_anchor_unavailable"}
    assert len(await log.checkpoints()) == 2


async def test_an_anchor_that_hangs_is_waited_for_once(log: Log) -> None:
    """A pipe that nobody reads from lets nobody open it."""
    path = log.folder / "anchor.jsonl"
    os.mkfifo(path)
    anchor = AnchorFile(path, patience=0.05)
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(AnchorUnavailable):
            await anchor.newest(log.keys, 1)
    assert threading.active_count() == before + 1
    path.open("w").close()
