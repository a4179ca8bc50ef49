"""Break-glass: the root key opened by k of n custodians, when every seal is gone.

It refuses to know files, terminals and data keys. Invariants: a set is in force once each of its custodians has shown
that their share is legible and acknowledged what it means, and only then do older sets end (T-10, controls.md KEY-13);
looking at a share opens nothing (KEY-11); no share, not even a word of one, is kept, logged or put in an error.
"""

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from keys.envelope import KEY_ID_BYTES
from keys.errors import ShareError, ShareUnknown
from keys.sealed import KeyMaterial
from keys.seals import shares as slip39
from keys.seals.seal import seal_name
from keys.seals.shares import SharesSeal, ShareWords
from vault import custody, seals, unsealing
from vault.audit.events import Detail, Event, EventType, Origin, Outcome
from vault.custody import INSTALLATION
from vault.db import Database, Transaction
from vault.errors import Conflict
from vault.seals import Ceremony
from vault.store import audit, keys, root_keys
from vault.store import shares as rows
from vault.store.shares import HeldShare, ShareSet

STATEMENT: Final = (
    "I hold one share of the key that opens this card vault. I keep it where nobody else comes by it, together with "
    "no other share and apart from its passphrase. I use it only at a recovery or a key ceremony that was announced to "
    "me, and I report at once when it is lost, was seen by somebody, or when I leave."
)


@dataclass(frozen=True, slots=True)
class IssuedShare:
    """A share on its way to its custodian; it exists nowhere else."""

    set_id: bytes
    number: int
    custodian: str
    words: ShareWords


@dataclass(frozen=True, slots=True)
class ShownShare:
    """What is known of a share that somebody showed, and whether its set opens the root key that is in use."""

    share_set: ShareSet
    held: HeldShare
    live: bool

    @property
    def set_name(self) -> str:
        """The set as a seal."""
        return seal_name(SharesSeal.kind, self.share_set.id)


