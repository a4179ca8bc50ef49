"""The PKCS#11 seal against a real token in software."""

import threading
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import cast

import pkcs11
import pytest

from keys.errors import (
    CannotOpen,
    KeysError,
    SealFileInaccessible,
    SealKeyExists,
    SealKeyMissing,
    SealKeyUnfit,
    SealRefused,
    SealUnreachable,
)
from keys.rootkey import RootKey
from keys.seals import pkcs11 as hsm_seal
from keys.seals.address import Pkcs11Address, address
from tests.hsm import PIN, Hsm
from tests.keys.rows import ENVIRONMENT
from tests.keys.seals.wraps import opened, require_a_good_seal

_numbers = count()


@pytest.fixture
def place(hsm: Hsm) -> Pkcs11Address:
    """The address of a key that is not there yet."""
    return cast("Pkcs11Address", address(hsm.uri(f"key {next(_numbers)}")))


def made_otherwise(
    place: Pkcs11Address, *, bits: int = 256, key_id: bytes = bytes(16), extractable: bool = False
) -> None:
    """Make a key as somebody else would."""
    token = pkcs11.lib(str(place.module)).get_token(token_label=place.token)
    template = {pkcs11.Attribute.SENSITIVE: True, pkcs11.Attribute.EXTRACTABLE: extractable}
    with token.open(rw=True, user_pin=PIN) as session:
        session.generate_key(pkcs11.KeyType.AES, bits, id=key_id, label=place.label, store=True, template=template)


def test_a_wrap_opens_where_it_belongs_alone(place: Pkcs11Address, root: RootKey) -> None:
    other = hsm_seal.create(replace(place, label=f"{place.label} other"))
    require_a_good_seal(hsm_seal.create(place), other, root)


def test_after_a_restart_the_same_key_is_found_under_the_same_name(place: Pkcs11Address, root: RootKey) -> None:
    """T-9."""
    made = hsm_seal.create(place)
    blob = made.wrap_root(root, "test")
    found = hsm_seal.load(place)
    assert found.name == made.name
    assert found.name.startswith("pkcs11:")
    assert opened(found, blob, root) == root


def test_the_tokens_key_never_leaves_it(place: Pkcs11Address) -> None:
    """KEY-2."""
    hsm_seal.create(place)
    token = pkcs11.lib(str(place.module)).get_token(token_label=place.token)
    with token.open(user_pin=PIN) as session, pytest.raises(pkcs11.exceptions.AttributeSensitive):
        _ = session.get_key(label=place.label)[pkcs11.Attribute.VALUE]


def test_a_key_is_never_replaced(place: Pkcs11Address) -> None:
    hsm_seal.create(place)
    with pytest.raises(SealKeyExists):
        hsm_seal.create(place)


@pytest.mark.parametrize("flaw", [{"bits": 128}, {"key_id": b"short"}, {"extractable": True}], ids=str)
def test_a_key_that_is_weak_or_could_leave_is_refused(place: Pkcs11Address, flaw: dict[str, int]) -> None:
    """KEY-1, KEY-2."""
    made_otherwise(place, **flaw)  # type: ignore[arg-type]  # one flaw each
    with pytest.raises(SealKeyUnfit):
        hsm_seal.load(place)


def test_of_two_keys_of_one_name_none_is_taken(place: Pkcs11Address) -> None:
    made_otherwise(place, key_id=b"1" * 16)
    made_otherwise(place, key_id=b"2" * 16)
    with pytest.raises(SealKeyUnfit, match="several"):
        hsm_seal.load(place)


def test_what_is_not_there_is_named(place: Pkcs11Address, tmp_path: Path) -> None:
    (tmp_path / "no-library.so").write_text("nothing")
    hopeless: list[tuple[Pkcs11Address, type[KeysError]]] = [
        (place, SealKeyMissing),
        (replace(place, token="nobody's"), SealUnreachable),
        (replace(place, module=tmp_path / "no-library.so"), SealUnreachable),
        (replace(place, pin_file=tmp_path / "none"), SealFileInaccessible),
    ]
    for wrong, expected in hopeless:
        with pytest.raises(expected):
            hsm_seal.load(wrong)


def test_a_wrong_pin_is_refused_and_not_repeated(place: Pkcs11Address, tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("99887766")
    with pytest.raises(SealRefused) as refused:
        hsm_seal.load(replace(place, pin_file=tmp_path / "pin"))
    assert "99887766" not in str(refused.value)


def test_threads_take_turns_in_the_token(place: Pkcs11Address, root: RootKey) -> None:
    """Two sessions at once crash some modules, SoftHSM2 among them."""
    seal = hsm_seal.create(place)
    blob = seal.wrap_root(root, "test")
    found: list[RootKey] = []
    threads = [threading.Thread(target=lambda: found.append(opened(seal, blob, root))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [root] * 8


def test_a_key_is_destroyed_for_good_and_a_second_time_without_complaint(place: Pkcs11Address, root: RootKey) -> None:
    blob = hsm_seal.create(place).wrap_root(root, ENVIRONMENT)
    seal = hsm_seal.load(place)
    for _ in range(2):
        hsm_seal.destroy(place)
        with pytest.raises(SealKeyMissing):
            hsm_seal.load(place)
    hsm_seal.create(place)
    with pytest.raises(CannotOpen):
        opened(seal, blob, root)


def test_a_token_that_is_removed_is_reported_and_works_again_when_it_is_back(
    place: Pkcs11Address, hsm: Hsm, root: RootKey
) -> None:
    """In one process, which is not started again meanwhile (T-17)."""
    seal = hsm_seal.create(place)
    blob = seal.wrap_root(root, ENVIRONMENT)
    tokens, away = hsm.folder / "tokens", hsm.folder / "away"
    tokens.rename(away)
    try:
        for work in (lambda: opened(seal, blob, root), lambda: hsm_seal.load(place)):
            with pytest.raises((SealUnreachable, SealKeyMissing)) as told:
                work()
            assert str(place) in str(told.value)
    finally:
        away.rename(tokens)
    assert opened(seal, blob, root) == root
