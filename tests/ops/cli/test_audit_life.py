"""What operators do to the audit log as a whole, and that verifiers follow it (T-24, T-29)."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from keys.keyring import Purpose
from keys.sealed import KeyMaterial
from keys.signing import Signer
from ops import audit_life, auditing
from ops.refusal import Refused
from tests.api.sequencers import NAME, Log
from tests.database import Databases
from tests.ops.cli.commands import desk_at
from tests.ops.cli.test_audit import Office, lines, made, verdict
from vault.audit.log_keys import LogKeys, rotation
from vault.audit.merkle import EMPTY, Range, Tree
from vault.audit.note import Checkpoint, NoteKey, sign
from vault.auditing.anchor import AnchorUnavailable
from vault.auditing.patient import Trouble
from vault.db import Transaction
from vault.store import audit_pruning

STRANGER = Signer(bytes(16), KeyMaterial(bytes(range(32))))


@pytest.fixture
def office(
    databases: Databases, migrated_template: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Office]:
    monkeypatch.setattr(auditing, "_PATIENCE", 0.0)
    yield from made(databases, migrated_template, tmp_path)


async def go_on(log: Log) -> None:
    """Let a worker with the anchor do what there is."""
    one = log.sequencer(witness=log.anchor.newest)
    while await one.once():
        pass
    await log.sql.change("update vault.audit_sink set next_at = now()")
    await log.publisher().once()


def exported(office: Office, name: str, *arguments: str) -> Path:
    folder = office.desk.folder / name
    office.desk.data("audit", "export", "-o", str(folder), *arguments)
    return folder


def test_a_database_that_was_set_back_begins_a_new_epoch_and_verifiers_follow(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """audit-log.md 3.10 G: leaf 0 says where the epoch before ended and what is lost of it."""
    size = len(lines(office.bundle))

    async def set_back(log: Log) -> None:
        signer = await log.keyring.signer("", Purpose.AUDIT)
        ahead = sign(str(Checkpoint(NAME, Tree(size + 5, EMPTY))), NAME, signer)
        await log.anchor.add(log.keys, 1, [ahead])
        await log.write(3)
        await go_on(log)
        assert await log.sql.alarms() == {"audit_fork"}

    office.with_log(set_back)
    granted = office.desk.data("audit", "new-epoch", "--reason", "restored")
    assert granted == {"epoch": 2, "reason": "restored"}
    assert "a worker has to run" in office.desk.refusal("audit", "new-epoch", "--reason", "restored")
    office.with_log(go_on)
    folder = exported(office, "second")
    first = json.loads(lines(folder)[0])["event"]
    assert (first["type"], first["reason"]) == ("audit.epoch_begun", "restored")
    assert first["details"]["checkpoint"].startswith(f"{NAME}\n{size + 5}\n")
    assert {name: first["details"][name] for name in ("from", "to", "lost")} == {"from": 1, "to": 2, "lost": 5}
    anchor = office.desk.folder / "anchor.jsonl"
    assert verdict(capsys, folder, office.key, "--anchor", str(anchor))[0] == 0
    assert json.loads(anchor.read_text().splitlines()[-1])["note"].startswith(f"{NAME}/2\n")
    vkey = (folder / "vkey").read_text().strip()
    assert vkey.startswith(f"{NAME}/2+")
    assert verdict(capsys, folder, vkey)[0] == 0
    assert verdict(capsys, office.bundle, vkey)[0] == 0
    code, said = verdict(capsys, folder, office.key, "--previous", str(office.bundle / "checkpoint"))
    assert (code, "cannot be used" in said) == (1, True)
    ended = exported(office, "first", "--epoch", "1")
    assert lines(ended) == lines(office.bundle)
    previous = ("--previous", str(office.bundle / "checkpoint"))
    assert verdict(capsys, ended, office.key, *previous)[0] == 0
    assert "epoch 3" in office.desk.refusal("audit", "export", "--epoch", "3", "-o", str(office.desk.folder / "third"))


def test_an_epoch_does_not_begin_while_the_anchor_does_not_answer(office: Office) -> None:
    """What is lost would be stated wrongly, and for good."""
    size = len(lines(office.bundle))

    async def away(_keys: LogKeys, _epoch: int) -> Checkpoint | None:
        raise AnchorUnavailable(Trouble.HANGING)

    async def wait(log: Log) -> None:
        signer = await log.keyring.signer("", Purpose.AUDIT)
        await log.anchor.add(log.keys, 1, [sign(str(Checkpoint(NAME, Tree(size + 5, EMPTY))), NAME, signer)])
        await log.sequencer(witness=away).once()
        assert await log.sql.value("select epoch from vault.audit_head") == 1
        await log.sequencer(witness=log.anchor.newest).once()
        entry = await log.sql.value("select entry from vault.audit_leaf where epoch = 2 and place = 0")
        assert json.loads(entry)["event"]["details"]["lost"] == 5

    office.desk.data("audit", "new-epoch", "--reason", "restored")
    office.with_log(wait)


def test_an_epoch_begins_without_an_anchor_and_with_a_broken_one(office: Office) -> None:
    async def spoil(log: Log) -> None:
        await log.tamper("delete from vault.audit_checkpoint")
        await log.tamper("update vault.audit_head set size = size + 1")
        log.anchor.path.write_text("nothing\n")
        await go_on(log)

    office.with_log(spoil)
    office.desk.data("audit", "new-epoch", "--reason", "damaged")
    office.with_log(go_on)
    (begun,) = [
        each for each in map(json.loads, lines(exported(office, "x"))) if "epoch_begun" in each["event"]["type"]
    ]
    assert (begun["event"]["details"]["checkpoint"], begun["event"]["details"]["lost"]) == (None, None)


def test_an_epoch_waits_for_the_key_and_for_whoever_has_the_log(office: Office) -> None:
    office.desk.data("audit", "new-epoch", "--reason", "rewritten")

    async def wait(log: Log) -> None:
        one = log.sequencer()
        async with log.sql.connection.transaction():
            await log.sql.connection.execute("select from vault.audit_head for update")
            assert await one.once() is False
        await log.tamper("update vault.data_key set state = 'decrypt_only' where purpose = 'audit'")
        assert await one.once() is False
        assert await log.sql.value("select epoch from vault.audit_head") == 1
        await log.tamper("update vault.data_key set state = 'active' where purpose = 'audit'")
        assert await one.once() is True
        assert await log.sql.value("select origin from vault.audit_head") == f"{NAME}/2"
        assert "audit_unsigned" in await log.sql.alarms()

    office.with_log(wait)


def test_before_the_log_there_is_no_epoch_and_no_key(
    databases: Databases, migrated_template: str, tmp_path: Path
) -> None:
    for url in databases.fresh(migrated_template):
        desk = desk_at(tmp_path, url)
        desk.data("keys", "init")
        assert "a worker has to run" in desk.refusal("audit", "new-epoch", "--reason", "restored")
        assert "a worker has to run" in desk.refusal("audit", "rotate-key")


def test_a_key_hands_over_and_both_sign_that(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    """audit-log.md 3.10 H: who has pinned the first key goes on, through any number of successors."""
    pinned = office.key
    running: list[str] = []

    async def rotated(log: Log) -> None:
        one = log.sequencer(witness=log.anchor.newest)
        await one.once()
        for _ in range(2):
            done = await asyncio.to_thread(office.desk.data, "audit", "rotate-key")
            running.append(done["key"])
            await log.write(1)
            await one.once()
            await log.write(1)
            await one.once()
            await log.publisher().once()
        notes = [row["note"] for row in await log.sql.rows("select note from vault.audit_checkpoint order by size")]
        assert [note.count("\u2014") for note in notes[-4:]] == [2, 1, 2, 1]
        assert await log.sql.alarms() == set()

    office.with_log(rotated)
    folder = exported(office, "later")
    anchor = str(office.desk.folder / "anchor.jsonl")
    assert (folder / "vkey").read_text().strip() == running[-1]
    for key in (pinned, *running):
        assert verdict(capsys, folder, key, "--anchor", anchor)[0] == (0 if key == pinned else 1)
        assert verdict(capsys, folder, key)[0] == 0
    assert verdict(capsys, folder, pinned, "--previous", str(office.bundle / "checkpoint"))[0] == 0
    (folder / "rotations.jsonl").write_text("")
    assert verdict(capsys, folder, pinned)[0] == 2


def test_until_the_new_key_has_signed_a_checkpoint_exports_go_on(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    office.desk.data("audit", "rotate-key")
    folder = exported(office, "between")
    assert (folder / "vkey").read_text().strip() == office.desk.data("audit", "checkpoint")["key"] == office.key
    assert verdict(capsys, folder, office.key)[0] == 0


def test_what_an_earlier_key_has_signed_is_verified_without_naming_it(office: Office) -> None:
    running = office.desk.data("audit", "rotate-key")["key"]

    async def sign_on(log: Log) -> None:
        await log.write(1)
        await go_on(log)

    office.with_log(sign_on)
    folder, anchor = exported(office, "after"), str(office.desk.folder / "anchor.jsonl")
    assert (folder / "vkey").read_text().strip() == running
    for arguments in ([str(office.bundle)], [str(folder)], [str(folder), "--anchor", anchor]):
        result = office.desk.run("audit", "verify", *arguments)
        assert (result.exit_code, result.stdout.startswith("valid: ")) == (0, True)
    office.with_log(age)
    assert office.desk.data("audit", "prune", "--exported", str(office.bundle))["to"] == 12
    (office.bundle / "entries.jsonl").write_bytes(b"")
    result = office.desk.run("audit", "verify", str(office.bundle))
    assert (result.exit_code, "entry 0: it is missing" in result.stderr) == (2, True)


def test_a_hand_over_that_the_trusted_key_has_not_signed_is_not_followed(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody with a key of his own signs everything anew, the old checkpoints among it."""
    note = rotation(NAME, STRANGER, STRANGER)
    (office.bundle / "rotations.jsonl").write_text(json.dumps({"note": note}) + "\n")
    text = (office.bundle / "manifest.json").read_text()
    (office.bundle / "manifest.sig").write_text(sign(text, NAME, STRANGER)[len(text) + 1 :])
    assert verdict(capsys, office.bundle, office.key)[0] == 2
    mine = LogKeys(NAME, (STRANGER.public,)).of(1)[0]
    assert str(mine) == str(NoteKey(NAME, STRANGER.public))


