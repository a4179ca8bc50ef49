"""Exports as csv and ocsf, exports that go on where they were killed, and the verifier's report for people."""

import csv
import fcntl
import html.parser
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keys.keyring import Purpose
from ops import audit_bundle, auditing
from ops.auditing import Wanted
from tests.api.sequencers import NAME, Log
from tests.database import Databases
from tests.docs.guide import ROOT
from tests.ops.cli.test_audit import FILES, Office, lines, made, verdict
from tests.vault.audit.published_ocsf import faults
from vault.audit.note import sign

VIEWS = {"csv": "entries.csv", "ocsf": "entries.ocsf.jsonl"}
KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from ops import audit_bundle, auditing
from vault.settings import load_settings

def progress(done, total):
    if done == 13:
        os.kill(os.getpid(), signal.SIGKILL)

auditing._PATIENCE = 0.0
audit_bundle._SAVED_EVERY = 5
wanted = auditing.Wanted(0, 20, None, "ocsf")
asyncio.run(auditing.export(load_settings(), wanted, Path(sys.argv[1]), progress))
"""


@pytest.fixture(scope="module")
def office(databases: Databases, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """Shared: nothing here changes more than the queue."""
    for each in made(databases, migrated_template, tmp_path_factory.mktemp("office")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(auditing, "_PATIENCE", 0.0)
            for name in VIEWS:
                each.desk.data("audit", "export", "--format", name, "-o", str(each.desk.folder / name))
        yield each


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auditing, "_PATIENCE", 0.0)


def signed_again(office: Office, folder: Path) -> None:
    """Let the log's key sign what a folder holds now, as a liar with that key would."""
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"] = {name: audit_bundle._digest(folder / name) for name in manifest["files"]}
    text = json.dumps(manifest) + "\n"
    (folder / "manifest.json").write_text(text)

    async def work(log: Log) -> None:
        signer = await log.keyring.signer("", Purpose.AUDIT)
        (folder / "manifest.sig").write_text(sign(text, NAME, signer)[len(text) + 1 :])

    office.with_log(work)


