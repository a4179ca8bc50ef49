"""`cardvault db`: bring the schema to this version, or tell whether it is.

It refuses to know the schema. Invariant: an upgrade uses the operators' URL and holds the database's own lock.
"""

import asyncio
import os

import click


@click.group()
def db() -> None:
    """Migrate the database (CARDVAULT_ADMIN_DATABASE_URL, or else CARDVAULT_DATABASE_URL)."""


@db.command()
def upgrade() -> None:
    """Bring the database to this version's schema; safe to run at any time and from several hosts."""
    from ops.schema import upgrade_schema
    from vault.settings import load_settings

    asyncio.run(upgrade_schema(load_settings(os.environ).operator_database_url.get_secret_value()))
    click.echo("The schema is current.")


@db.command()
def check() -> None:
    """Compare the database with this version's schema; exit code 1 when they differ."""
    from ops.schema import check_schema
    from vault.settings import load_settings

    asyncio.run(check_schema(load_settings(os.environ).operator_database_url.get_secret_value()))
    click.echo("The schema is current.")
