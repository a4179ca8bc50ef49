"""Key ceremonies on an onboarded database: an operator's connection, seals of its own beside the blueprint's keystore."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from keys.keyring import Keyring
from keys.seals.address import SealAddress
from keys.seals.shares import ShareWords
from tests.installation import OPERATOR_ORIGIN, Blueprint, settings_for
from vault import custody, seals, shares
from vault.db import Database
from vault.roles import OPERATOR
from vault.seals import Ceremony
from vault.settings import Settings
from vault.shares import IssuedShare


@dataclass(frozen=True, slots=True)
class Bench:
    """What a ceremony is held with; `folder` is a fresh one for keystores."""

    ceremony: Ceremony
    folder: Path

    @property
    def settings(self) -> Settings:
        return self.ceremony.settings

    @property
    def database(self) -> Database:
        return self.ceremony.database

    @property
    def present(self) -> str:
        """The address of the seal that the installation was made with."""
        return self.settings.seal

    def keystore(self, name: str) -> str:
        """Give the address of a keystore that may not be there yet."""
        return f"local:{self.folder / name}"

    def at(self, uri: str) -> SealAddress:
        """Read an address."""
        return self.settings.seal_at(uri)

    def with_seals(self, *uris: str) -> "Bench":
        """Give the same with other seals configured."""
        settings = self.settings.model_copy(update={"seal": " ".join(uris)})
        return replace(self, ceremony=replace(self.ceremony, settings=settings))

    async def opens(self) -> bool:
        """Start as a server does, and use a key of a merchant's."""
        keyring: Keyring = await custody.open_keyring(self.settings, self.database)
        return bool(keyring)

    async def names(self) -> list[str]:
        """Give the seals that guard the root key, by name."""
        async with self.database.session() as session:
            rows = await session.rows("select distinct seal from vault.root_wrap order by seal")
        return [row["seal"] for row in rows]

    async def added(self, uri: str) -> str:
        """Add a seal that is made for it."""
        return await seals.add(self.ceremony, self.at(uri), create=True)

    async def issued(self, threshold: int, *custodians: str) -> list[IssuedShare]:
        """Make a set of shares."""
        made: list[IssuedShare] = []
        await shares.create(self.ceremony, threshold, custodians, made.append)
        return made

    async def in_force(self, threshold: int, *custodians: str) -> list[ShareWords]:
        """Make a set of shares, and let every custodian acknowledge."""
        words = [share.words for share in await self.issued(threshold, *custodians)]
        for each in words:
            await shares.acknowledge(self.database, OPERATOR_ORIGIN, each)
        return words


@asynccontextmanager
async def bench_at(blueprint: Blueprint, url: str, folder: Path, **changes: Any) -> AsyncIterator[Bench]:
    """Open an operator's connection."""
    database = Database(url, role=OPERATOR, pool_size=2)
    try:
        yield Bench(Ceremony(settings_for(blueprint.folder, url, **changes), database, OPERATOR_ORIGIN), folder)
    finally:
        await database.close()