@pytest.mark.parametrize(("name", "file"), VIEWS.items())
def test_a_form_comes_beside_the_entries_and_is_valid(
    office: Office, name: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = office.desk.folder / name
    assert {each.name for each in folder.iterdir()} == {*FILES, file}
    assert verdict(capsys, folder, office.key)[0] == 0
    assert lines(folder)[: len(lines(office.bundle))] == lines(office.bundle)


def test_what_is_exported_as_ocsf_is_valid_there(office: Office) -> None:
    text = (office.desk.folder / "ocsf" / "entries.ocsf.jsonl").read_text()
    exported = [json.loads(line) for line in text.split("\n")[:-1]]
    assert [faults(each) for each in exported] == [[]] * len(lines(office.desk.folder / "ocsf"))
    assert {"audit.log_created", "audit.started"} <= {each["metadata"].get("event_code") for each in exported}


def test_what_is_exported_as_csv_opens_in_a_spreadsheet(office: Office) -> None:
    with (office.desk.folder / "csv" / "entries.csv").open(newline="") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert [int(row["place"]) for row in rows] == list(range(len(rows)))
    assert [row["entry"].encode() + b"\n" for row in rows] == lines(office.desk.folder / "csv")


@pytest.mark.parametrize(("name", "file"), VIEWS.items())
def test_a_merchants_form_has_the_merchants_entries_alone(
    office: Office, tmp_path: Path, name: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    record = office.desk.data("audit", "export", "--merchant", "m", "--format", name, "-o", str(folder))
    rows = (folder / file).read_bytes().splitlines()
    assert len(rows) - (name == "csv") == record["entries"] == 12
    assert b"other" not in (folder / file).read_bytes()
    assert verdict(capsys, folder, office.key)[0] == 0


LIES: list[tuple[Callable[[list[bytes]], list[bytes]], str]] = [
    (lambda rows: [*rows[:6], *rows[7:]], "entry {}: {} says something else"),
    (lambda rows: [*rows[:6], rows[7], rows[6], *rows[8:]], "entry {}: {} says something else"),
    (lambda rows: [*rows[:6], rows[6].replace(b"audit/1", b"audit/2"), *rows[7:]], "entry {}: {} says something else"),
    (lambda rows: [*rows, rows[-1]], "{1}: it has more rows than there are entries"),
    (lambda rows: [*rows[:6], b"x\n", *rows[7:]], "INVALID"),
]


@pytest.mark.parametrize(("name", "file"), VIEWS.items())
@pytest.mark.parametrize(("lie", "said"), LIES)
def test_a_form_that_tells_something_else_is_invalid_whoever_signs_it(
    office: Office,
    tmp_path: Path,
    name: str,
    file: str,
    lie: Callable[[list[bytes]], list[bytes]],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = shutil.copytree(office.desk.folder / name, tmp_path / "copy")
    rows = (copy / file).read_bytes().splitlines(keepends=True)
    (copy / file).write_bytes(b"".join(lie(rows)))
    signed_again(office, copy)
    code, heard = verdict(capsys, copy, office.key)
    assert (code, said.format(6 - (name == "csv"), file) in heard) == (2, True), heard


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", "entries.csv"])
def test_a_file_that_does_not_belong_to_it_makes_an_export_invalid(
    office: Office, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(office.bundle, tmp_path / "copy")
    (copy / name).write_text("")
    assert f"{name}: it does not belong to the export" in verdict(capsys, copy, office.key)[1]


@pytest.mark.parametrize("files", [{}, {"../vkey": {}}, {"checkpoint": {}, "entries.jsonl": {}}])
def test_a_manifest_has_to_list_the_files_of_an_export(
    office: Office, tmp_path: Path, files: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    copy = shutil.copytree(office.bundle, tmp_path / "copy")
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps(manifest | {"files": {}}))
    manifest["files"] = {name: {} for name in files}
    signed_again(office, copy)
    code, said = verdict(capsys, copy, office.key)
    assert (code, "does not list the files of an export" in said) == (2, True)


def test_an_export_that_was_killed_goes_on_and_is_the_same(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """EXP-4."""
    environ = {**os.environ, **office.desk.env}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "x")]
    died = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=False)
    assert (died.returncode, (tmp_path / "x").exists()) == (-signal.SIGKILL, False), died.stderr
    partial = tmp_path / "x.partial"
    state = json.loads((partial / "unfinished.json").read_text())
    assert state["place"] == 10
    with (partial / "entries.jsonl").open("ab") as file:
        file.write(b"half a li")
    arguments = ("audit", "export", "--from", "0", "--to", "20")
    assert "unfinished export of something else" in office.desk.refusal(*arguments, "-o", str(tmp_path / "x"))
    for name in ("x", "y"):
        office.desk.data(*arguments, "--format", "ocsf", "-o", str(tmp_path / name))
    assert not partial.exists()
    for each in (tmp_path / "y").iterdir():
        assert (tmp_path / "x" / each.name).read_bytes() == each.read_bytes()
    assert verdict(capsys, tmp_path / "x", office.key)[0] == 0


def test_a_folder_is_made_by_one_process_at_a_time(office: Office, tmp_path: Path) -> None:
    (tmp_path / "x.partial").mkdir()
    (tmp_path / "x.partial" / "left").write_text("of one that had hardly begun")
    holding = os.open(tmp_path / "x.partial", os.O_RDONLY)
    fcntl.flock(holding, fcntl.LOCK_EX)
    assert "another process is writing" in office.desk.refusal("audit", "export", "-o", str(tmp_path / "x"))
    os.close(holding)
    office.desk.data("audit", "export", "-o", str(tmp_path / "x"))
    assert not (tmp_path / "x" / "left").exists()


def test_an_unfinished_export_of_another_log_is_not_gone_on_with(office: Office, tmp_path: Path) -> None:
    said = Wanted(None, None, None).said
    state = {"asked": said, "epoch": 1, "note": "x", "start": 0, "end": 1, "place": 0, "disclosed": 0, "lengths": {}}
    (tmp_path / "x.partial").mkdir()
    (tmp_path / "x.partial" / "unfinished.json").write_text(json.dumps(state))
    assert "is of another log" in office.desk.refusal("audit", "export", "-o", str(tmp_path / "x"))


def test_how_far_an_export_is_can_be_watched(office: Office, tmp_path: Path) -> None:
    result = office.desk.run("audit", "export", "--to", "9", "-o", str(tmp_path / "x"))
    assert "audit export: 9 of 9, " in result.stderr


class Seen(html.parser.HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.attributes: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_report_shows_people_what_was_checked(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "report.html"
    assert verdict(capsys, office.bundle, office.key, "--html", str(place))[0] == 0
    seen = Seen(place.read_text())
    assert set(seen.tags) <= {*("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "b"), *(
        "table", "tr", "td", "th", "i"
    )}  # fmt: skip
    assert seen.attributes <= {"lang", "charset", "class", "style"}
    assert {"Valid", office.key, "audit.log_created", "audit.started"} <= set(seen.texts)
    assert "url(" not in place.read_text()
    assert verdict(capsys, office.bundle, office.key, "--max-age", "0", "--html", str(place))[0] == 3
    assert "Valid, and stale" in Seen(place.read_text()).texts


def test_a_report_of_something_invalid_shows_nothing_of_it(
    office: Office, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, place = shutil.copytree(office.bundle, tmp_path / "copy"), tmp_path / "report.html"
    (copy / "<script>alert(1)").write_text("")
    assert verdict(capsys, copy, office.key, "--html", str(place))[0] == 2
    seen = Seen(place.read_text())
    assert ("Invalid" in seen.texts, "script" in seen.tags, "table" in seen.tags) == (True, False, False)
    assert verdict(capsys, copy, "none", "--html", str(place))[0] == 1
    assert "It cannot be told" in Seen(place.read_text()).texts
    assert verdict(capsys, office.bundle, office.key, "--html", str(tmp_path))[0] == 1
