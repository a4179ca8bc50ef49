"""Vaultings without an outcome are asked about until they have one.

It refuses to know who runs it. Invariants: an inquiry changes nothing at the gateway and nothing is sent again; what
the gateway does not know well after its time did not happen; what stays open longer than any buyer takes, ends.
"""

from datetime import timedelta
from typing import Final

from vault.audit.events import ActorKind, Origin
from vault.db import Database
from vault.directory import Account, Directory
from vault.gateway.vaulting_evidence import unknown_to_gateway
from vault.pace import Pace, well_after
from vault.payment import Source
from vault.store import vaultings
from vault.store.inquiries import ABOUT_VAULTINGS, Due
from vault.vaulting import Ending, Vaulting, VaultingSeen, VaultingStatus
from vault.vaultings.calling import VaultCaller
from vault.vaultings.recording import VaultingRecorder

WORKER: Final = Origin(ActorKind.WORKER, "vaultings")
_GIVE_UP_AFTER: Final = timedelta(hours=24)


class VaultingFollower:
    """Asks about vaultings that are due."""

    def __init__(
        self, database: Database, directory: Directory, calls: VaultCaller, recorder: VaultingRecorder, pace: Pace
    ) -> None:
        self._database = database
        self._directory = directory
        self._calls = calls
        self._recorder = recorder
        self._pace = pace

    async def claim(self, limit: int) -> list[Due]:
        """Take due vaultings for this worker."""
        async with self._database.session() as session:
            return await ABOUT_VAULTINGS.claim(session, limit=limit, lease_seconds=self._pace.lease)

    async def resolve(self, due: Due) -> None:
        """Ask about one vaulting, and say when to ask again where it is still open."""
        async with self._database.session() as session:
            vaulting = await vaultings.find(session, due.merchant_id, due.object_id)
        assert vaulting is not None  # noqa: S101 - vaultings are never deleted
        account = await self._directory.account(due.merchant_id, WORKER)
        after = await self.ask(account, vaulting, WORKER)
        if not after.status.final:
            async with self._database.session() as session:
                wait = self._pace.wait(due.attempts)
                await ABOUT_VAULTINGS.schedule(session, due.merchant_id, due.object_id, wait, due.attempts)

    async def ask(self, account: Account, vaulting: Vaulting, origin: Origin) -> Vaulting:
        """Inquire once, and record what that shows by now."""
        seen = self._read(vaulting, await self._calls.inquire(account, vaulting))
        return await self._recorder.record(vaulting, seen, origin)

    def _read(self, vaulting: Vaulting, seen: VaultingSeen | None) -> VaultingSeen:
        """Give what an inquiry means by now: the gateway may not know a vaulting because it is still on its way."""
        if seen is None:
            return VaultingSeen(Source.WORKER, VaultingStatus.UNKNOWN)
        final = seen.status is not None and seen.status.final
        if not final and vaulting.read_at - vaulting.created_at > _GIVE_UP_AFTER:
            return VaultingSeen(Source.WORKER, VaultingStatus.FAIL, ending=Ending.EXPIRED)
        if not unknown_to_gateway(seen):
            return seen
        begun = vaulting.status is VaultingStatus.PROCESSING
        by_when = vaulting.expires_at if begun else vaulting.send_deadline
        if not well_after(vaulting.read_at, by_when, self._pace.grace):
            return VaultingSeen(Source.WORKER, VaultingStatus.UNKNOWN)
        ending = Ending.EXPIRED if begun else Ending.NOT_SENT
        return VaultingSeen(Source.WORKER, VaultingStatus.FAIL, ending=ending)
