"""Ids: their shape, their order, and that none can be taken for a card number (TOK-2)."""

import base64
import re
import uuid
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.ids import Prefix, id_octets, is_id, key_name, key_named, new_id
from vault.pan_detector import contains_pan

TEXT = re.compile(r"[a-z]{3,4}_[a-z2-7]{26}")
LAST_MOMENT = 2**43 - 1


@pytest.mark.parametrize("prefix", Prefix)
def test_an_id_is_its_prefix_and_26_lower_case_base32_characters(prefix: Prefix) -> None:
    made = new_id(prefix)
    assert made.startswith(f"{prefix.value}_")
    assert TEXT.fullmatch(made)
    assert is_id(prefix, made)


@given(st.integers(0, LAST_MOMENT))
def test_an_id_is_the_base32_text_of_a_uuid_of_version_seven(moment: int) -> None:
    """RFC 9562 section 5.7, RFC 4648 section 6."""
    body = new_id(Prefix.CARD, now_ms=moment).removeprefix("card_")
    read = uuid.UUID(bytes=base64.b32decode(body.upper() + "======"))
    assert (read.version, read.variant) == (7, uuid.RFC_4122)
    assert read.int >> 80 == moment


def test_the_octets_of_an_id_are_those_of_its_uuid() -> None:
    octets = id_octets(new_id(Prefix.SHREDDING, now_ms=1))
    assert uuid.UUID(bytes=octets).version == 7
    assert int.from_bytes(octets[:6]) == 1


def test_ids_are_unique() -> None:
    assert len({new_id(Prefix.CARD, now_ms=1) for _ in range(20_000)}) == 20_000


@given(st.lists(st.integers(0, LAST_MOMENT), unique=True, max_size=20))
def test_ids_sort_by_their_time_in_the_order_of_their_base32_values(moments: list[int]) -> None:
    made = [new_id(Prefix.EVENT, now_ms=moment) for moment in sorted(moments)]
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    ranks = [[alphabet.index(character) for character in text.removeprefix("evt_")] for text in made]
    assert all(earlier < later for earlier, later in pairwise(ranks))


@given(st.integers(0, LAST_MOMENT))
def test_no_id_of_any_time_has_thirteen_digits_in_a_row(moment: int) -> None:
    made = new_id(Prefix.CARD, now_ms=moment)
    assert is_id(Prefix.CARD, made)
    assert re.search(r"[0-9]{13}", made) is None


@pytest.mark.no_cover
def test_many_ids_contain_no_card_number() -> None:
    """The response guard scans ids in bodies: a hit would withhold an answer after its commit."""
    text = "\n".join(new_id(Prefix.PAYMENT) for _ in range(200_000))
    assert not contains_pan(text)


@pytest.mark.parametrize("moment", [-1, LAST_MOMENT + 1, 2**64])
def test_a_time_outside_the_range_is_refused(moment: int) -> None:
    with pytest.raises(ValueError, match="range"):
        new_id(Prefix.CARD, now_ms=moment)


def test_the_prefix_is_part_of_the_id() -> None:
    assert not is_id(Prefix.PAYMENT, new_id(Prefix.CARD))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "agq773lnhv5tbb5yjua6iarcc",  # one short
        "agq773lnhv5tbb5yjua6iarccaa",  # one long
        "agq773lnhv5tbb5yjua6iarccb",  # padding bits set
        "AGQ773LNHV5TBB5YJUA6IARCCA",
        "agq773lnhv5tbb5yjua6iarcca\n",
        "agq773lnhv5tbb5yjua6iarcc\x00",
        "agq773lnhv5tbb5yjua6iarcc0",
        "agq773lnhv5tbb5yjua6iarcc\u0430",
        "bgq773lnhv5tbb5yjua6iarcca",  # later than ids go
        "agq773lnhaatbb5yjua6iarcca",  # another version
        "agq773lnhv5tbs5yjua6iarcca",  # the variant of another layout
        "a444444444444444444444444a",
        "agq4444444444444444444444a",
        "a" * 1_000_000,
    ],
)
def test_whatever_new_id_cannot_make_is_no_id(body: str) -> None:
    assert is_id(Prefix.CARD, "card_agq773lnhv5tbb5yjua6iarcca")
    assert not is_id(Prefix.CARD, f"card_{body}")


def test_an_id_inside_another_text_is_no_id() -> None:
    made = new_id(Prefix.CARD)
    assert not is_id(Prefix.CARD, f" {made}")
    assert not is_id(Prefix.CARD, made * 2)


def test_a_key_is_found_again_by_its_written_id() -> None:
    for key_id in (bytes(16), b"\xff" * 16, bytes(range(16))):
        assert key_named(key_name(key_id)) == key_id


@pytest.mark.parametrize(
    "name", ["", "key_", "key_" + "a" * 25, "key_" + "a" * 27, "key_" + "A" * 26, "key_" + "b" * 26, "mer_" + "a" * 26]
)
def test_what_is_no_written_key_id_names_no_key(name: str) -> None:
    assert key_named(name) is None
