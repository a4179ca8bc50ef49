from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vault.audit import naive
from vault.audit import merkle
from vault.audit.merkle import EMPTY, Around, Frontier, Node, Range, Tree, covers, extends, includes

HASH = 32
EXHAUSTIVE = 64
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ENTRIES = [bytes.fromhex(leaf) for leaf in LEAVES]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
MANY = [index.to_bytes(3) for index in range(600)]


def grown(entries: Sequence[bytes]) -> Frontier:
    frontier = Frontier()
    for entry in entries:
        list(frontier.append(merkle.leaf_hash(entry)))
    return frontier


def tree(size: int, entries: Sequence[bytes] = MANY) -> Tree:
    return Tree(size, naive.root(entries[:size]))


def hashes(ranges: Sequence[Range]) -> list[bytes]:
    return [naive.root(MANY[each.start : each.end]) for each in ranges]


def leaf(index: int) -> bytes:
    return naive.root(MANY[index : index + 1])


def around(start: int, end: int, size: int) -> Around:
    parts = merkle.nodes(Range(0, start)), merkle.nodes(Range(end, size))
    return Around(*([naive.root(MANY[slice(*node.leaves)]) for node in part] for part in parts))


@pytest.mark.parametrize("size", range(9))
def test_the_published_roots_come_out(size: int) -> None:
    assert grown(ENTRIES[:size]).root.hex() == ROOTS[size]


def test_a_frontier_has_the_root_of_every_size_and_can_be_taken_up_again() -> None:
    frontier = Frontier()
    for size, entry in enumerate(MANY[:200]):
        assert frontier.root == naive.root(MANY[:size])
        frontier = Frontier(size, frontier.hashes)
        list(frontier.append(merkle.leaf_hash(entry)))


def test_every_complete_node_is_told_of_once() -> None:
    frontier = Frontier()
    told: dict[Node, bytes] = {}
    for entry in MANY[:EXHAUSTIVE]:
        told |= dict(frontier.append(merkle.leaf_hash(entry)))
    assert told == {
        Node(height, index): naive.root(MANY[index << height : (index + 1) << height])
        for height in range(1, 7)
        for index in range(EXHAUSTIVE >> height)
    }


@pytest.mark.parametrize(("size", "kept"), [(1, []), (2, [EMPTY, EMPTY]), (1, [EMPTY[1:]])])
def test_a_frontier_that_does_not_fit_its_size_is_refused(size: int, kept: list[bytes]) -> None:
    with pytest.raises(ValueError, match="frontier"):
        Frontier(size, kept)


def test_the_root_of_a_range_at_the_end_is_joined_from_its_nodes() -> None:
    for size in range(EXHAUSTIVE):
        parts = [naive.root(MANY[slice(*node.leaves)]) for node in merkle.nodes(Range(0, size))]
        assert merkle.join(parts) == naive.root(MANY[:size])


def test_proofs_are_those_of_the_definition_for_every_small_tree() -> None:
    """T-27: and each is accepted."""
    for size in range(EXHAUSTIVE + 1):
        for place in range(size):
            proof = hashes(merkle.inclusion(place, size))
            assert proof == naive.path(place, MANY[:size])
            assert includes(tree(size), place, leaf(place), proof)
    for size in range(0, EXHAUSTIVE + 1, 3):
        for old in range(size + 1):
            proof = hashes(merkle.consistency(old, size))
            assert proof == naive.proof(old, MANY[:size])
            assert extends(tree(old), tree(size), proof)


def test_ranges_of_every_small_tree_are_proved() -> None:
    for size in range(1, 25):
        for start in range(size):
            for end in range(start + 1, size + 1):
                leaves = [leaf(index) for index in range(start, end)]
                assert covers(tree(size), start, leaves, around(start, end, size))


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_larger_trees_are_proved_as_well(data: st.DataObject) -> None:
    """T-27."""
    size = data.draw(st.integers(EXHAUSTIVE, len(MANY)))
    place, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
    assert includes(tree(size), place, leaf(place), hashes(merkle.inclusion(place, size)))
    assert extends(tree(old), tree(size), hashes(merkle.consistency(old, size)))
    start = data.draw(st.integers(0, size - 1))
    end = data.draw(st.integers(start + 1, size))
    assert covers(tree(size), start, [leaf(each) for each in range(start, end)], around(start, end, size))


