"""Makes leaves of the events that wait, signs what the tree has become, and refuses to sign when it was set back.

It refuses to know who wrote the events. Invariants: whoever appends holds the head's lock, so that any number of
sequencers make one log; nothing is remembered between two rounds that the database does not hold, so that a commit
whose answer was lost needs no repair; a checkpoint that contradicts an earlier one, or an anchor, is never signed
(audit-log.md 3.10 D to G, controls.md AUD-7).
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from keys.errors import KeysError
from keys.keyring import Keyring, Purpose
from keys.signing import Signer
from vault.audit import entry
from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.audit.log_keys import LogKeys, name_of, origin_of
from vault.audit.merkle import HASH_BYTES, Frontier, Node, Range, Tree, leaf_hash
from vault.audit.note import Checkpoint, NoteInvalid, sign
from vault.auditing.anchor import AnchorUnavailable
from vault.auditing.stored_tree import StoredTree, StoredTreeBroken, is_kept
from vault.db import Database, StatementFailed, Transaction
from vault.errors import VaultError
from vault.logs import alarm, get_logger
from vault.store import alarms, audit, audit_epochs, audit_log
from vault.store.audit_log import Due, Head, Leaf

_log = get_logger(__name__)
_BATCH: Final = 2000
_ORIGIN: Final = Origin(ActorKind.WORKER, "audit")
_INSTALLATION: Final = ""

# What an anchor says: its newest checkpoint of an epoch, or None where there is none.
Witness: TypeAlias = Callable[[LogKeys, int], Awaitable[Checkpoint | None]]


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
        if not (due.waiting or due.signing or due.silent or due.granted):
            return False
        try:
            more = await (self._begin_epoch(due) if due.granted else self._round(due))
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
        signers = await self._signers(due.key_id)
        keys = _keys(due, signers)
        signing = bool(signers) and due.rested
        anchored = await self._anchored(keys, due.epoch) if signing else None
        async with self._database.transaction() as transaction:
            head = await audit_log.lock_head(transaction)
            if head is None or head.epoch != due.epoch:
                return False
            signed = await _refuse_contradictions(transaction, head, keys, anchored) if signing else None
            taken = await audit_log.take(transaction, _BATCH)
            grown = await _append(transaction, head, taken) if taken else head
            if signing:
                await _sign(transaction, grown, _needed(signers, keys, head.epoch, signed))
            if due.silent and not taken:
                await audit.append(transaction, Event(EventType.AUDIT_HEARTBEAT, _ORIGIN, _INSTALLATION))
        return len(taken) == _BATCH

    async def _begin_epoch(self, due: Due) -> bool:
        """Begin anew, as operators have allowed: leaf 0 says where the epoch before ended, and what is lost of it.

        An anchor that does not answer is waited for: without it the loss would be stated wrongly, and for good.
        """
        signers = await self._signers(due.key_id)
        keys = _keys(due, signers)
        anchored = None
        try:
            anchored = await self._witness(keys, due.epoch)
        except AnchorUnavailable:
            _log.warning("audit.anchor_unavailable")
            return False
        except NoteInvalid:
            pass  # nothing there is of this log
        async with self._database.transaction() as transaction:
            head = await audit_log.lock_head(transaction)
            grant = await audit_epochs.granted(transaction, due.epoch + 1)
            if head is None or grant is None or head.epoch != due.epoch or not signers:
                return False
            note = await audit_log.newest_checkpoint(transaction, head.epoch)
            last = _later(anchored, note, keys, head.epoch)
            begun = Head(head.epoch + 1, origin_of(keys.name, head.epoch + 1), 0, b"")
            event = Event(
                EventType.AUDIT_EPOCH_BEGUN,
                _ORIGIN,
                _INSTALLATION,
                reason=grant.reason,
                details={
                    "from": head.epoch,
                    "to": begun.epoch,
                    "checkpoint": str(last) if last else None,
                    "lost": max(0, last.tree.size - head.size) if last else None,
                },
            )
            event_id, body = audit.encoded(event)
            first = entry.Queued(event_id, _INSTALLATION, grant.read_at, body)
            await _sign(transaction, await _append(transaction, begun, [first]), signers[:1])
        return True

    async def _signers(self, key_id: bytes | None) -> list[Signer]:
        """Give the log's keys, the active one first; without one the log grows unsigned, which is an alarm."""
        try:
            signers = await self._keyring.signers(_INSTALLATION, Purpose.AUDIT)
            if signers[0].key_id != key_id:
                self._keyring.forget(_INSTALLATION, Purpose.AUDIT)
                signers = await self._keyring.signers(_INSTALLATION, Purpose.AUDIT)
        except KeysError:
            await self._raise("audit_unsigned", "key")
            return []
        return signers

    async def _anchored(self, keys: LogKeys, epoch: int) -> Checkpoint | None:
        try:
            return await self._witness(keys, epoch)
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


