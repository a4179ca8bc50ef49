"""`cardvault audit new-epoch`, `rotate-key` and `prune`: what changes the audit log as a whole.

It refuses to know how. Invariant: what loses something is under dual control.
"""

import asyncio
from pathlib import Path

import click

from ops.cli.output import json_option, remark, show_record


@click.command(name="new-epoch")
@click.option(
    "--reason",
    required=True,
    type=click.Choice(["restored", "damaged", "rewritten"]),
    help="What became of the epoch before.",
)
@json_option
def new_epoch(*, reason: str, as_json: bool) -> None:
    """Let the log begin anew, with a name of its own, after the database was set back or damaged for good.

    The first entry says where the epoch before ended and how many entries are lost of what was signed.
    """
    from ops.audit_life import Reason
    from ops.audit_life import new_epoch as allow

    show_record(allow(Reason(reason)), as_json=as_json)
    remark("The next worker that looks begins it. Never delete the anchor.")


@click.command(name="rotate-key")
@json_option
def rotate_key(*, as_json: bool) -> None:
    """Replace the log's key; both keys sign that, so that verifiers go on with the one that they have pinned."""
    from ops.audit_life import rotate_key as rotate

    show_record(rotate(), as_json=as_json)


@click.command()
@click.option(
    "--exported",
    "folder",
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIR",
    help="A valid export of all that is to be deleted.",
)
@json_option
def prune(*, folder: Path, as_json: bool) -> None:
    """Delete old entries that an export holds; their hashes stay, so that everything else can still be proved.

    How old: CARDVAULT_AUDIT_ONLINE_DAYS. Keep the export, and a copy of it.
    """
    from ops.audit_life import prune as delete
    from ops.auditing import log_keys
    from ops.operating import command_settings

    keys = asyncio.run(log_keys(command_settings()))
    show_record(delete(folder, keys), as_json=as_json)
