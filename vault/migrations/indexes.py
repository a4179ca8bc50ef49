"""Indexes on tables that are in use: built beside the traffic.

It refuses to know tables and columns. Invariants: no write waits for a build; what a build that broke off has left is
replaced by the next one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import op


def build(name: str, table: str, columns: list[str], **options: Any) -> None:
    """Build an index concurrently; the first step of a migration, since what came before it is committed.

    It waits for the transactions that run, however long they take: nothing queues behind it (ADR 0036).
    """
    drop(name, table)
    with _beside_traffic():
        op.create_index(name, table, columns, schema="vault", postgresql_concurrently=True, **options)


def drop(name: str, table: str) -> None:
    """Drop an index concurrently, if there is one; as `build`, a step of its own."""
    with _beside_traffic():
        op.drop_index(name, table, schema="vault", if_exists=True, postgresql_concurrently=True)


@contextmanager
def _beside_traffic() -> Iterator[None]:
    with op.get_context().autocommit_block():
        wait = op.get_bind().scalar(sa.text("show lock_timeout"))
        op.execute("set lock_timeout = 0")
        yield
        op.execute(f"set lock_timeout = '{wait}'")
