import pytest

from keys.envelope import Cipher, Context
from keys.errors import CannotOpen
from keys.fingerprint import subkey
from keys.rootkey import CHECK_VALUE_BYTES, RootKey
from keys.sealed import KeyMaterial

CONTEXT = Context("test", "mer_a", "data_key", "00" * 16, "card")
FIXED = RootKey(bytes(16), 1, KeyMaterial(bytes(range(32))))


@pytest.mark.parametrize(
    "elsewhere",
    [
        Context("production", "mer_a", "data_key", "00" * 16, "card"),
        Context("test", "mer_b", "data_key", "00" * 16, "card"),
        Context("test", "", "data_key", "00" * 16, "card"),
        Context("test", "mer_a", "data_key", "01" * 16, "card"),
        Context("test", "mer_a", "data_key", "00" * 16, "fingerprint"),
    ],
)
def test_a_wrap_moved_to_another_key_merchant_purpose_or_environment_never_opens(
    root: RootKey, elsewhere: Context
) -> None:
    """T-2; KEY-12, KEY-14."""
    wrapped = root.wrap(KeyMaterial.generate(), context=CONTEXT)
    with pytest.raises(CannotOpen):
        root.unwrap(wrapped, context=elsewhere)


def test_a_flipped_bit_of_a_wrap_never_opens(root: RootKey) -> None:
    """T-1."""
    wrapped = root.wrap(KeyMaterial.generate(), context=CONTEXT)
    for position in range(len(wrapped)):
        flipped = wrapped[:position] + bytes([wrapped[position] ^ 1]) + wrapped[position + 1 :]
        with pytest.raises(CannotOpen):
            root.unwrap(flipped, context=CONTEXT)


def test_another_root_key_never_opens_a_wrap(root: RootKey) -> None:
    wrapped = root.wrap(KeyMaterial.generate(), context=CONTEXT)
    for other in (RootKey.generate(1), RootKey(root.key_id, 1, KeyMaterial.generate())):
        with pytest.raises(CannotOpen):
            other.unwrap(wrapped, context=CONTEXT)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_wrap_of_anything_but_a_key_never_opens(length: int) -> None:
    wrapping = Cipher(FIXED.key_id, subkey(FIXED.material, "cardvault/root/v1/wrap"))
    with pytest.raises(CannotOpen):
        FIXED.unwrap(wrapping.seal(bytes(length), CONTEXT), context=CONTEXT)


def test_a_data_key_comes_back_from_its_wrap(root: RootKey) -> None:
    key = KeyMaterial.generate()
    assert root.unwrap(root.wrap(key, context=CONTEXT), context=CONTEXT) == key


def test_the_root_key_itself_is_not_the_wrapping_key() -> None:
    """CRY-8: its material feeds the derivation alone."""
    wrapped = FIXED.wrap(KeyMaterial.generate(), context=CONTEXT)
    with pytest.raises(CannotOpen):
        Cipher(FIXED.key_id, FIXED.material).open(wrapped, CONTEXT)


def test_the_check_value_of_a_known_key_is_fixed() -> None:
    assert FIXED.check_value().hex() == "a38e81ea63b77aee46d0a45ac1830da7"


def test_check_values_tell_root_keys_apart_and_depend_on_the_material_alone(root: RootKey) -> None:
    same = RootKey(bytes(16), 7, root.material)
    assert same.check_value() == root.check_value()
    assert len({RootKey.generate(1).check_value() for _ in range(50)}) == 50
    assert len(root.check_value()) == CHECK_VALUE_BYTES


@pytest.mark.parametrize(("key_id", "version"), [(b"", 1), (bytes(15), 1), (bytes(17), 1), (bytes(16), 0)])
def test_a_root_key_without_a_proper_id_or_version_is_refused(key_id: bytes, version: int) -> None:
    with pytest.raises(ValueError, match="16-octet id"):
        RootKey(key_id, version, KeyMaterial.generate())


def test_a_printed_root_key_shows_no_material() -> None:
    assert repr(FIXED) == f"RootKey(key_id={bytes(16)!r}, version=1, material=<KeyMaterial>)"
