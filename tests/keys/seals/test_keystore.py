import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from argon2.low_level import Type, hash_secret_raw
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys.errors import (
    PassphraseTooWeak,
    SealError,
    SealFileExists,
    SealFileExposed,
    SealFileInaccessible,
    SealFileInvalid,
    SealFileMissing,
    WrongPassphrase,
)
from keys.sealed import KeyMaterial
from keys.seals.keystore import MAX_FILE_BYTES, Keystore, Passphrase, Stretch, read, shred, write_new

Edit = Callable[[dict[str, Any]], object]

PASSPHRASE = Passphrase("correct horse battery")
KEY = KeyMaterial(bytes(range(32)))


@pytest.fixture(scope="module")
def content() -> bytes:
    return Keystore.around(b"i" * 16, KEY, PASSPHRASE).render()


def edited(content: bytes, edit: Edit) -> bytes:
    document = json.loads(content)
    edit(document)
    return json.dumps(document).encode()


def put(path: tuple[str, ...], value: object) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        for name in path[:-1]:
            document = document[name]
        document[path[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), "cardvault-keystor"),
        (("version",), 2),
        (("version",), 1.0),
        (("version",), True),
        (("version",), "1"),
        (("keyId",), "00" * 15),
        (("keyId",), "69" * 17),
        (("keyId",), "6A" * 16),
        (("keyId",), "6a " * 16),
        (("keyId",), "zz" * 16),
        (("keyId",), None),
        (("kdf",), None),
        (("kdf",), []),
        (("kdf", "name"), "argon2i"),
        (("kdf", "algorithmVersion"), 16),
        (("kdf", "time"), 2),
        (("kdf", "time"), 11),
        (("kdf", "time"), 3.0),
        (("kdf", "time"), "3"),
        (("kdf", "time"), None),
        (("kdf", "memoryKiB"), 65_535),
        (("kdf", "memoryKiB"), 1_048_577),
        (("kdf", "memoryKiB"), 10**15),
        (("kdf", "lanes"), 3),
        (("kdf", "lanes"), 17),
        (("kdf", "lanes"), True),
        (("kdf", "salt"), "00" * 15),
        (("kdf", "salt"), "00" * 17),
        (("kdf", "salt"), 0),
        (("kdf", "extra"), 1),
        (("sealedKey",), 7),
        (("extra",), None),
    ],
)
def test_a_header_outside_the_format_or_its_limits_is_refused_before_any_stretching(
    path: tuple[str, ...], value: object, content: bytes
) -> None:
    """CRY-10 floor, and no denial of service by an altered file."""
    with pytest.raises(SealFileInvalid):
        Keystore.parse(edited(content, put(path, value)))


@pytest.mark.parametrize("name", ["format", "version", "keyId", "kdf", "sealedKey"])
def test_a_header_without_one_of_its_fields_is_refused(name: str, content: bytes) -> None:
    with pytest.raises(SealFileInvalid):
        Keystore.parse(edited(content, lambda document: document.pop(name)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("keyId",), "00" * 16),
        (("kdf", "time"), 4),
        (("kdf", "memoryKiB"), 65_537),
        (("kdf", "lanes"), 5),
        (("kdf", "salt"), "00" * 16),
        (("sealedKey",), ""),
        (("sealedKey",), "01" * 77),
    ],
)
def test_a_changed_but_acceptable_header_field_never_opens(
    path: tuple[str, ...], value: object, content: bytes
) -> None:
    with pytest.raises(WrongPassphrase):
        Keystore.parse(edited(content, put(path, value))).open(PASSPHRASE)


@pytest.mark.parametrize("position", [0, 1, 17, 29, 60, 76], ids=["version", "key id", "nonce", "first", "last", "tag"])
def test_a_flipped_bit_of_the_sealed_key_never_opens(position: int, content: bytes) -> None:
    """T-1."""
    keystore = Keystore.parse(content)
    flipped = bytearray(keystore.sealed_key)
    flipped[position] ^= 1
    with pytest.raises(WrongPassphrase):
        Keystore(keystore.key_id, keystore.stretch, bytes(flipped)).open(PASSPHRASE)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b"[]", b'"text"', b"7", b"\xff\xfe", b"[" * 4000, b'{"kdf":' * 500, b"NaN"]
)
def test_what_is_not_a_keystore_is_refused(data: bytes) -> None:
    """T-4."""
    with pytest.raises(SealFileInvalid):
        Keystore.parse(data)


def test_every_truncation_is_refused(content: bytes) -> None:
    """T-4."""
    for length in range(len(content) - 2):
        with pytest.raises(SealFileInvalid):
            Keystore.parse(content[:length])


def test_another_passphrase_does_not_open(content: bytes) -> None:
    with pytest.raises(WrongPassphrase) as caught:
        Keystore.parse(content).open(Passphrase("correct horse batterz"))
    assert "horse" not in str(caught.value)


def test_the_passphrase_opens_and_the_file_shows_neither_it_nor_the_key(content: bytes) -> None:
    assert Keystore.parse(content).open(PASSPHRASE) == KEY
    assert b"horse" not in content
    assert KEY.reveal().hex().encode() not in content


def test_one_key_and_passphrase_never_give_the_same_file_twice(content: bytes) -> None:
    """T-3."""
    again = json.loads(Keystore.around(b"i" * 16, KEY, PASSPHRASE).render())
    before = json.loads(content)
    assert again["kdf"]["salt"] != before["kdf"]["salt"]
    assert again["sealedKey"][-64:] != before["sealedKey"][-64:]


