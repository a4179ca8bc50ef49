"""The ceremonies of docs/key-ceremonies.md, held one after the other as they stand there (T-54, T-57)."""

import os
import re
import shlex
from pathlib import Path

import pytest

from tests import stretching
from tests.docs.guide import blocks
from tests.hsm import Hsm
from tests.kms import Kms
from tests.ops.cli.commands import Desk, desk_at
from vault import unsealing

ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
PASSPHRASE = "a passphrase of a custodian's"


@pytest.fixture
def place(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """An installation whose keystore is where the document says."""
    for name in [name for name in os.environ if name.startswith("CARDVAULT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(unsealing, "open_seal", stretching.once(unsealing.open_seal, {}))
    for folder in ("srv/cardvault", "etc/cardvault", "media/ceremony"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "etc/cardvault/passphrase-2").write_text("another passphrase altogether")
    desk = desk_at(tmp_path, database_url)
    return Desk(tmp_path, {**desk.env, "CARDVAULT_SEAL": f"local:{tmp_path}/srv/cardvault/keystore.json"})


def _named(variable: str, desk: Desk) -> str:
    """Name what the document means: what a shredding left, a seal that was lost, or the first, about to be replaced."""
    if variable == "$LEFT_OPENER":
        return str(desk.data("keys", "shred")["left"][0])
    roots = desk.data("keys", "status")["rootKeys"]
    meant = [root["seal"] for root in roots if variable != "$LOST_SEAL" or root["opens"] is False]
    return str(meant[0])


def _really(text: str, desk: Desk, hsm: Hsm, kms: Kms) -> str:
    """Put the places of this test where the document has those of an installation."""
    text = text.replace("/usr/lib/softhsm/libsofthsm2.so", str(hsm.library))
    text = text.replace("/etc/cardvault/hsm-pin", str(hsm.pin_file)).replace("object=root", "object=ceremonies")
    text = text.replace(f"awskms:{ARN}", kms.uri(ARN))
    return re.sub(r"(?<=[:= ])/(?=srv/|etc/cardvault|media/)", f"{desk.folder}/", text)


def test_every_ceremony_works_as_it_is_described(place: Desk, hsm: Hsm, kms: Kms) -> None:
    kms.keys[ARN] = os.urandom(32)
    place.data("keys", "init")
    env, ran = dict(place.env), 0
    for block in blocks("docs/key-ceremonies.md"):
        for line in block.script.splitlines():
            desk = Desk(place.folder, env)
            text = _really(line, desk, hsm, kms)
            for variable in re.findall(r"\$\w+", text):
                text = text.replace(variable, _named(variable, desk))
            words = shlex.split(text)
            if words[0] == "export":
                name, _, value = words[1].partition("=")
                env[name] = value
                continue
            result = desk.run(*words[1:], given=f"{PASSPHRASE}\n" * 6)
            assert result.exit_code == 0, f"{line}\n{result.output}"
            ran += 1
    assert ran == 32
    desk = Desk(place.folder, env)
    opening = desk.data("keys", "seals", "verify")
    assert [row["opens"] for row in opening] == [True]
    assert {root["version"] for root in desk.data("keys", "status")["rootKeys"]} == {3}
