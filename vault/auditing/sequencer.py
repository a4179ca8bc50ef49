"""Makes leaves of the events that wait, signs what the tree has become, and refuses to sign when it was set back.

It refuses to know who wrote the events. Invariants: whoever appends holds the head's lock, so that any number of
sequencers make one log; nothing is remembered between two rounds that the database does not hold, so that a commit
whose answer was lost needs no repair; a checkpoint that contradicts an earlier one, or an anchor, is never signed
(audit-log.md 3.10 D to G, controls.md AUD-7).
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from keys.errors import KeysError
from keys.keyring import Keyring, Purpose
from keys.signing import Signer
from vault.audit import entry
from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.audit.merkle import HASH_BYTES, Frontier, Node, Range, Tree, leaf_hash
from vault.audit.note import Checkpoint, NoteInvalid, NoteKey, sign, verified_checkpoint
from vault.auditing.anchor import AnchorUnavailable
from vault.auditing.stored_tree import StoredTree, StoredTreeBroken, is_kept
from vault.db import Database, StatementFailed, Transaction
from vault.errors import VaultError
from vault.logs import alarm, get_logger
from vault.store import alarms, audit, audit_log
from vault.store.audit_log import Due, Head, Leaf

_log = get_logger(__name__)
_BATCH: Final = 2000
_ORIGIN: Final = Origin(ActorKind.WORKER, "audit")
_INSTALLATION: Final = ""

# What an anchor says: its newest checkpoint, or None where there is none.
Witness: TypeAlias = Callable[[NoteKey], Awaitable[Checkpoint | None]]


class Contradiction(Exception):
    """The database is not the continuation of what was signed before; `code` is the alarm's."""

    def __init__(self, code: str, size: int) -> None:
        super().__init__(code)
        self.code = code
        self.size = size


@dataclass(frozen=True, slots=True)
class Cadence:
    """How often, in seconds: at most so long until growth is signed, at most so long a silence."""

    interval: float
    heartbeat: float


class Sequencer:
    """One of any number; `name` is the log's name when it has none yet, such as `vault.example/audit`."""

    def __init__(self, database: Database, keyring: Keyring, name: str, cadence: Cadence, witness: Witness) -> None:
        self._database = database
        self._keyring = keyring
        self._name = name
        self._cadence = cadence
        self._witness = witness
        self._started = False
        self._halted: str | None = None

    async def once(self) -> bool:
        """Do what is due; True when there may be more at once."""
        if not self._started:
            await self._start()
        async with self._database.session() as session:
            due = await audit_log.due(session, interval=self._cadence.interval, heartbeat=self._cadence.heartbeat)
        if not (due.waiting or due.signing or due.silent):
            return False
        try:
            more = await self._round(due)
        except Contradiction as found:
            await self._halt(found)
            return False
        self._halted = None
        return more

    async def finish(self) -> None:
        """Say that this sequencer has stopped."""
        if self._started:
            with suppress(VaultError, StatementFailed):
                await self._say(EventType.AUDIT_STOPPED)

    async def _start(self) -> None:
        """Say that this sequencer has started, and begin the log if that was never done (controls.md AUD-1)."""
        async with self._database.transaction() as transaction:
            if await audit_log.begin(transaction, self._name):
                await audit.append(transaction, Event(EventType.AUDIT_LOG_CREATED, _ORIGIN, _INSTALLATION))
        await self._say(EventType.AUDIT_STARTED)
        self._started = True

    async def _say(self, kind: EventType) -> None:
        async with self._database.session() as session:
            await audit.append(session, Event(kind, _ORIGIN, _INSTALLATION))

    async def _round(self, due: Due) -> bool:
        """Append a batch and sign, both in one transaction under the head's lock."""
        signer = await self._signer()
        key = NoteKey(due.origin, signer.public) if signer else None
        anchored = await self._anchored(key) if key and due.rested else None
        async with self._database.transaction() as transaction:
            head = await audit_log.lock_head(transaction)
            if head is None:
                return False
            if key and due.rested:
                await _refuse_contradictions(transaction, head, key, anchored)
            taken = await audit_log.take(transaction, _BATCH)
            grown = await _append(transaction, head, taken) if taken else head
            if signer and due.rested:
                await _sign(transaction, grown, signer)
            if due.silent and not taken:
                await audit.append(transaction, Event(EventType.AUDIT_HEARTBEAT, _ORIGIN, _INSTALLATION))
        return len(taken) == _BATCH

    async def _signer(self) -> Signer | None:
        """Give the log's key; without one the log grows unsigned, which is an alarm."""
        try:
            return await self._keyring.signer(_INSTALLATION, Purpose.AUDIT)
        except KeysError:
            await self._raise("audit_unsigned", "key")
            return None

    async def _anchored(self, key: NoteKey) -> Checkpoint | None:
        try:
            return await self._witness(key)
        except AnchorUnavailable:
            _log.warning("audit.anchor_unavailable")
        except NoteInvalid:
            raise Contradiction("audit_anchor_foreign", 0) from None
        return None

    async def _halt(self, found: Contradiction) -> None:
        if self._halted != found.code:
            _log.error("audit.halted", code=found.code, size=found.size)
        self._halted = found.code
        await self._raise(found.code, f"size_{found.size}")

    async def _raise(self, code: str, object_id: str) -> None:
        async with self._database.session() as session:
            raised = await alarms.raise_alarm(session, _ORIGIN, _INSTALLATION, code, object_id, {})
        if raised:
            alarm(_log, code, object_id=object_id)


