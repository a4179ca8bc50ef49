"""The audit log of a test installation: sequencers at hand, and what a superuser finds in its tables.

It refuses to use the product's tree: roots are computed by the definition.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keys.keyring import Keyring, Purpose
from tests.api.shop import Sql
from tests.installation import Blueprint, settings_for
from tests.vault.audit import naive
from vault import custody
from vault.audit.log_keys import LogKeys
from vault.audit.merkle import Tree
from vault.audit.note import Checkpoint, NoteKey, verified_checkpoint
from vault.auditing.anchor import AnchorFile
from vault.auditing.publisher import Publisher
from vault.auditing.sequencer import Cadence, Sequencer
from vault.db import Database
from vault.roles import APP, SEQUENCER

NAME = "vault.example/audit"
AT_ONCE = Cadence(0.0, 3600.0)
_numbers = itertools.count(1)


async def nowhere(_keys: LogKeys, _epoch: int) -> Checkpoint | None:
    """Be no anchor."""
    return None


@dataclass(slots=True)
class Log:
    """The log, and what makes it grow."""

    database: Database
    keyring: Keyring
    key: NoteKey
    sql: Sql
    folder: Path
    sequencers: list[Sequencer] = field(default_factory=list)

    def sequencer(self, cadence: Cadence = AT_ONCE, **changes: Any) -> Sequencer:
        """Give another sequencer."""
        values: dict[str, Any] = {"database": self.database, "keyring": self.keyring, "witness": nowhere} | changes
        return Sequencer(name=NAME, cadence=cadence, **values)

    @property
    def keys(self) -> LogKeys:
        """The keys as the anchor takes them."""
        return LogKeys(NAME, (self.key.public,))

    @property
    def anchor(self) -> AnchorFile:
        """The anchor in the folder."""
        return AnchorFile(self.folder / "anchor.jsonl", patience=0.5)

    def publisher(self) -> Publisher:
        """Give what copies to the anchor."""
        return Publisher(self.database, self.keyring, self.anchor)

    async def write(self, count: int, merchant_id: str = "m") -> None:
        """Queue events as the application does."""
        ids = [f"aev_{next(_numbers)}" for _ in range(count)]
        bodies = [f'{{"id":"{each}","merchant":"{merchant_id}","schema":"cardvault.audit/1"}}'.encode() for each in ids]
        await self.sql.change(
            "insert into vault.audit_pending (event_id, merchant_id, body) "
            "select id, $3, body from unnest($1::text[], $2::bytea[]) as t(id, body)",
            ids,
            bodies,
            merchant_id,
        )

    async def entries(self) -> list[bytes]:
        """Give all entries in their places, which have no gap."""
        rows = await self.sql.rows("select place, entry from vault.audit_leaf order by place")
        assert [row["place"] for row in rows] == list(range(len(rows)))
        return [row["entry"] for row in rows]

    async def checkpoints(self) -> list[Tree]:
        """Give what was signed, each compared with the tree as it is defined."""
        entries = await self.entries()
        rows = await self.sql.rows("select size, note from vault.audit_checkpoint order by size")
        signed = [verified_checkpoint(row["note"].encode(), self.key).tree for row in rows]
        assert [tree.size for tree in signed] == [row["size"] for row in rows]
        for tree in {*signed[:: len(signed) // 20 + 1], *signed[-1:]}:
            assert tree.root == naive.root(entries[: tree.size])
        return signed

    async def tamper(self, statement: str) -> None:
        """Change what may not be changed, as somebody with all rights could."""
        connection = self.sql.connection
        async with connection.transaction():
            await connection.execute("set local session_replication_role = replica")
            await connection.execute(statement)


@asynccontextmanager
async def opened_log(blueprint: Blueprint, url: str, sql: Sql, folder: Path) -> AsyncIterator[Log]:
    """Open the log of an onboarded database."""
    app = Database(url, role=APP, pool_size=2)
    database = Database(url, role=SEQUENCER, pool_size=6)
    try:
        keyring = await custody.open_keyring(settings_for(blueprint.folder, url), app)
        signer = await keyring.signer("", Purpose.AUDIT)
        yield Log(database, keyring, NoteKey(NAME, signer.public), sql, folder)
    finally:
        await database.close()
        await app.close()
