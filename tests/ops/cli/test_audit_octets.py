"""An export in which any octet of any file was changed: it is invalid, and the file or the entry is named (T-26)."""

from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops import auditing
from ops.verify_audit import Verdict, judged
from tests.api.sequencers import Log
from tests.database import Databases
from tests.ops.cli.test_audit import FILES, Office, made

SIGNING = "manifest.json, manifest.sig or rotations.jsonl: "  # which of them it is, nobody can tell
NAMED = {
    **{name: f"{name}: it is not the file that was exported" for name in FILES},
    **dict.fromkeys(("manifest.json", "manifest.sig", "rotations.jsonl"), SIGNING),
    "entries.jsonl": "entry ",
    "entries.csv": "entries.csv: it is not the file that was exported",
    "entries.ocsf.jsonl": "entries.ocsf.jsonl: it is not the file that was exported",
}
PLACES = [*((name, "jsonl") for name in FILES), ("entries.csv", "csv"), ("entries.ocsf.jsonl", "ocsf")]


@pytest.fixture(scope="module")
def office(databases: Databases, migrated_template: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """With small exports in each form, of a log whose key has handed over."""

    async def go_on(log: Log) -> None:
        await log.sequencer().once()

    for each in made(databases, migrated_template, tmp_path_factory.mktemp("office")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(auditing, "_PATIENCE", 0.0)
            each.desk.data("audit", "rotate-key")
            each.with_log(go_on)
            for form in ("jsonl", "csv", "ocsf"):
                folder = str(each.desk.folder / form)
                each.desk.data("audit", "export", "--from", "1", "--to", "2", "--format", form, "-o", folder)
        yield each


def verdict_on(folder: Path, key: str) -> Verdict:
    return judged(Namespace(folder=folder, key=key, previous=None, anchor=None, max_age=None, html=None))


@pytest.mark.parametrize(("name", "form"), PLACES)
def test_an_octet_that_was_changed_is_found_and_its_place_named(office: Office, name: str, form: str) -> None:
    """Every octet of the file, the bits in turn."""
    folder = office.desk.folder / form
    assert verdict_on(folder, office.key).code == 0
    octets = (folder / name).read_bytes()
    assert octets
    for place, octet in enumerate(octets):
        (folder / name).write_bytes(octets[:place] + bytes([octet ^ 1 << place % 8]) + octets[place + 1 :])
        verdict = verdict_on(folder, office.key)
        assert (verdict.code, NAMED[name] in verdict.said) == (2, True), (place, verdict.said)
    (folder / name).write_bytes(octets)
    assert verdict_on(folder, office.key).code == 0
