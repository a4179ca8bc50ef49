import inspect
import os
import re
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from keys import envelope as module
from keys.envelope import (
    HEADER_BYTES,
    MAX_PLAINTEXT_BYTES,
    OVERHEAD_BYTES,
    Cipher,
    Context,
    key_id_of,
    open_envelope,
    seal,
)
from keys.errors import CannotOpen, PlaintextTooLarge
from keys.sealed import KeyMaterial, Plaintext, Sealed

DOCUMENT = Path(__file__).parents[2] / "docs" / "envelope-v1.md"
KEY = KeyMaterial(bytes(range(32)))
KEY_ID = bytes(range(16, 32))
CONTEXT = Context("test", "mer_a", "card", "card_b", "pan")
SEALED = seal(KEY, KEY_ID, b"4000-not-a-pan", CONTEXT)

parts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
contexts = st.builds(Context, parts, st.one_of(st.just(""), parts), parts, parts, parts)


def vectors() -> list[dict[str, str]]:
    blocks = re.findall(r"```\n(key .*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    return [dict(map(field_of, block.splitlines())) for block in blocks]


def field_of(line: str) -> tuple[str, str]:
    name, _, value = line.partition(" ")
    return name, value.strip()


def refused(envelope: bytes, context: Context = CONTEXT, key: KeyMaterial = KEY) -> bool:
    with pytest.raises(CannotOpen) as caught:
        open_envelope(key, envelope, context)
    return caught.value.args == ("the envelope does not open",) and caught.value.__cause__ is None


@pytest.mark.parametrize("position", range(len(SEALED)))
def test_a_flipped_bit_never_opens(position: int) -> None:
    """T-1."""
    for bit in range(8):
        flipped = bytearray(SEALED)
        flipped[position] ^= 1 << bit
        assert refused(bytes(flipped))


@pytest.mark.parametrize("length", range(len(SEALED)))
def test_a_truncated_envelope_never_opens(length: int) -> None:
    """T-4; from either end."""
    assert refused(SEALED[:length])
    assert refused(SEALED[len(SEALED) - length :])


@pytest.mark.parametrize("extra", [b"\x00", b"\x01", bytes(16), SEALED], ids=["zero", "one", "tag", "itself"])
def test_an_extended_envelope_never_opens(extra: bytes) -> None:
    """T-4."""
    assert refused(SEALED + extra)
    assert refused(extra + SEALED)


@pytest.mark.parametrize("version", [version for version in range(256) if version != 1])
def test_an_unknown_version_never_opens(version: int) -> None:
    """T-4; CRY-5: no fallback."""
    assert refused(bytes([version]) + SEALED[1:])


def test_an_oversize_envelope_is_refused_before_it_is_decrypted() -> None:
    """T-4."""
    with pytest.raises(CannotOpen):
        key_id_of(b"\x01" + bytes(OVERHEAD_BYTES + MAX_PLAINTEXT_BYTES))


def altered(part: str, text: str) -> Context:
    """Give the context with another text in one of its parts."""
    changes: dict[str, Any] = {part: text}
    return replace(CONTEXT, **changes)


@pytest.mark.parametrize("part", ["environment", "merchant_id", "table", "row_id", "field"])
@pytest.mark.parametrize("change", [lambda text: text + "x", lambda text: text[:-1] + "Z", str.upper])
def test_an_envelope_moved_anywhere_never_opens(part: str, change: type[str]) -> None:
    """T-2, for every part of the context."""
    assert refused(SEALED, altered(part, change(getattr(CONTEXT, part))))


def test_an_envelope_of_the_installation_does_not_open_for_a_merchant_nor_the_reverse() -> None:
    """T-2."""
    own = replace(CONTEXT, merchant_id="")
    assert refused(SEALED, own)
    assert refused(seal(KEY, KEY_ID, b"x", own))


def test_characters_shifted_between_neighbouring_parts_never_open() -> None:
    """T-2; the encoding is injective."""
    assert refused(seal(KEY, KEY_ID, b"x", replace(CONTEXT, table="cardc", row_id="ard_b")))


@given(one=contexts, other=contexts)
def test_two_contexts_have_the_same_octets_only_when_they_are_equal(one: Context, other: Context) -> None:
    assert (one.octets == other.octets) == (one == other)


def test_another_key_never_opens() -> None:
    assert refused(SEALED, key=KeyMaterial.generate())


def test_a_cipher_does_not_open_what_names_another_key() -> None:
    """CRY-6: also when the key itself would fit."""
    renamed = Cipher(bytes(16), KEY)
    with pytest.raises(CannotOpen):
        renamed.open(SEALED, CONTEXT)


@given(st.binary(max_size=200))
def test_arbitrary_octets_never_open(data: bytes) -> None:
    assert refused(data)
    assert refused(b"\x01" + KEY_ID + data)


def test_the_failure_shows_neither_key_nor_content() -> None:
    with pytest.raises(CannotOpen) as caught:
        open_envelope(KEY, SEALED[:-1] + b"\x00\x00", CONTEXT)
    shown = "".join(traceback.format_exception(caught.value))
    assert "InvalidTag" not in shown
    assert SEALED.hex() not in shown


def test_two_seals_of_one_value_differ_in_nonce_and_ciphertext() -> None:
    """T-3."""
    cipher = Cipher(KEY_ID, KEY)
    made = [cipher.seal(b"same", CONTEXT) for _ in range(1000)]
    assert len({envelope[17:29] for envelope in made}) == len({envelope[29:] for envelope in made}) == 1000


def test_no_public_function_takes_a_nonce() -> None:
    """T-6, the static rule."""
    public: list[Callable[..., object]] = [seal, open_envelope, key_id_of, Cipher, Cipher.seal, Cipher.open]
    assert not any("nonce" in inspect.signature(function).parameters for function in public)


@pytest.mark.parametrize("plaintext", [bytes(MAX_PLAINTEXT_BYTES + 1), Sealed("é" * (MAX_PLAINTEXT_BYTES // 2 + 1))])
def test_a_plaintext_beyond_the_limit_is_refused_in_octets(plaintext: bytes | Sealed[str]) -> None:
    with pytest.raises(PlaintextTooLarge):
        seal(KEY, KEY_ID, plaintext, CONTEXT)


@pytest.mark.parametrize("plaintext", [b"", bytes(MAX_PLAINTEXT_BYTES)])
def test_the_smallest_and_the_largest_plaintext_come_back(plaintext: bytes) -> None:
    assert open_envelope(KEY, seal(KEY, KEY_ID, plaintext, CONTEXT), CONTEXT).reveal() == plaintext


@pytest.mark.parametrize("part", ["environment", "table", "row_id", "field"])
def test_a_context_without_a_name_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match="only the merchant"):
        altered(part, "")


def test_a_part_of_the_context_is_as_long_as_its_length_can_state() -> None:
    longest = replace(CONTEXT, row_id="r" * 65_535)
    assert open_envelope(KEY, seal(KEY, KEY_ID, b"x", longest), longest).reveal() == b"x"
    with pytest.raises(ValueError, match="too long"):
        replace(CONTEXT, row_id="r" * 65_536)


@pytest.mark.parametrize("key_id", [b"", bytes(15), bytes(17)])
def test_a_key_id_of_another_length_is_refused(key_id: bytes) -> None:
    with pytest.raises(ValueError, match="exactly 16 octets"):
        Cipher(key_id, KEY)


def test_a_cipher_shows_nothing_when_printed() -> None:
    assert re.fullmatch(r"<keys\.envelope\.Cipher object at 0x[0-9a-f]+>", repr(Cipher(KEY_ID, KEY)))


@given(key=st.binary(min_size=32, max_size=32), plaintext=st.binary(max_size=500), context=contexts)
def test_what_was_sealed_opens_in_its_place(key: bytes, plaintext: bytes, context: Context) -> None:
    cipher = Cipher(os.urandom(16), KeyMaterial(key))
    opened = cipher.open(cipher.seal(plaintext, context), context)
    assert type(opened) is Plaintext
    assert opened.reveal() == plaintext


@pytest.mark.parametrize("secret", [b"Zo\xc3\xab", Sealed(b"Zo\xc3\xab"), Sealed("Zoë")])
def test_octets_and_text_are_sealed_alike(secret: bytes | Sealed[bytes] | Sealed[str]) -> None:
    assert open_envelope(KEY, seal(KEY, KEY_ID, secret, CONTEXT), CONTEXT).reveal() == "Zoë".encode()


class FaultyAead:
    """Encrypts something else than it is given."""

    def __init__(self) -> None:
        self.aead = AESGCM(bytes(32))

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        return self.aead.encrypt(nonce, bytes([data[0] ^ 1]) + data[1:], associated_data)

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        return self.aead.decrypt(nonce, data, associated_data)


def test_what_is_sealed_again_opens_under_the_other_key_alone() -> None:
    newer = Cipher(os.urandom(16), KeyMaterial.generate())
    again = newer.reseal(SEALED, Cipher(KEY_ID, KEY), CONTEXT)
    assert newer.open(again, CONTEXT) == open_envelope(KEY, SEALED, CONTEXT)
    with pytest.raises(CannotOpen):
        open_envelope(KEY, again, CONTEXT)


def test_what_does_not_open_again_to_the_same_is_not_sealed_again() -> None:
    """KEY-7."""
    with pytest.raises(CannotOpen):
        Cipher(os.urandom(16), FaultyAead()).reseal(SEALED, Cipher(KEY_ID, KEY), CONTEXT)


def test_an_envelope_is_what_an_independent_construction_opens() -> None:
    """T-11: the layout and the authenticated data, built by hand."""
    aad = b""
    for part in (b"cardvault/envelope", b"\x01", KEY_ID, b"test", b"mer_a", b"card", b"card_b", b"pan"):
        aad += bytes([len(part) >> 8, len(part) & 0xFF]) + part
    version, key_id, nonce, rest = SEALED[:1], SEALED[1:17], SEALED[17:29], SEALED[29:]
    assert (version, key_id) == (b"\x01", KEY_ID)
    assert AESGCM(KEY.reveal()).decrypt(nonce, rest, aad) == b"4000-not-a-pan"


def test_the_document_has_vectors() -> None:
    assert len(vectors()) == 3


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["field"])
def test_the_document_and_the_code_agree_on_every_vector(vector: dict[str, str]) -> None:
    """T-11."""
    octets = {name: bytes.fromhex(vector[name]) for name in ("key", "key_id", "nonce", "plaintext", "aad", "envelope")}
    context = Context(*[vector[part] for part in ("environment", "merchant_id", "table", "row_id", "field")])
    cipher = Cipher(octets["key_id"], KeyMaterial(octets["key"]))
    assert cipher._seal_with(octets["nonce"], octets["plaintext"], context) == octets["envelope"]
    assert cipher.open(octets["envelope"], context).reveal() == octets["plaintext"]
    assert key_id_of(octets["envelope"]) == octets["key_id"]
    raw = AESGCM(octets["key"]).encrypt(octets["nonce"], octets["plaintext"], octets["aad"])
    assert octets["envelope"][HEADER_BYTES:] == raw


def test_the_document_states_the_limits_of_the_code() -> None:
    text = DOCUMENT.read_text("utf-8")
    assert f"{MAX_PLAINTEXT_BYTES:,}" in text
    assert f"between {OVERHEAD_BYTES} and {OVERHEAD_BYTES + MAX_PLAINTEXT_BYTES:,} octets" in text
    assert module._LABEL.decode() in text
