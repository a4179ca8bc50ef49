from pathlib import Path

import pytest

from keys.errors import SealFileExists, SealFileExposed, WrongPassphrase
from keys.operatorkey import PUBLIC_KEY_BYTES, OperatorKey, verify
from keys.sealed import KeyMaterial
from keys.seals.keystore import Keystore, Passphrase, read

PASSPHRASE = Passphrase("correct horse battery")
KEY = OperatorKey(KeyMaterial(bytes(range(32))))
STATEMENT = b"what is said"


def test_a_flipped_bit_of_a_signature_never_verifies() -> None:
    signature = KEY.sign(STATEMENT)
    for place in range(len(signature)):
        flipped = bytearray(signature)
        flipped[place] ^= 1
        assert not verify(KEY.public_key, STATEMENT, bytes(flipped))


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"\xff" * 64, b"short"])
def test_what_is_no_signature_does_not_verify(signature: bytes) -> None:
    assert not verify(KEY.public_key, STATEMENT, signature)


@pytest.mark.parametrize("public_key", [b"", b"\xff" * 31, b"\xff" * 33])
def test_what_is_no_key_verifies_nothing(public_key: bytes) -> None:
    assert not verify(public_key, STATEMENT, KEY.sign(STATEMENT))


def test_a_signature_is_of_one_key_and_one_statement() -> None:
    signature = KEY.sign(STATEMENT)
    assert verify(KEY.public_key, STATEMENT, signature)
    assert not verify(KEY.public_key, STATEMENT + b"!", signature)
    assert not verify(OperatorKey(KeyMaterial(bytes(32))).public_key, STATEMENT, signature)


def test_the_key_in_the_file_is_never_used_as_it_is(tmp_path: Path) -> None:
    """CRY-8: mistaken for a seal's, the file serves nothing that was signed."""
    made = OperatorKey.create(tmp_path / "key", PASSPHRASE)
    inside = Keystore.parse(read(tmp_path / "key")).open(PASSPHRASE)
    assert len(made.public_key) == PUBLIC_KEY_BYTES
    assert made.public_key == OperatorKey(inside).public_key != OperatorKey(KeyMaterial(made.public_key)).public_key


def test_a_key_file_opens_with_its_passphrase_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = OperatorKey.create(path, PASSPHRASE)
    assert OperatorKey.load(path, PASSPHRASE).public_key == made.public_key
    with pytest.raises(WrongPassphrase):
        OperatorKey.load(path, Passphrase("another passphrase"))


def test_a_key_file_is_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "key"
    OperatorKey.create(path, PASSPHRASE)
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SealFileExists):
        OperatorKey.create(path, PASSPHRASE)
    path.chmod(0o640)
    with pytest.raises(SealFileExposed):
        OperatorKey.load(path, PASSPHRASE)
