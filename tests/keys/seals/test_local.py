import subprocess
import sys
from pathlib import Path

import pytest

from keys.envelope import Context
from keys.errors import CannotOpen, RootKeyMismatch, SealFileExists, SealFileMissing, WrongPassphrase
from keys.keyring import Keyring, Purpose
from keys.rootkey import RootKey
from keys.sealed import KeyMaterial
from keys.seals.local import LocalSeal, Passphrase
from tests.keys.rows import ENVIRONMENT, MemoryRows
from tests.keys.sealing_process import PLACE

PASSPHRASE = Passphrase("correct horse battery")


@pytest.fixture
def local() -> LocalSeal:
    return LocalSeal(b"i" * 16, KeyMaterial.generate())


@pytest.mark.parametrize(
    "change",
    [{"key_id": bytes(16)}, {"version": 2}, {"environment": "production"}],
    ids=lambda change: next(iter(change)),
)
def test_a_root_key_comes_back_only_as_what_it_was_wrapped_for(
    change: dict[str, object], local: LocalSeal, root: RootKey
) -> None:
    """KEY-12, KEY-14."""
    expected = {"key_id": root.key_id, "version": 1, "environment": ENVIRONMENT, "check_value": root.check_value()}
    with pytest.raises(CannotOpen):
        local.unwrap_root(local.wrap_root(root, ENVIRONMENT), **{**expected, **change})  # type: ignore[arg-type]  # mixed


@pytest.mark.parametrize("check_value", [b"", bytes(16), bytes(32)])
def test_a_root_key_with_another_check_value_is_refused(check_value: bytes, local: LocalSeal, root: RootKey) -> None:
    """KEY-12."""
    blob = local.wrap_root(root, ENVIRONMENT)
    with pytest.raises(RootKeyMismatch):
        local.unwrap_root(blob, key_id=root.key_id, version=1, environment=ENVIRONMENT, check_value=check_value)


def test_an_altered_or_foreign_wrap_never_opens(local: LocalSeal, root: RootKey) -> None:
    """T-1."""
    blob = local.wrap_root(root, ENVIRONMENT)
    foreign = [
        LocalSeal(key_id, KeyMaterial.generate()).wrap_root(root, ENVIRONMENT) for key_id in (b"i" * 16, bytes(16))
    ]
    flipped = [blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :] for at in range(len(blob))]
    for bad in (b"", blob[:-1], blob + b"\x00", *flipped, *foreign):
        with pytest.raises(CannotOpen):
            local.unwrap_root(
                bad, key_id=root.key_id, version=1, environment=ENVIRONMENT, check_value=root.check_value()
            )


def test_a_wrap_of_something_that_is_no_key_never_opens(local: LocalSeal, root: RootKey) -> None:
    blob = local._cipher.seal(b"short", Context(ENVIRONMENT, "", "root_key", root.key_id.hex(), "v1"))
    with pytest.raises(CannotOpen):
        local.unwrap_root(blob, key_id=root.key_id, version=1, environment=ENVIRONMENT, check_value=root.check_value())


def test_a_root_key_comes_back_from_its_wrap(local: LocalSeal, root: RootKey) -> None:
    blob = local.wrap_root(root, ENVIRONMENT)
    back = local.unwrap_root(
        blob, key_id=root.key_id, version=1, environment=ENVIRONMENT, check_value=root.check_value()
    )
    assert (back.key_id, back.version, back.material) == (root.key_id, root.version, root.material)


def test_a_seal_is_named_by_its_keystore_and_shows_no_key() -> None:
    one, other = (LocalSeal(bytes([number]) * 16, KeyMaterial.generate()) for number in range(2))
    assert one.name == "local:" + "a" * 26
    assert one.name != other.name
    assert "Cipher" not in repr(one)


def test_creation_never_replaces_a_keystore(tmp_path: Path) -> None:
    LocalSeal.create(tmp_path / "keystore", PASSPHRASE)
    before = (tmp_path / "keystore").read_bytes()
    with pytest.raises(SealFileExists):
        LocalSeal.create(tmp_path / "keystore", PASSPHRASE)
    assert (tmp_path / "keystore").read_bytes() == before


def test_neither_file_nor_passphrase_alone_opens_anything(tmp_path: Path) -> None:
    """KEY-3."""
    with pytest.raises(SealFileMissing):
        LocalSeal.load(tmp_path / "keystore", PASSPHRASE)
    LocalSeal.create(tmp_path / "keystore", PASSPHRASE)
    with pytest.raises(WrongPassphrase):
        LocalSeal.load(tmp_path / "keystore", Passphrase("wrong horse battery"))


PROGRAM = """
import sys
from pathlib import Path
from keys.seals.local import LocalSeal, Passphrase
path, key_id, blob, check_value = sys.argv[1:]
seal = LocalSeal.load(Path(path), Passphrase("correct horse battery"))
root = seal.unwrap_root(bytes.fromhex(blob), key_id=bytes.fromhex(key_id), version=1, environment="test",
                        check_value=bytes.fromhex(check_value))
print(seal.name, root.check_value().hex())
"""


@pytest.mark.anyio
async def test_after_a_restart_everything_opens_from_the_file_and_the_rows_alone(
    tmp_path: Path, root: RootKey, rows: MemoryRows
) -> None:
    """T-9: file, root key, data key and envelope, each read from what was stored."""
    rows.add()
    created = LocalSeal.create(tmp_path / "keystore", PASSPHRASE)
    blob, check_value = created.wrap_root(root, ENVIRONMENT), root.check_value()
    sealed = await Keyring({root.key_id: root}, rows, ENVIRONMENT).seal(Purpose.CARD, b"value", PLACE)

    loaded = LocalSeal.load(tmp_path / "keystore", PASSPHRASE)
    again = loaded.unwrap_root(blob, key_id=root.key_id, version=1, environment=ENVIRONMENT, check_value=check_value)
    opened = await Keyring({again.key_id: again}, rows, ENVIRONMENT).open(sealed.data, PLACE)
    assert opened.reveal() == b"value"
    assert loaded.name == created.name


def test_another_process_opens_the_root_key_from_the_file(tmp_path: Path, root: RootKey) -> None:
    """T-9."""
    created = LocalSeal.create(tmp_path / "keystore", PASSPHRASE)
    blob = created.wrap_root(root, ENVIRONMENT)
    arguments = [str(tmp_path / "keystore"), root.key_id.hex(), blob.hex(), root.check_value().hex()]
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], cwd=Path(__file__).parents[3], capture_output=True, check=True
    )
    assert shown.stdout.decode().split() == [created.name, root.check_value().hex()]
