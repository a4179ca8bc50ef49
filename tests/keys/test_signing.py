"""T-11: Ed25519 gives the published answers, and checks nothing but them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.sealed import KeyMaterial
from keys.signing import Signer, is_signed

# RFC 8032, section 7.1: seed, public key, message, signature of tests 1 and 3.
PUBLISHED = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]
SIGNER = Signer(bytes(16), KeyMaterial(bytes(range(32))))


@pytest.mark.parametrize(("seed", "public", "message", "signature"), PUBLISHED)
def test_the_published_signatures_come_out(seed: str, public: str, message: str, signature: str) -> None:
    signer = Signer(bytes(16), KeyMaterial(bytes.fromhex(seed)))
    assert (signer.public.hex(), signer.sign(bytes.fromhex(message)).hex()) == (public, signature)
    assert is_signed(bytes.fromhex(message), bytes.fromhex(signature), bytes.fromhex(public))


@given(message=st.binary(max_size=64), bit=st.integers(0, 511))
def test_a_flipped_bit_never_verifies(message: bytes, bit: int) -> None:
    signature = bytearray(SIGNER.sign(message))
    signature[bit // 8] ^= 1 << bit % 8
    assert not is_signed(message, bytes(signature), SIGNER.public)
    assert not is_signed(message + b"\x00", SIGNER.sign(message), SIGNER.public)


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(33), bytes(range(32))])
def test_another_key_or_none_at_all_never_verifies(public: bytes) -> None:
    assert not is_signed(b"message", SIGNER.sign(b"message"), public)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_of_another_length_never_verifies(length: int) -> None:
    assert not is_signed(b"message", (SIGNER.sign(b"message") * 2)[:length], SIGNER.public)


def test_a_signer_does_not_show_its_key() -> None:
    assert bytes(range(32)).hex() not in repr(SIGNER)
