"""A custodian's file: KEY-2, CRY-11."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from keys.errors import SealFileInvalid, WrongPassphrase
from keys.sealed import KeyMaterial
from keys.seals.keystore import Passphrase
from keys.seals.share_file import ShareFile
from keys.seals.shares import ShareWords, split

PASSPHRASE = Passphrase("correct horse battery")
SET = b"s" * 16
Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def share() -> ShareWords:
    return split(KeyMaterial(bytes(32)), 2, 2)[1]


@pytest.fixture(scope="module")
def content(share: ShareWords) -> bytes:
    return ShareFile.around(SET, "alice", share, PASSPHRASE).render()


def edited(content: bytes, edit: Edit) -> bytes:
    document = json.loads(content)
    edit(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document.update(format="cardvault-keystore"),
        lambda document: document.update(version=2),
        lambda document: document.update(setId="00"),
        lambda document: document.update(sealedShare="zz"),
        lambda document: document.update(more=1),
        lambda document: document.pop("custodian"),
        lambda document: document["kdf"].update(time=1),
        lambda document: document["kdf"].update(memoryKiB=2**30),
        lambda document: document.update(kdf=[]),
    ],
)
def test_anything_but_a_share_of_version_1_is_refused(content: bytes, edit: Edit) -> None:
    with pytest.raises(SealFileInvalid):
        ShareFile.parse(edited(content, edit))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"{" * 100_000])
def test_what_is_no_document_is_refused(data: bytes) -> None:
    with pytest.raises(SealFileInvalid):
        ShareFile.parse(data)


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document.update(custodian="mallory"),
        lambda document: document.update(number=1),
        lambda document: document.update(setId="00" * 16),
        lambda document: document["kdf"].update(salt="00" * 16),
        lambda document: document.update(sealedShare=document["sealedShare"][:-2] + "00"),
    ],
)
def test_a_file_that_was_altered_does_not_open(content: bytes, edit: Edit) -> None:
    with pytest.raises(WrongPassphrase):
        ShareFile.parse(edited(content, edit)).open(PASSPHRASE)


def test_another_passphrase_does_not_open_it(content: bytes) -> None:
    with pytest.raises(WrongPassphrase):
        ShareFile.parse(content).open(Passphrase("wrong horse battery"))


def test_a_share_comes_back_and_its_holder_is_readable_without_the_passphrase(
    content: bytes, share: ShareWords
) -> None:
    file = ShareFile.parse(content)
    assert (file.set_id, file.number, file.custodian) == (SET, 2, "alice")
    assert file.open(PASSPHRASE) == share
    assert share.reveal().split()[8].encode() not in content
