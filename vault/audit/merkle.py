"""The Merkle tree of the audit log: hashes, the compact state that grows, and proofs (RFC 6962 section 2.1).

It refuses to know entries, databases and signatures. Invariants: every hash is 32 octets; what a proof consists of is
named by ranges of leaves, so that whoever stores hashes can answer; a verification reads the entire proof and accepts
nothing beside it (RFC 9162 sections 2.1.3.2 and 2.1.4.2). Source: audit-log.md 3.5.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

HASH_BYTES: Final = 32
EMPTY: Final = sha256(b"").digest()


class Range(NamedTuple):
    """The leaves from `start` up to, and without, `end`."""

    start: int
    end: int


class Tree(NamedTuple):
    """A tree as a checkpoint names it."""

    size: int
    root: bytes


class Around(NamedTuple):
    """The hashes of `nodes` for what lies before some leaves of a tree, and for what lies after them."""

    before: Sequence[bytes]
    after: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Node:
    """A perfect subtree of 2^height leaves, the `index`-th of its height."""

    height: int
    index: int

    @property
    def leaves(self) -> Range:
        """The leaves below it."""
        return Range(self.index << self.height, (self.index + 1) << self.height)


def leaf_hash(entry: bytes) -> bytes:
    """Hash an entry as a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two neighbours into the node above them."""
    return sha256(b"\x01" + left + right).digest()


def nodes(leaves: Range) -> list[Node]:
    """Give the fewest perfect subtrees that make up a range, from left to right."""
    start, end = leaves
    found = []
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        found.append(Node(height, start >> height))
        start += 1 << height
    return found


def join(hashes: Sequence[bytes]) -> bytes:
    """Hash the subtrees that `nodes` names for a range which ends at the tree's end, or is perfect, into one."""
    if not hashes:
        return EMPTY
    joined = hashes[-1]
    for left in reversed(hashes[:-1]):
        joined = node_hash(left, joined)
    return joined


class Frontier:
    """All that has to be known of a tree for it to grow: the hashes of `nodes((0, size))`."""

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, hashes: Iterable[bytes] = ()) -> None:
        self.size = size
        self.hashes = list(hashes)
        if len(self.hashes) != size.bit_count() or any(len(each) != HASH_BYTES for each in self.hashes):
            raise ValueError("a frontier has one hash for each bit of its size")

    def append(self, leaf: bytes) -> Iterator[tuple[Node, bytes]]:
        """Add a leaf's hash; gives the nodes above it that are complete now, from below. To be exhausted."""
        self.hashes.append(leaf)
        index, height = self.size, 0
        self.size += 1
        while index & 1:
            right = self.hashes.pop()
            self.hashes.append(node_hash(self.hashes.pop(), right))
            index, height = index >> 1, height + 1
            yield Node(height, index), self.hashes[-1]

    @property
    def root(self) -> bytes:
        """The hash of the tree as it is."""
        return join(self.hashes)


def _split(leaves: Range) -> int:
    """Give the leaf at which the right half of a tree begins: after the largest power of two below its size."""
    return leaves.start + (1 << (leaves.end - leaves.start - 1).bit_length() - 1)


def inclusion(index: int, size: int) -> list[Range]:
    """Name the ranges whose hashes prove that a leaf is in a tree, from the leaf to the root."""
    if not 0 <= index < size:
        raise ValueError("the leaf is not in the tree")
    siblings, around = [], Range(0, size)
    while around.end - around.start > 1:
        middle = _split(around)
        left, right = Range(around.start, middle), Range(middle, around.end)
        around, sibling = (left, right) if index < middle else (right, left)
        siblings.append(sibling)
    return siblings[::-1]


def consistency(old: int, size: int) -> list[Range]:
    """Name the ranges whose hashes prove that a tree of `old` leaves is the beginning of one of `size`."""
    if not 0 <= old <= size:
        raise ValueError("a tree does not shrink")
    proof, around, whole = [], Range(0, size), True
    while 0 < old != around.end:
        middle = _split(around)
        left, right = Range(around.start, middle), Range(middle, around.end)
        if old <= middle:
            proof.append(right)
            around = left
        else:
            proof.append(left)
            around, whole = right, False
    return (proof if whole else [*proof, around])[::-1]


def _plausible(*hashes: bytes) -> bool:
    return all(len(each) == HASH_BYTES for each in hashes)


def includes(tree: Tree, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Tell whether a proof shows that this leaf is the `index`-th of a tree."""
    if not 0 <= index < tree.size or not _plausible(tree.root, leaf, *proof):
        return False
    siblings = inclusion(index, tree.size)
    if len(siblings) != len(proof):
        return False
    reached = leaf
    for sibling, known in zip(siblings, proof, strict=True):
        reached = node_hash(known, reached) if sibling.end <= index else node_hash(reached, known)
    return reached == tree.root


def extends(old: Tree, new: Tree, proof: Sequence[bytes]) -> bool:
    """Tell whether a proof shows that the tree `new` begins with all of the tree `old`."""
    if not 0 <= old.size <= new.size or not _plausible(old.root, new.root, *proof):
        return False
    if old.size in {0, new.size}:
        expected = new.root if old.size else EMPTY
        return not proof and old.root == expected and (new.size > 0 or new.root == EMPTY)
    return _rebuilt(old, new.size, proof) == (old.root, new.root)


def _rebuilt(old: Tree, size: int, proof: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Hash a proof up to both roots, or give None when it is too short or too long."""
    given = [old.root, *proof] if old.size.bit_count() == 1 else list(proof)
    place, last = old.size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    before = after = given.pop(0) if given else EMPTY
    for known in given:
        if last == 0:
            return None
        if place & 1 or place == last:
            before, after = node_hash(known, before), node_hash(known, after)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            after = node_hash(after, known)
        place, last = place >> 1, last >> 1
    return (before, after) if last == 0 else None


def covers(tree: Tree, start: int, leaves: Sequence[bytes], around: Around) -> bool:
    """Tell whether leaves are exactly those of a tree from `start` on."""
    end = start + len(leaves)
    if not 0 <= start < end <= tree.size or not _plausible(tree.root, *leaves, *around.before, *around.after):
        return False
    left, right = nodes(Range(0, start)), nodes(Range(end, tree.size))
    if (len(left), len(right)) != (len(around.before), len(around.after)):
        return False
    stack: list[tuple[Node, bytes]] = []
    between = [Node(0, index) for index in range(start, end)]
    for node, known in zip([*left, *between, *right], [*around.before, *leaves, *around.after], strict=True):
        place, reached = node, known
        while stack and stack[-1][0].height == place.height and place.index & 1:
            place, reached = Node(place.height + 1, place.index >> 1), node_hash(stack.pop()[1], reached)
        stack.append((place, reached))
    return join([reached for _, reached in stack]) == tree.root
