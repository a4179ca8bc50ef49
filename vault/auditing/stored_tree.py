"""The log's tree as it is stored: the hash of any range of leaves from the leaves and the kept subtrees.

It refuses to know signatures and entries. Invariant: of any subtree at most 128 rows are read, since every eighth level
is kept (audit-log.md 3.6 keeps the same levels as tiles).
"""

from typing import Final

from vault.audit.merkle import Frontier, Node, Range, join, nodes
from vault.db import Session
from vault.store import audit_log

KEPT_LEVELS: Final = 8


def is_kept(node: Node) -> bool:
    """Tell whether a subtree's hash is stored."""
    return node.height % KEPT_LEVELS == 0


class StoredTreeBroken(Exception):
    """Rows of the stored tree are missing."""


class StoredTree:
    """One epoch's tree; its rows only ever become more, so no transaction is needed to read it."""

    def __init__(self, session: Session, epoch: int) -> None:
        self._session = session
        self._epoch = epoch

    async def frontier(self, size: int) -> Frontier:
        """Rebuild the compact state of the tree's first leaves; raises `StoredTreeBroken`."""
        return Frontier(size, await self.parts(Range(0, size)))

    async def parts(self, leaves: Range) -> list[bytes]:
        """Give the hashes of the perfect subtrees that make up a range, from left to right."""
        return [await self._node(node) for node in nodes(leaves)]

    async def hash_of(self, leaves: Range) -> bytes:
        """Give the hash of a range as proofs name it."""
        return join(await self.parts(leaves))

    async def _node(self, node: Node) -> bytes:
        above = node.height % KEPT_LEVELS
        start, end = node.index << above, (node.index + 1) << above
        found = await audit_log.hashes(self._session, self._epoch, node.height - above, start, end)
        if len(found) != end - start:
            raise StoredTreeBroken
        frontier = Frontier()
        for each in found:
            for _ in frontier.append(each):
                pass
        return frontier.root
