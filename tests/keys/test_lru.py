import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.lru import Lru


@pytest.mark.parametrize("size", [0, -1])
def test_a_cache_without_room_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Lru[str, str](size)


def test_the_entry_used_longest_ago_goes_first() -> None:
    cache: Lru[str, str] = Lru(2)
    cache.put("a", "1")
    cache.put("b", "2")
    assert cache.get("a") == "1"
    cache.put("c", "3")
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == ("1", None, "3")


def test_replacing_an_entry_renews_it_and_drops_no_other() -> None:
    cache: Lru[str, str] = Lru(2)
    cache.put("a", "1")
    cache.put("b", "2")
    cache.put("a", "3")
    cache.put("c", "4")
    assert (cache.get("a"), cache.get("b")) == ("3", None)


def test_dropping_is_possible_twice() -> None:
    cache: Lru[str, str] = Lru(2)
    cache.put("a", "1")
    cache.drop("a")
    cache.drop("a")
    assert cache.get("a") is None


@given(size=st.integers(1, 5), names=st.lists(st.integers(0, 9)))
def test_there_are_never_more_entries_than_the_size(size: int, names: list[int]) -> None:
    cache: Lru[int, int] = Lru(size)
    for name in names:
        cache.put(name, name)
        assert len(cache) <= size
    assert all(cache.get(name) == name for name in names[-1:])
