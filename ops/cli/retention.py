"""`cardvault retention`, `cardvault purge` and `cardvault data-inventory`: what is kept, why, until when, and where.

It refuses to know how cards are deleted. Invariant: a purge is done when nothing past its period is left in the tables,
and nothing that was deleted in their files.
"""

import click

from ops.cli.output import json_option, remark, show_record, show_table

_CLASS_COLUMNS = ("merchantId", "version", "days", "from", "cards", "reason")
_RUN_COLUMNS = ("runId", "kind", "finishedAt", "examined", "purged", "held", "overdue")
_INVENTORY_COLUMNS = ("table", "column", "holds", "encrypted")


@click.command()
@json_option
def retention(*, as_json: bool) -> None:
    """Show the retention classes with their reasons and cards, and what the last runs purged and verified."""
    from ops.operating import with_database
    from ops.retention import read_status

    status = with_database(read_status).as_record()
    if as_json:
        show_record(status, as_json=True)
        return
    show_table(status["classes"], _CLASS_COLUMNS, as_json=False)
    click.echo()
    show_table(status["runs"], _RUN_COLUMNS, as_json=False)
    waiting = status["oldestExpiredUnpurgedSeconds"]
    click.echo(
        f"\noldest card past its period, not purged: {'not verified yet' if waiting is None else f'{waiting:.0f} s'}"
    )


@click.command()
@json_option
def purge(*, as_json: bool) -> None:
    """Purge what is past its period now, and rewrite the files that held what was deleted, by whomever.

    Needs the owner's login in CARDVAULT_ADMIN_DATABASE_URL. Each table with sealed values is locked while its rows are
    copied: some seconds for a million cards.
    """
    import asyncio

    from ops.operating import command_settings, operator_origin
    from ops.purging import purge_and_scrub

    report = asyncio.run(purge_and_scrub(command_settings(), operator_origin()))
    if as_json:
        show_record(report, as_json=True)
    else:
        show_table([report.pop("purge"), report.pop("verification")], _RUN_COLUMNS, as_json=False)
        click.echo()
        show_record(report, as_json=False)
    if report["tokensWaiting"]:
        remark("Tokens of deleted cards still wait, sealed, to be deleted at the gateway: purge again after that.")
    if report["walRecycled"]:
        remark(
            "The server recycles segments of its write-ahead log: old ones keep their bytes under new names until they "
            "are overwritten. Set wal_recycle = off to have them removed."
        )


@click.command()
@json_option
def data_inventory(*, as_json: bool) -> None:
    """List every column of the database with the class of data that it holds."""
    from ops.inventory import columns

    show_table(list(columns()), _INVENTORY_COLUMNS, as_json=as_json)
