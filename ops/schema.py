"""Upgrades and checks the schema for commands, with failures in an operator's words.

It refuses to know revisions. Invariant: a login that cannot even connect is told so before a migration is tried.
"""

from typing import Final

from ops.connection import connect, why_no_connection
from ops.refusal import Refused
from vault import migrations

_OLDEST: Final = 15


async def upgrade_schema(url: str) -> None:
    """Migrate to the newest revision; raises `Refused`."""
    await _require_connection(url)
    try:
        await migrations.upgrade(url)
    except migrations.MigrationRefused as error:
        raise Refused(
            f"the database refused the migration (SQL state {error.sqlstate}): the login of "
            "CARDVAULT_ADMIN_DATABASE_URL has to be allowed to create schemas and roles"
        ) from None


async def check_schema(url: str) -> None:
    """Compare database and tables; raises `SchemaDiffers`, or `Refused` when this login may not."""
    await _require_connection(url)
    try:
        await migrations.check(url)
    except migrations.MigrationRefused as error:
        raise Refused(f"this login may not compare the schema (SQL state {error.sqlstate}): use its owner's") from None


async def _require_connection(url: str) -> None:
    reason = await why_no_connection(url)
    if reason is not None:
        raise Refused(f"the database cannot be used: {reason}")
    connection = await connect(url)
    try:
        major = connection.get_server_version().major
    finally:
        await connection.close()
    if major < _OLDEST:
        raise Refused(f"PostgreSQL {_OLDEST} or newer is needed, this is {major}")