def test_the_default_parameters_are_those_of_the_standard() -> None:
    """CRY-10: RFC 9106, second recommended option."""
    fresh = Stretch.fresh()
    assert (fresh.time, fresh.memory_kib, fresh.lanes, len(fresh.salt)) == (3, 65_536, 4, 16)


@pytest.mark.parametrize(
    "text", ["", "short", "elevenchars", "aaaaaaaaaaaaaaaa", "abcdabcdabcd", "ab12\n" * 300, "\n" * 20]
)
def test_a_weak_passphrase_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(PassphraseTooWeak) as caught:
        Passphrase(text)
    assert not text.strip() or text not in str(caught.value)


def test_line_ends_and_composition_do_not_change_a_passphrase() -> None:
    assert Passphrase("zoë müller's key\r\n") == Passphrase("zoe\u0308 mu\u0308ller's key")


def test_a_passphrase_keeps_spaces_at_its_ends() -> None:
    assert Passphrase("twelve chars ") != Passphrase("twelve chars")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620, 0o601, 0o777])
def test_a_file_open_to_others_is_refused(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "keystore"
    write_new(path, b"x")
    path.chmod(mode)
    with pytest.raises(SealFileExposed, match="set its mode to 600"):
        read(path)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_private_file_is_read(mode: int, tmp_path: Path) -> None:
    path = tmp_path / "keystore"
    write_new(path, b"x" * MAX_FILE_BYTES)
    path.chmod(mode)
    assert read(path) == b"x" * MAX_FILE_BYTES


def test_a_link_to_a_private_file_is_followed(tmp_path: Path) -> None:
    write_new(tmp_path / "keystore", b"x")
    (tmp_path / "link").symlink_to("keystore")
    assert read(tmp_path / "link") == b"x"


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    write_new(tmp_path / "keystore", b"x" * (MAX_FILE_BYTES + 1))
    with pytest.raises(SealFileInvalid, match="too large"):
        read(tmp_path / "keystore")


def test_a_missing_file_and_a_missing_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "none" / "keystore"):
        with pytest.raises(SealFileMissing, match=str(path)):
            read(path)


def test_a_pipe_in_the_files_place_is_refused_and_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keystore", 0o600)
    with pytest.raises(SealFileInvalid, match="not a regular file"):
        read(tmp_path / "keystore")


def test_a_folder_or_a_loop_of_links_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path, tmp_path / "loop"):
        with pytest.raises(SealFileInaccessible, match="cannot read"):
            read(path)


def test_a_new_file_is_private_whatever_the_umask_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_new(tmp_path / "keystore", b"content")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "keystore").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["keystore"]
    assert (tmp_path / "keystore").stat().st_nlink == 1


@pytest.mark.parametrize("occupy", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_what_is_already_there_is_never_overwritten(occupy: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "keystore"
    occupy(path)
    with pytest.raises(SealFileExists):
        write_new(path, b"content")
    assert [each.name for each in tmp_path.iterdir()] == ["keystore"]
    assert not path.is_file() or path.read_bytes() == b""


def test_of_many_that_create_one_file_exactly_one_succeeds(tmp_path: Path) -> None:
    outcomes: list[bytes | SealError] = []

    def create(content: bytes) -> None:
        try:
            write_new(tmp_path / "keystore", content)
            outcomes.append(content)
        except SealError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=create, args=[b"%d" % number]) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    written = [outcome for outcome in outcomes if isinstance(outcome, bytes)]
    assert written == [(tmp_path / "keystore").read_bytes()]
    assert len(outcomes) == 20


def test_a_file_in_a_missing_folder_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SealFileInaccessible, match="cannot write"):
        write_new(tmp_path / "none" / "keystore", b"content")


def test_the_keystore_is_what_the_document_says() -> None:
    """T-11: opened by hand, from the description alone."""
    document = json.loads(Keystore.around(b"i" * 16, KEY, PASSPHRASE).render())
    sealed = bytes.fromhex(document.pop("sealedKey"))
    salt = bytes.fromhex(document["kdf"]["salt"])
    stretched = hash_secret_raw(b"correct horse battery", salt, 3, 65_536, 4, 32, Type.ID)
    header = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    aad = b""
    for part in (b"cardvault/envelope", b"\x01", salt, b"any", b"", b"keystore", header, b"key"):
        aad += len(part).to_bytes(2, "big") + part
    assert sealed[1:17] == salt
    assert AESGCM(stretched).decrypt(sealed[17:29], sealed[29:], aad) == KEY.reveal()


def test_a_file_is_destroyed_for_good_and_a_second_time_without_complaint(tmp_path: Path) -> None:
    """What other names of the file show afterwards is noise."""
    path, other = tmp_path / "keystore", tmp_path / "other"
    path.write_bytes(b"secret" * 9)
    other.hardlink_to(path)
    for _ in range(2):
        shred(path)
        assert not path.exists()
    assert len(other.read_bytes()) == 54
    assert b"secret" not in other.read_bytes()


def test_what_cannot_be_destroyed_is_named(tmp_path: Path) -> None:
    with pytest.raises(SealFileInaccessible, match=str(tmp_path)):
        shred(tmp_path)
