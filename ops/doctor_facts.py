"""Reads what the doctor wants to know of a database: version, clock, connections, and what the logins may do.

It refuses to judge. Invariant: it only asks.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ops.connection import connect, needed_right
from vault.roles import APP, AUDITOR, OPERATOR, SEQUENCER
from vault.settings import Settings

_SERVER: Final = """
select extract(epoch from clock_timestamp())::float8 as clock,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as connections
"""
# The folder is shown to few logins, and says nothing here about another machine.
_FOLDER: Final = """
select setting from pg_settings where name = 'data_directory'
    and inet_server_addr() is not distinct from inet_client_addr()
"""
_RIGHTS: Final = """
select
    coalesce((select pg_has_role(current_user, oid, $2) from pg_roles where rolname = $1), false) as member,
    (select rolsuper or rolcreaterole or rolcreatedb from pg_roles where rolname = current_user) or coalesce(
        (select has_schema_privilege(current_user, oid, 'create') from pg_namespace where nspname = 'vault'), false
    ) as defines
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was read; `clock_offset` in seconds, ours minus the database's, `folder` where its files are, if known."""

    major: int
    clock_offset: float
    free_connections: int
    is_app: bool
    may_define: bool
    is_operator: bool
    is_sequencer: bool
    is_auditor: bool
    folder: Path | None


async def read_facts(settings: Settings) -> Facts:
    """Ask each login."""
    servers = await connect(settings.database_url.get_secret_value())
    try:
        before = time.time()
        server = await servers.fetchrow(_SERVER)
        now = (before + time.time()) / 2
        rights = await servers.fetchrow(_RIGHTS, APP, needed_right(servers))
        worker = await servers.fetchrow(_RIGHTS, SEQUENCER, needed_right(servers))
        major = servers.get_server_version().major
    finally:
        await servers.close()
    operators = await connect(settings.operator_database_url.get_secret_value())
    try:
        operator = await operators.fetchrow(_RIGHTS, OPERATOR, needed_right(operators))
        folder = await operators.fetchval(_FOLDER)
    finally:
        await operators.close()
    auditors = await connect((settings.auditor_database_url or settings.database_url).get_secret_value())
    try:
        auditor = await auditors.fetchrow(_RIGHTS, AUDITOR, needed_right(auditors))
    finally:
        await auditors.close()
    if server is None or rights is None or worker is None or operator is None or auditor is None:
        raise RuntimeError("a question of one row was answered with none")
    return Facts(
        major,
        now - server["clock"],
        server["connections"],
        rights["member"],
        rights["defines"],
        operator["member"],
        worker["member"],
        auditor["member"],
        Path(folder) if folder else None,
    )
