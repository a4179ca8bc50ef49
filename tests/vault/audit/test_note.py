"""T-26: whatever is not exactly a note, a key or a checkpoint is refused."""

import base64
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.sealed import KeyMaterial
from keys.signing import Signer
from vault.audit.merkle import Tree
from vault.audit.note import (
    LONGEST_NOTE,
    Checkpoint,
    NoteInvalid,
    NoteKey,
    sign,
    verified_checkpoint,
    verified_text,
)

NAME = "vault.example/audit"
SIGNER = Signer(bytes(16), KeyMaterial(bytes(range(32))))
KEY = NoteKey(NAME, SIGNER.public)
VKEY = "vault.example/audit+99f33cb1+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
TREE = Tree(8, bytes.fromhex("5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"))
FIVE = Tree(5, bytes.fromhex("4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"))
WITNESS = (
    "\u2014 witness.example/w1 IDJKvgAAAABlU/EA5UiFUXCxnl42Ou/B/QAaHRGWJVWZQLgR6ROvTFV4yfV51RZlcTGSwOaqRLRecMNDT5Kv"
    "TQr4w82QTqHDAz9dDg==\n"
)
NOTE = sign(str(Checkpoint(NAME, TREE)), NAME, SIGNER)
TEXT, _, LINE = NOTE.partition("\n\n")
ROOT = TEXT.rpartition("\n")[2]


def signed(text: str) -> bytes:
    return sign(text, NAME, SIGNER).encode()


def test_the_published_key_and_notes_come_out() -> None:
    assert str(KEY) == VKEY
    assert NoteKey.parse(VKEY) == KEY
    with_witness = (NOTE + WITNESS).encode()
    assert sha256(with_witness).hexdigest() == "e3195bdbc22c30c436230086ddc9a75a534ba04beb9f065ca2927a9a16f79cc0"
    assert verified_checkpoint(with_witness, KEY) == Checkpoint(NAME, TREE)


def test_the_published_note_of_five_comes_out() -> None:
    assert verified_checkpoint(signed(str(Checkpoint(NAME, FIVE))), KEY).tree == FIVE
    assert signed(str(Checkpoint(NAME, FIVE))) == signed(str(Checkpoint(NAME, FIVE)))


def test_a_note_that_others_published_verifies() -> None:
    """The example in the documentation of the format's first implementation."""
    key = NoteKey.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    assert verified_text(f"{text}\n\u2014 PeterNeumann {line}\n".encode(), [key]) == text


@pytest.mark.parametrize(
    "checkpoint",
    [
        f"{NAME}\n+8\n{ROOT}\n",
        f"{NAME}\n08\n{ROOT}\n",
        f"{NAME}\n 8\n{ROOT}\n",
        f"{NAME}\n8 \n{ROOT}\n",
        f"{NAME}\n0_8\n{ROOT}\n",
        f"{NAME}\n\u0668\n{ROOT}\n",
        f"{NAME}\n-8\n{ROOT}\n",
        f"{NAME}\n8.0\n{ROOT}\n",
        f"{NAME}\n\n{ROOT}\n",
        f"{NAME}\n{'9' * 20}\n{ROOT}\n",
        f"{NAME}\n8\n{ROOT[:-1]}\n",
        f"{NAME}\n8\n{ROOT} \n",
        f"{NAME}\n8\n{ROOT[:-2]}h=\n",
        f"{NAME}\n8\n{ROOT}=\n",
        f"{NAME}\n8\n {ROOT}\n",
        f"{NAME}\n8\nAAAA\n",
        f"{NAME}\n8\n{ROOT[:20]}-{ROOT[21:]}\n",
        f"{NAME}\n8\n{ROOT}\n\n",
        f"{NAME}\n8\n{ROOT}\nextension\n",
        f"{NAME}\n8\n",
        f"\n8\n{ROOT}\n",
        f" {NAME}\n8\n{ROOT}\n",
        f"{NAME}\u2028\n8\n{ROOT}\n",
        f"{NAME}\n8\u2028\n{ROOT}\n",
        f"{NAME}\n8\n{ROOT}",
    ],
)
def test_a_malformed_checkpoint_is_refused_although_it_is_signed(checkpoint: str) -> None:
    with pytest.raises(NoteInvalid):
        Checkpoint.parse(checkpoint)
    with pytest.raises(NoteInvalid):
        verified_checkpoint(signed(checkpoint), KEY)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "\n\n",
        TEXT,
        f"{TEXT}\n\n",
        f"\n\n{LINE}",
        NOTE.removesuffix("\n"),
        NOTE.replace("\n", "\r\n"),
        NOTE + "\n",
        NOTE + "garbage\n",
        NOTE + "garbage",
        f"{TEXT}\n\ngarbage\n{LINE}",
        f"{TEXT}\n{LINE}",
        f"{TEXT}\n\n{LINE.replace(chr(0x2014), '-')}",
        f"{TEXT}\n\n{LINE.replace(' ', '  ')}",
        f"{TEXT}\n\n{LINE.replace(' ', chr(9))}",
        f"{TEXT}\n\n{LINE[:-2]} \n",
        f"{TEXT}\n\n{LINE[:-2]}\n",
        f"{TEXT}\n\n{LINE[:-1]}=\n",
        f"{TEXT}\n\n{LINE[:40]}*{LINE[41:]}",
        f"{TEXT}\n\n\u2014 {NAME} AAAAAA==\n",
        f"{TEXT}\n\n\u2014 {NAME}\n",
        f"{TEXT}\n\n\u2014 a+b AAAAAAAA\n",
        f"{TEXT}\x00\n\n{LINE}",
        f"{TEXT}\t\n\n{LINE}",
        f"{TEXT}\n\n{LINE * 65}",
        "a" * LONGEST_NOTE + NOTE,
    ],
)
def test_a_malformed_note_is_refused(note: str) -> None:
    with pytest.raises(NoteInvalid):
        verified_text(note.encode(), [KEY])


