"""Custodians' shares (SLIP-39): T-10, KEY-2, KEY-11."""

from itertools import combinations

import pytest
from shamir_mnemonic import generate_mnemonics
from shamir_mnemonic.wordlist import WORDLIST

from keys.errors import ShareError, ShareMistyped, ShareRepeated, SharesDisagree, SharesTooFew, ShareUnknown
from keys.rootkey import RootKey
from keys.sealed import KeyMaterial
from keys.seals.shares import SharesSeal, ShareWords, check_value, combine, split
from tests.keys.seals.wraps import require_a_good_seal

KEY = KeyMaterial(bytes(range(32)))
CHECK = check_value(KEY)


@pytest.fixture(scope="module")
def shares() -> list[ShareWords]:
    return split(KEY, 3, 5)


@pytest.fixture(scope="module")
def words(shares: list[ShareWords]) -> list[str]:
    return shares[0].reveal().split()


def another(word: str) -> str:
    return str(WORDLIST[(WORDLIST.index(word) + 1) % len(WORDLIST)])


@pytest.mark.parametrize("place", [0, 3, 6, 31, 32])
def test_a_word_that_is_none_is_named_by_its_place_and_not_repeated(words: list[str], place: int) -> None:
    typed = " ".join([*words[:place], "hunter2", *words[place + 1 :]])
    with pytest.raises(ShareMistyped, match=f"^word {place + 1} is not in the list") as refused:
        ShareWords(typed)
    assert refused.value.__cause__ is None
    assert not set(words) & set(str(refused.value).split()) - {"is", "not", "in", "the", "list"}


def test_every_single_wrong_word_is_found(words: list[str]) -> None:
    for place, word in enumerate(words):
        with pytest.raises(ShareMistyped):
            ShareWords(" ".join([*words[:place], another(word), *words[place + 1 :]]))


def test_words_that_changed_places_are_found(words: list[str]) -> None:
    for place in range(1, len(words)):
        swapped = [*words[: place - 1], words[place], words[place - 1], *words[place + 1 :]]
        if swapped != words:
            with pytest.raises(ShareMistyped):
                ShareWords(" ".join(swapped))


def test_a_share_has_33_words(words: list[str]) -> None:
    for wrong in ([], words[:-1], words[:20], [*words, words[0]]):
        with pytest.raises(ShareMistyped, match=f"has {len(wrong)}"):
            ShareWords(" ".join(wrong))


def test_a_share_of_a_set_in_groups_is_refused() -> None:
    foreign = generate_mnemonics(1, [(2, 3), (2, 3)], bytes(32))[0][0]
    with pytest.raises(ShareMistyped, match="another kind"):
        ShareWords(foreign)


def test_spaces_lines_and_capitals_do_not_matter(shares: list[ShareWords]) -> None:
    written = "\n".join(shares[1].reveal().upper().split())
    assert ShareWords(f"  {written}\t\n") == shares[1]


def test_every_choice_of_enough_shares_makes_the_key(shares: list[ShareWords]) -> None:
    """T-10: all subsets."""
    for size in (3, 4, 5):
        for chosen in combinations(shares, size):
            assert combine(chosen, CHECK) == KEY


def test_fewer_make_nothing(shares: list[ShareWords]) -> None:
    for chosen in ([], *([each] for each in shares), *map(list, combinations(shares, 2))):
        with pytest.raises(SharesTooFew):
            combine(chosen, CHECK)


def test_a_share_counts_once(shares: list[ShareWords]) -> None:
    with pytest.raises(ShareRepeated, match="share 2 "):
        combine([shares[0], shares[1], shares[1]], CHECK)


def test_a_share_of_another_set_is_named(shares: list[ShareWords]) -> None:
    with pytest.raises(ShareUnknown, match="share 1 belongs to another set"):
        combine([shares[1], split(KEY, 3, 3)[0], shares[2]], CHECK)


def test_shares_of_another_key_do_not_count(shares: list[ShareWords]) -> None:
    with pytest.raises(SharesDisagree):
        combine(shares, check_value(KeyMaterial(bytes(32))))


def test_shares_of_two_keys_that_look_like_one_set_do_not_count(shares: list[ShareWords]) -> None:
    """As somebody would make them who wants a recovery to fail late: same identifier, another secret."""
    from shamir_mnemonic import Share

    decoded = Share.from_mnemonic(shares[2].reveal())
    forged = ShareWords(Share(**{**vars(decoded), "value": bytes(32)}).mnemonic())
    with pytest.raises(SharesDisagree):
        combine([shares[0], shares[1], forged], CHECK)


@pytest.mark.parametrize(("threshold", "count"), [(1, 3), (0, 0), (3, 2), (2, 17)])
def test_a_set_that_splits_nothing_is_refused(threshold: int, count: int) -> None:
    """KEY-2: one share alone is no split knowledge."""
    with pytest.raises(ValueError, match="2 to 16"):
        split(KEY, threshold, count)


def test_a_digest_knows_one_share_of_one_set(shares: list[ShareWords]) -> None:
    digests = {share.digest(set_id) for share in shares for set_id in (bytes(16), b"1" * 16)}
    assert len(digests) == 10
    assert shares[0].digest(bytes(16)) == ShareWords(shares[0].reveal()).digest(bytes(16))


def test_no_error_holds_a_word(shares: list[ShareWords], words: list[str]) -> None:
    """KEY-6: also where the library's own errors would repeat the beginning of a share."""
    broken = [*words[:-1], another(words[-1])]
    for act in (lambda: ShareWords(" ".join(broken)), lambda: combine(shares[:2], CHECK)):
        with pytest.raises(ShareError) as refused:
            act()
        assert words[0] not in str(refused.value)
        assert refused.value.__suppress_context__ or refused.value.__context__ is None


def test_what_shares_make_is_a_seal_like_others(root: RootKey) -> None:
    require_a_good_seal(SharesSeal.around(b"s" * 16, KEY), SharesSeal.around(b"o" * 16, KeyMaterial.generate()), root)
    assert SharesSeal.around(b"s" * 16, KEY).name.startswith("shares:")
