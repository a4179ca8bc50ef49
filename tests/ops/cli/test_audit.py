"""Exports of the audit log and what the one-file verifier finds in them, whoever changed what (T-24, T-26)."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from keys.keyring import Purpose
from keys.sealed import KeyMaterial
from keys.signing import Signer
from ops import auditing, verify_audit
from ops.auditing import Wanted
from tests.api.sequencers import NAME, Log, opened_log
from tests.api.shop import Sql
from tests.database import Databases
from tests.docs.guide import ROOT
from tests.installation import Blueprint, settings_for
from tests.ops.cli.commands import Desk, desk_at
from vault.audit.merkle import EMPTY, Tree
from vault.audit.note import Checkpoint, NoteKey, sign

FILES = ["manifest.json", "manifest.sig", "checkpoint", "entries.jsonl", "hashes.bin", "rotations.jsonl", "vkey"]
STRANGER = Signer(bytes(16), KeyMaterial(bytes(range(32))))


@dataclass(frozen=True)
class Office:
    """An auditor's desk at an installation whose log has grown in three steps."""

    desk: Desk
    url: str
    bundle: Path

    @property
    def key(self) -> str:
        return (self.bundle / "vkey").read_text().strip()

    def with_log(self, work: Callable[[Log], Awaitable[object]]) -> None:
        """Do something to the log."""

        async def run() -> None:
            connection = await asyncpg.connect(self.url, ssl=False)
            blueprint = Blueprint("", self.desk.folder, ())
            async with opened_log(blueprint, self.url, Sql(connection), self.desk.folder) as log:
                await work(log)
            await connection.close()

        asyncio.run(run())

    def signed(self, tree: Tree) -> str:
        """Sign a tree as the log's key would."""
        notes: list[str] = []

        async def work(log: Log) -> None:
            signer = await log.keyring.signer("", Purpose.AUDIT)
            notes.append(sign(str(Checkpoint(NAME, tree)), NAME, signer))

        self.with_log(work)
        return notes[0]


async def grow(log: Log) -> None:
    one = log.sequencer()
    for _ in range(3):
        for merchant in ("m", "other"):
            await log.write(4, merchant)
        await one.once()
        await log.publisher().once()


def made(databases: Databases, template: str, folder: Path) -> Iterator[Office]:
    for url in databases.fresh(template):
        office = Office(desk_at(folder, url), url, folder / "bundle")
        office.desk.data("keys", "init")
        office.with_log(grow)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(auditing, "_PATIENCE", 0.0)
            office.desk.data("audit", "export", "-o", str(office.bundle))
        yield office