async def age(log: Log) -> None:
    await log.tamper("update vault.audit_leaf set occurred_at = now() - interval '400 days' where place < 12")


def test_old_entries_are_pruned_once_a_valid_export_holds_them_and_proofs_go_on(
    office: Office, capsys: pytest.CaptureFixture[str]
) -> None:
    """audit-log.md 3.10 J, controls.md AUD-9: the first 12 of the entries are old enough."""
    prune = ("audit", "prune", "--exported")
    assert "older than 366 days" in office.desk.refusal(*prune, str(office.bundle))
    office.with_log(age)
    mine = exported(office, "mine", "--merchant", "m")
    assert "one merchant's entries alone" in office.desk.refusal(*prune, str(mine))
    later = exported(office, "later", "--from", "3")
    assert "entries from 0 on are still there" in office.desk.refusal(*prune, str(later))
    (later / "entries.jsonl").write_bytes(b"".join(lines(later)[1:]))
    assert "INVALID: entry 3: it is missing" in office.desk.refusal(*prune, str(later))
    done = office.desk.data(*prune, str(office.bundle))
    assert (done["epoch"], done["from"], done["to"]) == (1, 0, 12)
    assert "nothing of this export" in office.desk.refusal(*prune, str(office.bundle))
    folder = exported(office, "after")
    assert (lines(folder)[:12], lines(folder)[12:]) == ([b"null\n"] * 12, lines(office.bundle)[12:])
    previous = str(office.bundle / "checkpoint")
    code, said = verdict(capsys, folder, office.key, "--previous", previous)
    assert (code, "those before 12 pruned" in said) == (0, True)
    kept = lines(folder)
    (folder / "entries.jsonl").write_bytes(b"".join([*kept[:12], b"null\n", *kept[13:]]))
    assert "entry 12: it is not what was logged there" in verdict(capsys, folder, office.key)[1]

    async def look(log: Log) -> None:
        (event,) = await log.sql.events("audit.pruned")
        assert event["details"] == {"from": 0, "to": 12, "manifest": done["manifest"]}
        await log.write(1)
        await go_on(log)
        assert await log.sql.alarms() == set()

    office.with_log(look)


