"""A shredding held at a bench step by step, with a keystore that may be destroyed and a new one beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from keys.keyring import Keyring, Purpose
from tests.api.ceremonies import Bench, bench_at
from tests.api.test_reencryption import finish
from tests.installation import OPERATOR_ORIGIN, Blueprint
from vault import custody
from vault.db import Database
from vault.receipt import Covered, Receipt, verification_key, verified
from vault.reencryption import Reencryption
from vault.roles import APP
from vault.shredding import Plan, Shredding
from vault.store.shredding import Shred

PLAIN = b"sealed before"


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A shredding with the bench that it is held at."""

    bench: Bench
    shredding: Shredding
    keyring: Keyring

    async def carried_out(self) -> Shred:
        """Do every step up to the new root key, and whatever of them is left."""
        shred = await self.shredding.current()
        if await self.shredding.keys_left(shred):
            await self.shredding.retire_keys(shred)
            job = Reencryption(self.bench.database, self.keyring, OPERATOR_ORIGIN)
            progress = await job.progress()
            if progress is None or progress.job.created_at < shred.created_at:
                await job.start()
            servers = Database(self.bench.settings.database_url.get_secret_value(), role=APP, pool_size=1)
            try:
                await finish(Reencryption(servers, self.keyring, OPERATOR_ORIGIN))
            finally:
                await servers.close()
            await self.shredding.destroy_keys(shred)
        await self.shredding.replace_root(shred)
        return shred

    async def cards(self) -> list[str]:
        """List the cards that are covered."""
        shred = await self.shredding.current()
        return [card_id async for portion in self.shredding.cards(shred) for _, card_id in portion]

    async def receipt(self) -> Receipt:
        """Issue the receipt, which is signed."""
        cards = await self.cards()
        covered = Covered(len(cards), sha256("".join(cards).encode()).hexdigest())
        receipt, note = await self.shredding.issue(await self.shredding.current(), covered)
        key = verification_key(await self.keyring.signer("", Purpose.AUDIT))
        assert verified(note.encode(), key)["complete"] is receipt.complete
        return receipt

    async def left(self) -> list[str]:
        """Name the openers of earlier root keys that may still open."""
        return [opener.name for opener in (await self.receipt()).openers if not opener.final]


async def held_at(bench: Bench) -> Ceremony:
    """Open the keys from scratch, as a process that starts does."""
    keyring = await custody.open_keyring(bench.settings, bench.database)
    return Ceremony(bench, Shredding(bench.ceremony, keyring), keyring)


@asynccontextmanager
async def own_bench(blueprint: Blueprint, url: str, folder: Path) -> AsyncIterator[Bench]:
    """Give a bench whose keystore is a copy that may be destroyed, with a new seal configured beside it."""
    own = folder / "own"
    if not own.exists() and not (folder / "new").exists():
        own.write_bytes((blueprint.folder / "keystore.json").read_bytes())
        own.chmod(0o600)
    async with bench_at(blueprint, url, folder) as bench:
        yield bench.with_seals(bench.keystore("own"), bench.keystore("new"))


def plan(bench: Bench, threshold: int | None = None, *custodians: str) -> Plan:
    """Plan the new seal in the place of everything."""
    return Plan([bench.keystore("new")], threshold, list(custodians))