@pytest.fixture(scope="module")
def office(databases: Databases, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Shared by the tests that change nothing in the database but its queue."""
    yield from made(databases, migrated_template, tmp_path_factory.mktemp("office"))


@pytest.fixture
def own_office(databases: Databases, migrated_template: str, tmp_path: Path) -> Iterator[Office]:
    yield from made(databases, migrated_template, tmp_path)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "_PATIENCE", 0.0)


@pytest.fixture
def copy(office: Office, tmp_path: Path) -> Path:
    """An export to tamper with."""
    return Path(shutil.copytree(office.bundle, tmp_path / "copy"))


def verdict(capsys: pytest.CaptureFixture[str], folder: Path, key: str, *more: str) -> tuple[int, str]:
    code = verify_audit.main([str(folder), "--key", key, *more])
    said = capsys.readouterr()
    return code, said.out + said.err


def lines(folder: Path) -> list[bytes]:
    return (folder / "entries.jsonl").read_bytes().splitlines(keepends=True)


def test_an_export_is_valid_and_verified_by_the_command_and_by_the_file_alone(office: Office, tmp_path: Path) -> None:
    result = office.desk.run("audit", "verify", str(office.bundle))
    assert (result.exit_code, result.stdout) == (
        0,
        f"valid: {len(lines(office.bundle))} entries at places 0 to {len(lines(office.bundle)) - 1} of {len(lines(office.bundle))}\n",
    )
    alone = shutil.copy(ROOT / "ops" / "verify_audit.py", tmp_path)
    command = [sys.executable, "-I", alone, str(office.bundle), "--key", office.key]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0


def test_the_checkpoint_is_printed_as_it_was_signed(office: Office) -> None:
    printed = office.desk.run("audit", "checkpoint")
    record = office.desk.data("audit", "checkpoint")
    assert printed.stdout == record["note"] == (office.bundle / "checkpoint").read_text()
    assert record["key"] in printed.stderr
    assert (record["origin"], record["key"]) == (NAME, office.key)
    assert record["note"].startswith(f"{NAME}\n{record['size']}\n{record['root']}\n")


def test_the_same_range_gives_the_same_octets(office: Office, tmp_path: Path) -> None:
    for name in ("one", "two"):
        office.desk.data("audit", "export", "--from", "3", "--to", "9", "-o", str(tmp_path / name))
    for name in FILES:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


@pytest.mark.parametrize(("since", "until"), [(0, 1), (5, 6), (0, 16), (3, 11), (7, 28)])
def test_every_part_proves_itself(
    office: Office, tmp_path: Path, since: int, until: int, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "part"
    record = office.desk.data("audit", "export", "--from", str(since), "--to", str(until), "-o", str(folder))
    assert (record["from"], record["entries"]) == (since, record["to"] - since)
    assert lines(folder) == lines(office.bundle)[since:until]
    assert verdict(capsys, folder, office.key)[0] == 0


def test_a_range_of_time_holds_all_of_its_events(office: Office, tmp_path: Path) -> None:
    entries = [json.loads(line) for line in lines(office.bundle)]
    since, until = entries[4]["at"], entries[9]["at"]
    record = office.desk.data("audit", "export", "--from", since, "--to", until, "-o", str(tmp_path / "time"))
    inside = [place for place, entry in enumerate(entries) if since <= entry["at"] < until]
    assert (record["from"], record["to"]) == (min(inside), max(inside) + 1)
    record = office.desk.data(
        "audit", "export", "--from", "2020-01-01", "--to", "2100-01-01", "-o", str(tmp_path / "all")
    )
    assert record["from"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--from", "2100-01-01"], "no signed entry is in this range"),
        (["--to", "2000-01-01"], "no signed entry is in this range"),
        (["--from", "100000"], "no signed entry is in this range"),
        (["--from", "yesterday"], "a bound is a place in the log, or a moment"),
    ],
)
def test_a_range_without_entries_is_refused(office: Office, tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in office.desk.refusal("audit", "export", *arguments, "-o", str(tmp_path / "none"))
    assert list(tmp_path.iterdir()) == []


def test_an_export_overwrites_nothing(office: Office) -> None:
    assert "is there already" in office.desk.refusal("audit", "export", "-o", str(office.bundle))


def test_an_export_is_an_event_and_says_when_it_is_not_complete(office: Office, tmp_path: Path) -> None:
    """controls.md AUD-1."""
    result = office.desk.run(
        "audit", "export", "--merchant", "m", "--from", "2", "--to", "2030-01-01", "-o", str(tmp_path / "x")
    )
    assert "is a worker running?" in result.stderr

    async def look(log: Log) -> None:
        (event, *_) = (await log.sql.events("audit.exported"))[::-1]
        assert (event["objects"], event["details"]) == (
            ["m"],
            {"epoch": None, "format": "jsonl", "from": 2, "to": "2030-01-01T00:00:00+00:00"},
        )

    office.with_log(look)


def test_an_export_waits_until_what_was_before_it_is_signed(
    own_office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "_PATIENCE", 60.0)
    monkeypatch.setattr(auditing, "_LOOK", 0.02)
    settings = settings_for(own_office.desk.folder, own_office.url)

    async def export(log: Log) -> None:
        async def sequence() -> None:
            one = log.sequencer()
            while True:
                await one.once()
                await asyncio.sleep(0.05)

        working = asyncio.create_task(sequence())
        exported = await auditing.export(settings, Wanted(None, None, None), tmp_path / "x")
        working.cancel()
        assert exported.complete

    own_office.with_log(export)
    assert b"audit.exported" in b"".join(lines(tmp_path / "x"))


def test_a_merchants_export_withholds_the_others_entries_and_is_complete(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    record = office.desk.data("audit", "export", "--merchant", "m", "-o", str(folder))
    assert (record["entries"], lines(folder).count(b"null\n")) == (12, record["to"] - 12)
    assert b'"other"' not in (folder / "entries.jsonl").read_bytes()
    assert verdict(capsys, folder, office.key)[0] == 0
    place = next(index for index, line in enumerate(lines(folder)) if line != b"null\n")
    changed = lines(folder)
    changed[place] = b"null\n"
    (folder / "entries.jsonl").write_bytes(b"".join(changed))
    assert "withheld although it belongs to the merchant" in verdict(capsys, folder, office.key)[1]


TAMPERING: list[tuple[Callable[[list[bytes]], list[bytes]], str]] = [
    (
        lambda rows: [*rows[:5], rows[5].replace(b"aev_", b"aev-"), *rows[6:]],
        "entry 5: it is not what was logged there",
    ),
    (lambda rows: [*rows[:5], *rows[6:]], "entry 5: it is missing"),
    (lambda rows: [*rows[:5], rows[2], *rows[5:]], "entry 5: it is not what was logged there"),
    (lambda rows: [*rows[:5], rows[6], rows[5], *rows[7:]], "entry 5: it is missing"),
    (lambda rows: [*rows[:5], b"null\n", *rows[6:]], "entry 5: it is not what was logged there"),
    (lambda rows: [*rows, rows[-1]], "it was added behind the last one"),
    (lambda rows: rows[:-1], "it is missing"),
    (lambda rows: [*rows[:-1], rows[-1][:-1]], "it is not what was logged there"),
]


@pytest.mark.parametrize(("change", "said"), TAMPERING)
def test_the_first_entry_that_was_tampered_with_is_named(
    office: Office,
    copy: Path,
    change: Callable[[list[bytes]], list[bytes]],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (copy / "entries.jsonl").write_bytes(b"".join(change(lines(copy))))
    code, heard = verdict(capsys, copy, office.key)
    assert (code, said in heard) == (2, True)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_leaves_it_untold(
    office: Office, copy: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / name).unlink()
    assert verdict(capsys, copy, office.key)[0] == 1


def test_an_export_that_somebody_else_has_signed_is_invalid(
    office: Office, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (copy / "manifest.json").read_text()
    (copy / "manifest.sig").write_text(sign(text, NAME, STRANGER)[len(text) + 1 :])
    assert "the pinned key has not signed it" in verdict(capsys, copy, office.key)[1]
    assert verdict(capsys, office.bundle, str(NoteKey(NAME, STRANGER.public)))[0] == 2


@pytest.mark.parametrize("key", ["", "nothing", "a+b+c", "@/nowhere/at/all"])
def test_a_key_that_is_none_is_unusable(office: Office, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(capsys, office.bundle, key)[0] == 1


def test_without_a_key_nothing_is_verified(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify_audit.main([str(office.bundle)]) == 1
    assert verify_audit.main(["--help"]) == 0
    assert "--key" in capsys.readouterr().out


def test_a_key_may_come_from_a_file(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(capsys, office.bundle, f"@{office.bundle / 'vkey'}")[0] == 0


def test_an_earlier_checkpoint_has_to_be_a_beginning(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, size = tmp_path / "kept", len(lines(office.bundle))
    previous = ["--previous", str(kept)]
    kept.write_bytes((office.bundle / "checkpoint").read_bytes())
    assert verdict(capsys, office.bundle, office.key, *previous)[0] == 0
    kept.write_text(office.signed(Tree(9, EMPTY)))
    code, said = verdict(capsys, office.bundle, office.key, *previous)
    assert (code, "places 0 to 8" in said) == (2, True)
    kept.write_text(office.signed(Tree(size + 1, EMPTY)))
    assert verdict(capsys, office.bundle, office.key, *previous)[0] == 3
    kept.write_text(sign(str(Checkpoint(NAME, Tree(9, EMPTY))), NAME, STRANGER))
    assert verdict(capsys, office.bundle, office.key, *previous)[0] == 1
    kept.write_text(office.signed(Tree(2, EMPTY)))
    office.desk.data("audit", "export", "--from", "5", "-o", str(tmp_path / "later"))
    assert verdict(capsys, tmp_path / "later", office.key, *previous)[0] == 1


def test_the_anchor_has_to_agree(office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    anchor = tmp_path / "anchor.jsonl"
    anchor.write_bytes((office.desk.folder / "anchor.jsonl").read_bytes() + b'{"cut')
    assert len(anchor.read_text().splitlines()) == 4
    assert verdict(capsys, office.bundle, office.key, "--anchor", str(anchor))[0] == 0
    note = office.signed(Tree(7, EMPTY))
    anchor.write_text(json.dumps({"at": "", "note": note}) + "\n")
    assert verdict(capsys, office.bundle, office.key, "--anchor", str(anchor))[0] == 2


def test_an_old_export_is_stale_where_that_matters(office: Office, capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict(capsys, office.bundle, office.key, "--max-age", "0")[0] == 3
    assert verdict(capsys, office.bundle, office.key, "--max-age", "86400")[0] == 0


def test_what_was_changed_in_the_database_is_found(
    own_office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By somebody with all rights there: an entry alone, then with its hash."""
    edit = "update vault.audit_leaf set entry = convert_to(replace(convert_from(entry, 'UTF8'), 'aev_', 'aev-'), 'UTF8') where place = 6"
    own_office.with_log(lambda log: log.tamper(edit))
    own_office.desk.data("audit", "export", "-o", str(tmp_path / "one"))
    assert "entry 6: it is not what was logged there" in verdict(capsys, tmp_path / "one", own_office.key)[1]
    own_office.with_log(lambda log: log.tamper("update vault.audit_leaf set hash = sha256('\\x00'::bytea || entry)"))
    own_office.desk.data("audit", "export", "-o", str(tmp_path / "two"))
    anchor = str(own_office.desk.folder / "anchor.jsonl")
    assert "places 0 to" in verdict(capsys, tmp_path / "two", own_office.key, "--anchor", anchor)[1]
    own_office.with_log(lambda log: log.tamper("delete from vault.audit_leaf where place = 0"))
    refused = own_office.desk.refusal("audit", "export", "--from", "3", "-o", str(tmp_path / "three"))
    assert "are missing in the database" in refused
    own_office.with_log(lambda log: log.tamper("update vault.audit_checkpoint set note = note || 'x'"))
    assert "not signed by this installation's key" in own_office.desk.refusal("audit", "checkpoint")


QUEUED = [
    (["{}"], "no vault has written it"),
    (['{"id":"e","merchant":"","schema":"cardvault.audit/1"}'] * 2, "it is a copy of entry"),
]


@pytest.mark.parametrize(("bodies", "said"), QUEUED)
def test_what_was_smuggled_into_the_queue_is_named(
    own_office: Office, tmp_path: Path, bodies: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def smuggle(log: Log) -> None:
        for body in bodies:
            await log.sql.change(
                "insert into vault.audit_pending (event_id, merchant_id, body) values ('e', '', $1)", body.encode()
            )
        await log.sequencer().once()

    own_office.with_log(smuggle)
    own_office.desk.data("audit", "export", "-o", str(tmp_path / "x"))
    code, heard = verdict(capsys, tmp_path / "x", own_office.key)
    assert (code, said in heard) == (2, True)


def test_a_clock_that_was_set_back_is_named(
    own_office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def late(log: Log) -> None:
        await log.write(1)
        await log.sql.change("update vault.audit_pending set occurred_at = now() - interval '1 hour'")
        await log.sequencer().once()

    own_office.with_log(late)
    own_office.desk.data("audit", "export", "-o", str(tmp_path / "x"))
    assert "its time lies before that of earlier entries" in verdict(capsys, tmp_path / "x", own_office.key)[1]


def test_before_anything_is_signed_there_is_nothing_to_look_at(desk: Desk, tmp_path: Path) -> None:
    for arguments in (("checkpoint",), ("export", "-o", str(tmp_path / "x")), ("verify", str(tmp_path))):
        assert "a worker has to run" in desk.refusal("audit", *arguments)


def test_anchors_are_listed_with_their_lag_and_forgotten(own_office: Office) -> None:
    (anchor,) = own_office.desk.data("audit", "anchors")
    assert (anchor["told"], anchor["lagSeconds"], anchor["trouble"]) == ("checkpoints", 0, None)
    assert anchor["name"].startswith(f"file:{own_office.desk.folder / 'anchor.jsonl'} (")
    assert anchor["size"] == own_office.desk.data("audit", "checkpoint")["size"]
    assert "lagSeconds" in own_office.desk.run("audit", "anchors").stdout
    assert "no sink has this name" in own_office.desk.refusal("audit", "anchors", "--forget", "x")
    assert own_office.desk.data("audit", "anchors", "--forget", anchor["name"]) == []

    async def look(log: Log) -> None:
        (event,) = await log.sql.events("audit.sink_forgotten")
        assert event["details"] == {"sink": anchor["name"]}
        await log.publisher().once()

    own_office.with_log(look)
    assert own_office.desk.data("audit", "anchors")[0]["size"] == anchor["size"]


def test_the_script_is_the_command() -> None:
    command = [sys.executable, "-m", "ops.export_audit", "--help"]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=dict(os.environ))
    assert "cardvault audit export" in shown.stdout