def _keys(due: Due, signers: Sequence[Signer]) -> LogKeys:
    return LogKeys(name_of(due.origin, due.epoch), tuple(each.public for each in signers))


def _needed(signers: Sequence[Signer], keys: LogKeys, epoch: int, newest: str | None) -> Sequence[Signer]:
    """Give who has to sign: the active key, and beside it the one before, until a checkpoint has both signatures."""
    if newest is None:
        return signers[:1]
    try:
        replace(keys, publics=keys.publics[:1]).checkpoint(newest, epoch)
    except NoteInvalid:
        return signers[:2]
    return signers[:1]


def _later(anchored: Checkpoint | None, newest: str | None, keys: LogKeys, epoch: int) -> Checkpoint | None:
    """Give the larger of what the anchor and the database know to be signed."""
    known = [anchored] if anchored else []
    if newest is not None:
        with suppress(NoteInvalid):
            known.append(keys.checkpoint(newest, epoch))
    return max(known, key=lambda each: each.tree.size, default=None)


async def _sign(transaction: Transaction, head: Head, signers: Sequence[Signer]) -> None:
    """Sign the tree as it is, unless that was done; the same tree has the same note, whoever signs it."""
    if head.size == 0 or await audit_log.is_signed(transaction, head.epoch, head.size):
        return
    checkpoint = Checkpoint(head.origin, Tree(head.size, _frontier(head).root))
    await audit_log.keep_checkpoint(transaction, head.epoch, head.size, sign(str(checkpoint), head.origin, *signers))


def _frontier(head: Head) -> Frontier:
    parts = [head.frontier[start : start + HASH_BYTES] for start in range(0, len(head.frontier), HASH_BYTES)]
    return Frontier(head.size, parts)


async def _refuse_contradictions(
    transaction: Transaction, head: Head, keys: LogKeys, anchored: Checkpoint | None
) -> str | None:
    """Compare the head with the stored tree, the newest checkpoint and the anchor; raises `Contradiction`.

    Gives the newest checkpoint's note.
    """
    tree = StoredTree(transaction, head.epoch)
    try:
        if (await tree.frontier(head.size)).hashes != _frontier(head).hashes:
            raise Contradiction("audit_damaged", head.size)
        extent = await audit_log.extent(transaction, head.epoch)
        note = await audit_log.newest_checkpoint(transaction, head.epoch)
        signed = [keys.checkpoint(note, head.epoch)] if note else []
        if extent != (head.size, max((each.tree.size for each in signed), default=0)):
            raise Contradiction("audit_damaged", head.size)
        for earlier in {each.tree for each in (*signed, anchored) if each is not None}:
            if earlier.size > head.size or await tree.hash_of(Range(0, earlier.size)) != earlier.root:
                raise Contradiction("audit_fork", earlier.size)
    except (StoredTreeBroken, NoteInvalid, ValueError):
        raise Contradiction("audit_damaged", head.size) from None
    return note
