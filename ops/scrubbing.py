"""Rewrites the files in which deleted rows leave what they held, so that no ciphertext of a deleted card is left there.

It refuses to know which rows were deleted. PostgreSQL takes deleted rows out of its reach, not out of its files: a page
keeps their bytes until it needs the room. Invariant: a table counts as done when it was written anew without any row
that was deleted before the scrub began, which its frozen transaction id proves (docs/adr/0019).
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

from ops.connection import Connection, connect, lock_refused, why_no_connection
from ops.inventory import tables_with_secrets
from ops.refusal import Refused
from vault.audit.events import Event, EventType, Origin
from vault.db import Database
from vault.ids import Prefix, new_id
from vault.store import retention

_TRIES: Final = 8
_PAUSE: Final = 0.5
_LOCK_WAIT: Final = "2s"  # as long as requests may be kept waiting behind the rewriting's own wait
_STATISTICS: Final = "pg_catalog.pg_statistic"  # held samples of sealed columns before these were left out of it
_RIGHTS: Final = """
select (select bool_and(pg_has_role(relowner, 'usage')) from pg_class
        where relnamespace = (select oid from pg_namespace where nspname = 'vault') and relname = any($1)) as owner,
    (select rolsuper from pg_roles where rolname = current_user)
        or pg_has_role('pg_checkpoint', 'usage') as checkpointer,
    (select pg_has_role(datdba, 'usage') from pg_database where datname = current_database()) as statistician,
    has_function_privilege('pg_switch_wal()', 'execute') as switcher,
    current_setting('wal_recycle')::boolean as recycling
"""
_CLEAN: Final = "select age(relfrozenxid) <= age($2::text::xid) from pg_class where oid = $1::text::regclass"


@dataclass(frozen=True, slots=True)
class Rights:
    """What a login may do with tables, checkpoints, statistics and the log; whether the server recycles segments."""

    owner: bool
    checkpointer: bool
    statistician: bool
    switcher: bool
    recycling: bool


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """What was done: tables written anew, and the place in the write-ahead log from which on nothing old is in it."""

    run_id: str
    tables: list[str]
    wal_from: str
    wal_recycled: bool
    seconds: float

    def as_record(self) -> dict[str, Any]:
        """Give the fields as JSON-like values."""
        return {
            "runId": self.run_id,
            "tables": self.tables,
            "walFrom": self.wal_from,
            "walRecycled": self.wal_recycled,
            "seconds": round(self.seconds, 1),
        }


async def scrub(url: str, origin: Origin) -> Scrubbed:
    """Rewrite every table with sealed values, move the log on and write a checkpoint; needs the owner's login.

    Each table is locked for as long as it takes to copy its living rows. Raises `Refused` with nothing recorded.
    """
    rights = await require_rights(url)
    tables = tables_with_secrets()
    began = time.monotonic()
    connection = await connect(url)
    try:
        await connection.execute(f"set lock_timeout = '{_LOCK_WAIT}'")
        for table in (*(f"vault.{each}" for each in tables), *([_STATISTICS] if rights.statistician else [])):
            await _rewrite(connection, table)
        if rights.switcher:
            await connection.execute("select pg_switch_wal()")
        wal_from: str = await connection.fetchval("select pg_current_wal_insert_lsn()::text")
        await connection.execute("checkpoint")
    finally:
        await connection.close()
    done = Scrubbed(new_id(Prefix.RETENTION_RUN), tables, wal_from, rights.recycling, time.monotonic() - began)
    await _record(url, origin, done)
    return done


async def require_rights(url: str) -> Rights:
    """Give what the login of a URL may do and how the server is set; raises `Refused` unless it may scrub."""
    if (reason := await why_no_connection(url)) is not None:
        raise Refused(f"the database cannot be used: {reason}")
    connection = await connect(url)
    try:
        (row,) = await connection.fetch(_RIGHTS, tables_with_secrets())
    finally:
        await connection.close()
    rights = Rights(**row)
    if not rights.owner:
        raise Refused(
            "the login of CARDVAULT_ADMIN_DATABASE_URL does not own the vault's tables: use the owner's, as for "
            "cardvault db upgrade"
        )
    if not rights.checkpointer:
        raise Refused("this login may not write a checkpoint: as a superuser, grant pg_checkpoint to it")
    return rights


async def _rewrite(connection: Connection, table: str) -> None:
    """Write a table anew; repeated while somebody uses it, or may still see rows that were deleted meanwhile."""
    newest = await connection.fetchval("select pg_current_xact_id()::xid::text")
    for _ in range(_TRIES):
        refused = await lock_refused(connection, f"vacuum (full, freeze) {table}")
        if not refused and await connection.fetchval(_CLEAN, table, newest):
            return
        await asyncio.sleep(_PAUSE)
    raise Refused(
        f"{table} could not be rewritten without what was deleted: an old transaction, a prepared one or a replication "
        "slot still needs it, or the table is in constant use; look at pg_stat_activity and pg_replication_slots, and "
        "try again"
    )


async def _record(url: str, origin: Origin, done: Scrubbed) -> None:
    database = Database(url, role=None, pool_size=1)
    try:
        event = Event(EventType.RETENTION_SCRUBBED, origin, "", (done.run_id,), details={"tables": len(done.tables)})
        async with database.transaction() as transaction:
            await retention.add_scrub(transaction, done.seconds, event)
    finally:
        await database.close()