def test_the_published_proofs_come_out() -> None:
    leaves = [merkle.leaf_hash(entry) for entry in ENTRIES]
    of_eight = [naive.root(ENTRIES[each.start : each.end]).hex() for each in merkle.inclusion(5, 8)]
    assert of_eight == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert includes(Tree(8, bytes.fromhex(ROOTS[8])), 5, leaves[5], [bytes.fromhex(each) for each in of_eight])
    (step,) = merkle.consistency(4, 8)
    assert naive.root(ENTRIES[step.start : step.end]).hex().startswith("6b47aaf29ee3c2af9af8")


CHANGES: list[Callable[[list[bytes]], list[bytes]]] = [
    lambda proof: proof[1:],
    lambda proof: proof[:-1],
    lambda proof: [*proof, EMPTY],
    lambda proof: [EMPTY, *proof],
    lambda proof: proof[::-1],
    lambda proof: [bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]],
    lambda proof: [proof[0] + b"\x00", *proof[1:]],
    lambda proof: [proof[0][1:], *proof[1:]],
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("size", [2, 7, 8, 13, 33])
def test_a_proof_that_was_changed_proves_nothing(size: int, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """T-27: dropped, added, swapped, flipped, lengthened and shortened hashes."""
    for place in range(size):
        proof = naive.path(place, MANY[:size])
        if change(proof) != proof:
            assert not includes(tree(size), place, leaf(place), change(proof))
    for old in range(1, size):
        proof = naive.proof(old, MANY[:size])
        if change(proof) != proof:
            assert not extends(tree(old), tree(size), change(proof))


@pytest.mark.parametrize("size", [1, 6, 8, 13])
def test_a_proof_holds_for_no_other_place_leaf_or_tree(size: int) -> None:
    for place in range(size):
        proof = naive.path(place, MANY[:size])
        for other in range(-1, size + 2):
            assert includes(tree(size), other, leaf(place), proof) is (other == place)
        assert not includes(tree(size), place, EMPTY, proof)
        assert not includes(Tree(size, EMPTY), place, leaf(place), proof)
        assert not includes(tree(size), place, b"", proof)
    for old in range(1, size):
        proof = naive.proof(old, MANY[:size])
        assert not extends(Tree(old, EMPTY), tree(size), proof)
        assert not extends(tree(old), Tree(size, EMPTY), proof)
        assert not extends(tree(size), tree(old), proof)
        assert not extends(Tree(old, b""), tree(size), proof)


def test_nothing_is_the_beginning_of_everything_with_an_empty_proof_alone() -> None:
    assert extends(Tree(0, EMPTY), tree(5), [])
    assert extends(Tree(0, EMPTY), Tree(0, EMPTY), [])
    assert not extends(Tree(0, EMPTY), tree(5), [EMPTY])
    assert not extends(Tree(0, leaf(0)), tree(5), [])
    assert not extends(Tree(0, EMPTY), Tree(0, leaf(0)), [])
    assert not extends(tree(5), Tree(5, EMPTY), [])
    assert not extends(tree(5), tree(5), [EMPTY])
    assert not extends(Tree(-1, EMPTY), tree(5), [])


def test_a_range_is_not_proved_when_anything_of_it_differs() -> None:
    leaves, beside = [leaf(index) for index in range(3, 7)], around(3, 7, 13)
    assert covers(tree(13), 3, leaves, beside)
    for changed in (leaves[1:], leaves[:-1], leaves[::-1], [*leaves, EMPTY], [*leaves[:-1], EMPTY], [b"", *leaves], []):
        assert not covers(tree(13), 3, changed, beside)
    for start in (-1, 2, 4, 12):
        assert not covers(tree(13), start, leaves, beside)
    assert not covers(tree(12), 3, leaves, beside)
    assert not covers(Tree(13, EMPTY), 3, leaves, beside)
    assert not covers(tree(13), 3, leaves, Around(beside.before, [*beside.after, EMPTY]))
    assert not covers(tree(13), 3, leaves, Around(beside.before[::-1], beside.after))


def test_what_is_not_in_a_tree_has_no_proof() -> None:
    for place, size in ((0, 0), (3, 3), (-1, 3)):
        with pytest.raises(ValueError, match="not in the tree"):
            merkle.inclusion(place, size)
    for old, size in ((4, 3), (-1, 3)):
        with pytest.raises(ValueError, match="shrink"):
            merkle.consistency(old, size)