DESTRUCTION: Final = (
    "I have destroyed my share, every copy and every note of it. Nobody can read it any more, and I cannot either."
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
Deliver = Callable[[IssuedShare], None]


async def create(
    ceremony: Ceremony, threshold: int, custodians: Sequence[str], deliver: Deliver, set_id: bytes | None = None
) -> str:
    """Split a new key that opens the root key, hand each share to `deliver`, and give the set's name.

    With an id the set is known by it, so that whoever goes on after a death finds what was delivered in vain.
    Nothing is kept unless every share was delivered. Older sets stay until this one is in force. Raises what
    `require_sensible` does, `SealError`.
    """
    require_sensible(threshold, custodians)
    roots = await custody.open_roots(ceremony.settings, ceremony.database)
    set_id, key = set_id or os.urandom(KEY_ID_BYTES), KeyMaterial.generate()
    words = slip39.split(key, threshold, len(custodians))
    made = ShareSet(set_id, words[0].identifier, threshold, slip39.check_value(key))
    wraps = [
        unsealing.wrap(SharesSeal.around(set_id, key), root, ceremony.settings.environment) for root in roots.values()
    ]
    again = SharesSeal.around(set_id, slip39.combine(words[-threshold:], made.check_value))
    await unsealing.unwrap(again, wraps, ceremony.settings.environment)
    held = []
    for share, name in zip(words, custodians, strict=True):
        deliver(IssuedShare(set_id, share.number, name, share))
        held.append(HeldShare(set_id, share.number, name, share.digest(set_id)))
    details: dict[str, Detail] = {"seal": again.name, "threshold": threshold, "shares": len(words)}
    event = Event(EventType.SHARES_CREATED, ceremony.origin, INSTALLATION, details=details)
    async with ceremony.database.transaction() as transaction:
        await rows.insert(transaction, made, held, event)
        for wrap in wraps:
            await keys.insert_wrap(transaction, wrap)
    return again.name


def require_sensible(threshold: int, custodians: Sequence[str]) -> None:
    """Raise `Conflict` unless these can be a set: 2 of 2 to 16 of 16, each person once, with a name."""
    if len(set(custodians)) < len(custodians) or not all(_NAME.fullmatch(name) for name in custodians):
        raise Conflict(
            "Each custodian holds one share and has a name of letters, digits, dots, dashes and underscores."
        )
    if not slip39.FEWEST <= threshold <= len(custodians) <= slip39.MOST:
        raise Conflict("A set has 2 to 16 custodians, and it takes at least 2 and at most all of them.")


async def look_up(database: Database, words: ShareWords) -> ShownShare:
    """Tell whose share of which set this is, without opening anything; raises `ShareUnknown`."""
    async with database.session() as session:
        for share_set in await rows.with_identifier(session, words.identifier):
            digest = words.digest(share_set.id)
            for held in await rows.held(session, share_set.id):
                if held.digest == digest:
                    live = await rows.is_live(session, seal_name(SharesSeal.kind, share_set.id))
                    return ShownShare(share_set, held, live)
    raise ShareUnknown("this share belongs to no set of this installation")


async def unacknowledged(database: Database, share_set: ShareSet) -> int:
    """Count the custodians of a set who have not acknowledged their share yet."""
    async with database.session() as session:
        return sum(held.acknowledged_at is None for held in await rows.held(session, share_set.id))


async def acknowledge(database: Database, origin: Origin, words: ShareWords) -> int:
    """Record that a custodian, whose share this is, acknowledged `STATEMENT`; gives how many of the set have not yet.

    With the last one the set is in force, and older ones end. Raises `ShareUnknown`, or `Conflict` for a set that has
    ended.
    """
    shown = await look_up(database, words)
    if not shown.live:
        raise Conflict("This share's set opens the root key no more: the share can be destroyed.")
    statement = hashlib.sha256(STATEMENT.encode())
    details: dict[str, Detail] = {
        "seal": shown.set_name,
        "number": shown.held.number,
        "statement": statement.hexdigest(),
    }
    event = Event(EventType.SHARE_ACKNOWLEDGED, origin, INSTALLATION, details=details)
    async with database.transaction() as transaction:
        missing = await rows.acknowledge(transaction, shown.held, statement.digest(), event)
        if missing == 0:
            await _bring_into_force(transaction, origin, shown.set_name)
    return missing


async def require_ended(database: Database, words: ShareWords) -> ShownShare:
    """Give a share whose set opens nothing that is in use; raises `ShareUnknown`, or `Conflict` for any other."""
    shown = await look_up(database, words)
    if shown.live:
        raise Conflict("This share opens the root key that is in use: it is destroyed after a shredding, or a new set.")
    return shown


async def record_destruction(database: Database, origin: Origin, shown: ShownShare) -> None:
    """Record that a custodian has acknowledged `DESTRUCTION` of a share that was shown and has ended."""
    details: dict[str, Detail] = {
        "seal": shown.set_name,
        "number": shown.held.number,
        "statement": hashlib.sha256(DESTRUCTION.encode()).hexdigest(),
    }
    event = Event(EventType.SHARE_DESTROYED, origin, INSTALLATION, details=details)
    async with database.transaction() as transaction:
        await rows.destroyed(transaction, shown.held, event)


async def _bring_into_force(transaction: Transaction, origin: Origin, name: str) -> None:
    event = Event(EventType.SHARES_IN_FORCE, origin, INSTALLATION, details={"seal": name})
    await audit.append(transaction, event)
    wraps = await keys.roots(transaction)
    for older in sorted({wrap.seal for wrap in wraps if wrap.seal.startswith(unsealing.SHARES)} - {name}):
        ended = Event(EventType.SEAL_REMOVED, origin, INSTALLATION, details={"seal": older})
        await root_keys.remove_seal(transaction, older, [name], ended)


async def open_seal(database: Database, shares: Sequence[ShareWords]) -> SharesSeal:
    """Put k shares together; raises `ShareError`, or `Conflict` when one of them was never acknowledged."""
    shown = [await look_up(database, words) for words in shares]
    key = slip39.combine(shares, shown[0].share_set.check_value if shown else b"")
    if any(each.held.acknowledged_at is None for each in shown):
        raise Conflict("A share was never acknowledged: its custodian does that first (cardvault keys shares verify).")
    return SharesSeal.around(shown[0].share_set.id, key)


async def recover(ceremony: Ceremony, shares: Sequence[ShareWords]) -> list[str]:
    """Open the root key by k shares and let every seal of CARDVAULT_SEAL guard it from now on; gives their names.

    A keystore file or a key in a token that is missing is made. What becomes of it is an audit event either way. Raises
    `ShareError`, `SealError`, or `Conflict` for shares whose set has ended.
    """
    try:
        seal = await open_seal(ceremony.database, shares)
    except ShareError as error:
        await _record(ceremony, Outcome.FAILURE, type(error).__name__, {})
        raise
    async with ceremony.database.session() as session:
        wraps = await keys.roots(session)
    roots = await unsealing.unwrap(seal, wraps, ceremony.settings.environment)
    if roots.keys() != {wrap.key_id for wrap in wraps}:
        raise Conflict("These shares do not open the root key that is in use: they are of an earlier one.")
    names = []
    for address in ceremony.settings.seals:
        name, _ = await seals.keep(ceremony, address, roots.values(), create=True)
        names.append(name)
    await _record(ceremony, Outcome.SUCCESS, None, {"seal": seal.name, "shares": len(shares)})
    return names


async def _record(ceremony: Ceremony, outcome: Outcome, reason: str | None, details: dict[str, Detail]) -> None:
    async with ceremony.database.session() as session:
        event = Event(EventType.ROOT_KEY_RECOVERED, ceremony.origin, INSTALLATION, (), outcome, reason, details)
        await audit.append(session, event)