async def _append(transaction: Transaction, head: Head, taken: list[entry.Queued]) -> Head:
    """Make leaves of events, in their order."""
    frontier = _frontier(head)
    leaves: list[Leaf] = []
    kept: list[tuple[Node, bytes]] = []
    for queued in taken:
        octets = entry.encode(queued)
        digest = leaf_hash(octets)
        place = frontier.size
        leaves.append(Leaf(place, queued.event_id, queued.merchant_id, queued.occurred_at, digest, octets))
        kept += [(node, above) for node, above in frontier.append(digest) if is_kept(node)]
    grown = replace(head, size=frontier.size, frontier=b"".join(frontier.hashes))
    await audit_log.append(transaction, grown, leaves, kept)
    return grown


async def _sign(transaction: Transaction, head: Head, signer: Signer) -> None:
    """Sign the tree as it is, unless that was done; the same tree has the same note, whoever signs it."""
    if head.size == 0 or await audit_log.is_signed(transaction, head.epoch, head.size):
        return
    checkpoint = Checkpoint(head.origin, Tree(head.size, _frontier(head).root))
    await audit_log.keep_checkpoint(transaction, head.epoch, head.size, sign(str(checkpoint), head.origin, signer))


def _frontier(head: Head) -> Frontier:
    parts = [head.frontier[start : start + HASH_BYTES] for start in range(0, len(head.frontier), HASH_BYTES)]
    return Frontier(head.size, parts)


async def _refuse_contradictions(
    transaction: Transaction, head: Head, key: NoteKey, anchored: Checkpoint | None
) -> None:
    """Compare the head with the stored tree, the newest checkpoint and the anchor; raises `Contradiction`."""
    tree = StoredTree(transaction, head.epoch)
    try:
        if (await tree.frontier(head.size)).hashes != _frontier(head).hashes:
            raise Contradiction("audit_damaged", head.size)
        note = await audit_log.newest_checkpoint(transaction, head.epoch)
        signed = [verified_checkpoint(note.encode(), key)] if note else []
        for earlier in {each.tree for each in (*signed, anchored) if each is not None}:
            if earlier.size > head.size or await tree.hash_of(Range(0, earlier.size)) != earlier.root:
                raise Contradiction("audit_fork", earlier.size)
    except (StoredTreeBroken, NoteInvalid, ValueError):
        raise Contradiction("audit_damaged", head.size) from None
