"""Alembic's entry: connects, takes the advisory lock for the session, runs each revision in its own transaction."""

import asyncio
from typing import Any

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from vault.every_table import metadata
from vault.hosts import Hosts
from vault.schema import SCHEMA

_LOCK = 0x63617264  # "card": any constant that nothing else in this database locks


def _owned_schema(name: str | None, kind: str, _parents: Any) -> bool:
    return kind != "schema" or name == SCHEMA


def _run(connection: Connection) -> None:
    wait = context.config.attributes["lock_wait"]
    with connection.begin():
        connection.execute(text(f"set lock_timeout = '{wait}'"))
        connection.execute(text(f"create schema if not exists {SCHEMA}"))
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_schemas=True,
        include_name=_owned_schema,
        version_table_schema=SCHEMA,
        compare_server_default=False,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def _is_alone(connection: AsyncConnection) -> bool:
    async with connection.begin():
        return bool(await connection.scalar(text("select pg_try_advisory_lock(:lock)"), {"lock": _LOCK}))


async def _online() -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=Hosts(context.config.attributes["url"]).connect,
        poolclass=NullPool,
        hide_parameters=True,
    )
    try:
        async with engine.connect() as connection:
            # Not in a statement that waits: whoever builds an index concurrently would wait for its end.
            while not await _is_alone(connection):
                await context.config.attributes["others"]()
            await connection.run_sync(_run)
    finally:
        await engine.dispose()


asyncio.run(_online())
