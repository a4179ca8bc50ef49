"""Shredding: deleted cards made unrecoverable, copies of the database included.

It refuses to know files, terminals and how rows are moved. Invariants: the new root key is opened by nothing that ever
opened an earlier one, and never wraps a data key under which a deleted card was sealed; each step may be repeated, so
that a ceremony that was cut off goes on where it was (design section 5, controls.md RET-2, KEY-9; T-5, T-14).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from keys.errors import KeysError, SealFileInvalid, SealFileMissing, SealKeyMissing
from keys.keyring import Keyring, Purpose
from keys.seals import opening
from keys.seals.address import SealAddress
from vault import root_rotation, shares, unsealing
from vault.audit.events import Detail, Event, EventType
from vault.custody import INSTALLATION
from vault.errors import Conflict, NotFound
from vault.ids import Prefix, new_id
from vault.key_life import DATA, KeyLife
from vault.receipt import Covered, OpenerShown, Receipt
from vault.seals import Ceremony
from vault.store import audit, key_life, keys, root_keys
from vault.store import shredding as rows
from vault.store.shredding import End, Fate, Opener, Shred

# Also a keystore file that was overwritten and not removed yet.
_NOTHING_THERE: Final = (SealFileMissing, SealFileInvalid, SealKeyMissing)
_IN_USE: Final = "This seal opens the root key that is in use: it is not destroyed."


@dataclass(frozen=True, slots=True)
class Plan:
    """What comes in the place of everything that opens the root key: seals by address, custodians of new shares."""

    seals: Sequence[str]
    threshold: int | None
    custodians: Sequence[str]


class Shredding:
    """A ceremony in its steps, each of which does what is left of it."""

    def __init__(self, ceremony: Ceremony, keyring: Keyring) -> None:
        self._ceremony = ceremony
        self._database = ceremony.database
        self._keyring = keyring
        self._life = KeyLife(ceremony.database, keyring, ceremony.origin)

    async def begin(self, plan: Plan) -> None:
        """Begin a ceremony, in the place of one that is not complete; its first transaction keeps the plan.

        Raises `Conflict` for a plan that leaves an old opener in use or custodians without shares; `SealError`.
        """
        await self._require_sensible(plan)
        async with self._database.session() as session:
            present = await keys.roots(session)
            version = await root_keys.newest_version(session)
        if plan.threshold is None and any(wrap.seal.startswith(unsealing.SHARES) for wrap in present):
            raise Conflict("Custodians hold shares of the root key: name the custodians of the new shares.")
        now = datetime.now(UTC)
        shred = Shred(new_id(Prefix.SHREDDING), version, plan.seals, plan.threshold, plan.custodians, now, None)
        async with self._database.transaction() as transaction:
            details = {"cards": await rows.insert(transaction, shred)}
            await audit.append(transaction, self._event(EventType.SHREDDING_STARTED, shred.id, details))

    async def _require_sensible(self, plan: Plan) -> None:
        settings = self._ceremony.settings
        addresses = self._addresses(plan.seals)
        if not addresses or not set(addresses) <= set(settings.seals):
            raise Conflict("The new seals have to be in CARDVAULT_SEAL first, here and where servers and workers run.")
        if plan.threshold is not None or plan.custodians:
            shares.require_sensible(plan.threshold or 0, plan.custodians)
        names = [(await unsealing.ensured(address, create=True)).name for address in addresses]
        await root_rotation.require_new(self._database, names)

    async def current(self) -> Shred:
        """Give the ceremony that was begun last; raises `Conflict` before the first one."""
        async with self._database.session() as session:
            shred = await rows.newest(session)
        if shred is None:
            raise Conflict("No shredding was begun: name the new seals with --seal.")
        return shred

    async def keys_left(self, shred: Shred) -> int:
        """Count the data keys from before the ceremony that are not destroyed."""
        async with self._database.session() as session:
            return len(await key_life.standing(session, DATA, shred.created_at))

    async def retire_keys(self, shred: Shred) -> None:
        """Put new data keys in the place of those from before the ceremony."""
        await self._life.rotate(DATA, None, before=shred.created_at)

    async def destroy_keys(self, shred: Shred) -> None:
        """Destroy the data keys from before the ceremony; raises `Conflict` while a row needs one."""
        await self._life.destroy_retired(shred.created_at)

    async def is_severed(self, shred: Shred) -> bool:
        """Tell whether nothing that opened a root key from before the ceremony opens what has been in use since."""
        async with self._database.session() as session:
            return await rows.severing_version(session, shred) is not None

    async def replace_root(self, shred: Shred) -> None:
        """Put a root key under the new seals in the place of every earlier one; raises what `rotate` does.

        No data key from before may be left by then, or the new root key would open it: `Conflict`.
        """
        if await self.keys_left(shred):
            raise Conflict("Data keys from before the shredding are left: run this again.")
        while not await self.is_severed(shred):
            await root_rotation.rotate(self._ceremony, root_rotation.Shares(drop=True), self._addresses(shred.seals))

    async def lacks_shares(self, shred: Shred) -> bool:
        """Tell whether new shares are still to be made."""
        if not shred.custodians:
            return False
        async with self._database.session() as session:
            version = await rows.severing_version(session, shred)
            return version is None or not await rows.has_shares(session, version)

    async def end_openers(self) -> list[str]:
        """Destroy what opened an earlier root key and is named in the settings; gives the names of what was reached."""
        ending = await self._left()
        reached = []
        for address in self._ceremony.settings.seals:
            name = await self._name_at(address)
            if name in ending:
                reached.append(name)
                await self._destroy(name, address, ending[name])
        return reached

    async def _left(self) -> dict[str, Fate]:
        shred = await self.current()
        async with self._database.session() as session:
            return {opener.name: opener.fate for opener in await rows.openers(session, shred) if not opener.fate.final}

    async def _name_at(self, address: SealAddress) -> str | None:
        """Name what opens at an address: something new may be there; where nothing is, what we began to destroy."""
        try:
            return (await unsealing.open_seal(address)).name
        except _NOTHING_THERE:
            async with self._database.session() as session:
                return await rows.begun_at(session, str(address))
        except KeysError:
            return None

    async def _destroy(self, name: str, address: SealAddress, fate: Fate) -> None:
        """Note the intention first: what is missing then was destroyed by us. `Conflict` for what is in use again."""
        async with self._database.session() as session:
            in_use = await rows.is_in_use(session, name)
        if in_use:
            raise Conflict(_IN_USE)
        if fate is Fate.KEPT:
            await self._note(End(name, Fate.BEGUN, str(address)), EventType.OPENER_DESTRUCTION_STARTED)
        due_at = await asyncio.to_thread(opening.destroy, address)
        now = Fate.DESTROYED if due_at is None else Fate.SCHEDULED
        await self._note(End(name, now, due_at=due_at), EventType.OPENER_DESTROYED)

    async def attest(self, name: str) -> None:
        """Record that an opener which is out of reach from here was destroyed; raises `NotFound`, `Conflict`."""
        if name not in await self._left():
            raise NotFound("Nothing of this name is left that opened an earlier root key: see the receipt.")
        await self._note(End(name, Fate.ATTESTED), EventType.OPENER_DESTROYED)

    async def _note(self, end: End, kind: EventType) -> None:
        details = {"seal": end.opener, "fate": end.fate.value}
        async with self._database.transaction() as transaction:
            noted = await rows.set_fate(transaction, end, self._event(kind, end.opener, details))
        if not noted:
            raise Conflict(_IN_USE)

    async def cards(self, shred: Shred) -> AsyncIterator[list[tuple[str, str]]]:
        """Give the cards that the ceremony covers (merchant, id), in portions."""
        async with self._database.session() as session:
            async for portion in rows.cards(session, shred):
                yield portion

    async def issue(self, shred: Shred, covered: Covered) -> tuple[Receipt, str]:
        """Give the receipt as things stand, and as a signed note; when it is complete, so is the ceremony."""
        keys_left = await self.keys_left(shred)
        signer = await self._keyring.signer(INSTALLATION, Purpose.AUDIT)
        async with self._database.transaction() as transaction:
            newest = (await keys.roots(transaction))[0]
            receipt = Receipt(
                shredding_id=shred.id,
                environment=self._ceremony.settings.environment,
                started_at=shred.created_at,
                issued_at=datetime.now(UTC),
                cards=covered,
                root_key_id=newest.key_id,
                root_version=newest.version,
                severed=await rows.severing_version(transaction, shred) is not None,
                keys_left=keys_left,
                openers=[_shown(opener) for opener in await rows.openers(transaction, shred)],
            )
            details: dict[str, Detail] = {
                "complete": receipt.complete,
                "cards": covered.count,
                "digest": covered.sha256,
            }
            await audit.append(transaction, self._event(EventType.SHREDDING_RECEIPT, shred.id, details))
            if receipt.complete:
                await rows.complete(transaction, shred)
        return receipt, receipt.note(signer)

    def _addresses(self, uris: Sequence[str]) -> list[SealAddress]:
        return [self._ceremony.settings.seal_at(uri) for uri in uris]

    def _event(self, kind: EventType, about: str, details: Mapping[str, Detail] = MappingProxyType({})) -> Event:
        return Event(kind, self._ceremony.origin, INSTALLATION, (about,), details=details)


def _shown(opener: Opener) -> OpenerShown:
    return OpenerShown(
        name=opener.name,
        custodian=opener.custodian,
        root_versions=(opener.first, opener.last),
        fate=opener.fate.value,
        final=opener.fate.final,
        since=opener.since,
        due_at=opener.due_at,
    )
