import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.fingerprint import Fingerprint, Fingerprinter, Label, mac, subkey
from keys.sealed import KeyMaterial

KEY = KeyMaterial(bytes(range(32)))
KEY_ID = bytes(16)


def by_hand(key: bytes, label: str, message: bytes) -> bytes:
    extracted = hmac.digest(bytes(32), key, "sha256")
    expanded = hmac.digest(extracted, b"cardvault/fingerprint/v1/" + label.encode() + b"\x01", "sha256")
    return hmac.digest(expanded, message, "sha256")


@given(key=st.binary(min_size=32, max_size=32), label=st.sampled_from(Label), message=st.binary())
def test_a_digest_is_what_the_standard_library_computes(key: bytes, label: Label, message: bytes) -> None:
    """T-11: a second construction, from HMAC alone."""
    made = Fingerprinter(KEY_ID, KeyMaterial(key)).digest(label, message)
    assert made.value == by_hand(key, label, message)


def test_one_message_has_another_digest_under_every_label_and_no_label_gives_the_bare_hash() -> None:
    fingerprinter = Fingerprinter(KEY_ID, KEY)
    values = {fingerprinter.digest(label, b"message").value for label in Label}
    assert len(values) == len(Label)
    assert hashlib.sha256(b"message").digest() not in values
    assert mac(KEY, b"message") not in values


def test_one_message_has_another_digest_under_every_key() -> None:
    one, other = (Fingerprinter(KEY_ID, KeyMaterial.generate()).digest(Label.PAN, b"message") for _ in range(2))
    assert one.value != other.value


def test_a_digest_is_repeatable_and_leaves_no_trace_in_the_next() -> None:
    fingerprinter = Fingerprinter(KEY_ID, KEY)
    first = fingerprinter.digest(Label.PAN, b"one")
    fingerprinter.digest(Label.PAN, b"two")
    assert fingerprinter.digest(Label.PAN, b"one") == first


def test_subkeys_differ_by_use_and_from_their_origin() -> None:
    assert len({subkey(KEY, "a").reveal(), subkey(KEY, "b").reveal(), KEY.reveal()}) == 3


def test_a_fingerprint_matches_its_digest_alone() -> None:
    fingerprint = Fingerprint(KEY_ID, b"d" * 32)
    assert fingerprint.matches(b"d" * 32)
    assert not fingerprint.matches(b"d" * 31 + b"e")
    assert not fingerprint.matches(b"")


def test_fingerprints_are_equal_when_key_and_digest_are() -> None:
    fingerprint = Fingerprint(KEY_ID, b"d" * 32)
    assert {fingerprint} == {Fingerprint(KEY_ID, b"d" * 32)}
    assert fingerprint != Fingerprint(b"i" * 16, b"d" * 32)
    assert fingerprint != Fingerprint(KEY_ID, b"e" * 32)
    assert fingerprint != (KEY_ID, b"d" * 32)


@pytest.mark.parametrize("value", [Fingerprint(KEY_ID, b"digest"), Fingerprinter(KEY_ID, KEY)])
def test_no_digest_and_no_key_shows_when_printed(value: object) -> None:
    assert "digest" not in repr(value)
    assert "macs" not in repr(value)