def test_pruning_goes_in_steps(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_life, "_BATCH", 5)
    office.with_log(age)
    assert office.desk.data("audit", "prune", "--exported", str(office.bundle))["to"] == 12
    assert lines(exported(office, "after")).count(b"null\n") == 12

    async def look(log: Log) -> None:
        said = [event["details"] for event in await log.sql.events("audit.pruned")]
        assert [(each["from"], each["to"]) for each in said] == [(0, 5), (5, 10), (10, 12)]

    office.with_log(look)


def test_a_pruning_that_was_cut_off_has_said_what_it_did(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_life, "_BATCH", 5)
    office.with_log(age)
    real, done = audit_pruning.prune, []

    async def dying(transaction: Transaction, epoch: int, places: Range) -> None:
        done.append(places)
        if len(done) > 1:
            raise Refused("cut off")
        await real(transaction, epoch, places)

    monkeypatch.setattr(audit_pruning, "prune", dying)
    assert "cut off" in office.desk.refusal("audit", "prune", "--exported", str(office.bundle))

    async def look(log: Log) -> None:
        (event,) = await log.sql.events("audit.pruned")
        assert (event["details"]["from"], event["details"]["to"]) == (0, 5)

    office.with_log(look)


def test_the_database_lets_nothing_else_become_of_an_entry(office: Office) -> None:
    """Whoever asks, also the owner: no change, no deletion, nothing younger than three months."""
    office.with_log(age)

    async def refused(log: Log) -> None:
        for statement in (
            "update vault.audit_leaf set entry = null where place = 12",
            "update vault.audit_leaf set entry = 'x' where place = 1",
            "update vault.audit_leaf set entry = null, hash = 'x' where place = 1",
            "update vault.audit_leaf set entry = null, occurred_at = now() where place = 1",
            "delete from vault.audit_leaf where place = 1",
        ):
            with pytest.raises(asyncpg.CheckViolationError):
                await log.sql.connection.execute(statement)

    office.with_log(refused)