def test_what_is_not_utf_8_is_refused() -> None:
    with pytest.raises(NoteInvalid):
        verified_text(b"\xff" + NOTE.encode(), [KEY])


def test_unknown_signatures_are_passed_over_but_one_has_to_be_known() -> None:
    assert verified_text((NOTE + WITNESS * 15).encode(), [KEY]) == TEXT + "\n"
    with pytest.raises(NoteInvalid, match="no known key"):
        verified_text((TEXT + "\n\n" + WITNESS).encode(), [KEY])
    with pytest.raises(NoteInvalid, match="no known key"):
        verified_text(NOTE.encode(), [])


def test_a_forged_line_under_a_known_key_spoils_the_note() -> None:
    forged = base64.b64encode(KEY.key_id + bytes(64)).decode()
    short = base64.b64encode(KEY.key_id + bytes(63)).decode()
    for line in (forged, short):
        with pytest.raises(NoteInvalid, match="does not verify"):
            verified_text(f"{NOTE}\u2014 {NAME} {line}\n".encode(), [KEY])


def test_a_checkpoint_of_another_log_is_refused() -> None:
    other = sign(str(Checkpoint("other.example/audit", TREE)), NAME, SIGNER)
    with pytest.raises(NoteInvalid, match="another log"):
        verified_checkpoint(other.encode(), KEY)


@given(place=st.integers(0, len(NOTE.encode()) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_never_verifies(place: int, bit: int) -> None:
    octets = bytearray(NOTE.encode())
    octets[place] ^= 1 << bit
    with pytest.raises(NoteInvalid):
        verified_checkpoint(bytes(octets), KEY)


@given(text=st.text(st.characters(exclude_categories=["Cc", "Cs"])).map(lambda line: line + "\n"))
def test_every_text_can_be_signed_and_read_again(text: str) -> None:
    if text != "\n":
        assert verified_text(signed(text), [KEY]) == text


@pytest.mark.parametrize(
    "vkey",
    [
        "",
        NAME,
        VKEY.replace("+99f33cb1+", "+99f33cb2+"),
        VKEY.replace("+99f33cb1+", "+99F33CB1+"),
        VKEY.replace("+99f33cb1+", "+9f33cb1+"),
        VKEY.replace("+AQ", "+Ag"),
        VKEY[:-4],
        VKEY + "=",
        VKEY.replace("example", "exam ple"),
        "+" + VKEY.partition("+")[2],
    ],
)
def test_a_malformed_key_is_refused(vkey: str) -> None:
    with pytest.raises(NoteInvalid):
        NoteKey.parse(vkey)
