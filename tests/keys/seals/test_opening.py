import sys
from pathlib import Path

import pytest

from keys.errors import (
    PassphraseTooWeak,
    SealFileExists,
    SealFileInaccessible,
    SealFileMissing,
    SealNotInstalled,
)
from keys.seals import opening
from keys.seals.address import LocalAddress, address
from tests.hsm import Hsm
from tests.kms import Kms

ARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"


@pytest.fixture
def keystore(tmp_path: Path) -> LocalAddress:
    (tmp_path / "passphrase").write_text("correct horse battery\n")
    return LocalAddress(tmp_path / "keystore", tmp_path / "passphrase")


@pytest.mark.parametrize(
    ("kind", "uri"),
    [
        ("pkcs11", "pkcs11:token=a;object=b?module-path=/m.so&pin-source=file:/p"),
        ("awskms", f"awskms:{ARN}"),
    ],
)
def test_libraries_that_are_not_installed_are_named(kind: str, uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, f"keys.seals.{kind}", None)
    with pytest.raises(SealNotInstalled, match=rf"install cardvault\[{kind}\]"):
        opening.load(address(uri))


def test_a_keystore_is_made_once_and_found_again(keystore: LocalAddress) -> None:
    with pytest.raises(SealFileMissing):
        opening.load(keystore)
    made = opening.create(keystore)
    assert opening.load(keystore).name == made.name
    with pytest.raises(SealFileExists):
        opening.create(keystore)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, SealFileInaccessible), (b"\xff\xfe", SealFileInaccessible), (b"short", PassphraseTooWeak)],
)
def test_a_passphrase_that_cannot_be_used_is_one_seals_failure(
    keystore: LocalAddress, content: bytes | None, expected: type[Exception]
) -> None:
    assert keystore.passphrase_file is not None
    keystore.passphrase_file.unlink() if content is None else keystore.passphrase_file.write_bytes(content)
    with pytest.raises(expected):
        opening.load(keystore)


def test_a_keystore_without_a_passphrase_file_is_refused(keystore: LocalAddress) -> None:
    with pytest.raises(SealFileInaccessible, match="no file with its passphrase"):
        opening.load(LocalAddress(keystore.path))


def test_a_key_in_a_token_is_made_and_found_again(hsm: Hsm) -> None:
    place = address(hsm.uri("opening"))
    assert opening.create(place).name == opening.load(place).name


def test_a_key_of_a_service_is_made_by_nobody_here(kms: Kms) -> None:
    place = address(kms.uri(kms.new_key()))
    assert opening.create(place).name == opening.load(place).name
    assert kms.calls == []
