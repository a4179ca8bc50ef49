"""`cardvault audit`: the newest checkpoint, anchors, exports that prove themselves, and their verification.

It refuses to know how the log is kept. Invariant: `verify` is the same program as the one file that auditors are given.
"""

import asyncio
from pathlib import Path
from typing import Any

import click

from ops.cli.audit_life import new_epoch, prune, rotate_key
from ops.cli.output import json_option, remark, show_record, show_table

_SINKS = ("name", "told", "epoch", "size", "deliveredAt", "lagSeconds", "trouble")


@click.group()
def audit() -> None:
    """Look at the audit log, export it, verify exports (CARDVAULT_ADMIN_DATABASE_URL may act as cardvault_auditor)."""


@audit.command()
@json_option
def checkpoint(*, as_json: bool) -> None:
    """Print the newest signed checkpoint; keep it to prove later that nothing before it was changed."""
    from ops.auditing import newest
    from ops.operating import command_settings

    against = asyncio.run(newest(command_settings()))
    if not as_json:
        click.echo(against.note, nl=False)
        remark(f"Verification key: {against.key}")
        return
    root = against.note.split("\n")[2]
    record = {"origin": against.checkpoint.origin, "size": against.size, "root": root, "note": against.note}
    show_record({**record, "key": str(against.key)}, as_json=True)


@audit.command()
def catalogue() -> None:
    """Print the catalogue of audit events as Markdown (docs/audit-events.md)."""
    from ops.audit_catalogue import page

    click.echo(page(), nl=False)


@audit.command()
@click.option("--from", "since", metavar="WHEN", help="A place in the log, or a moment as 2026-01-31T00:00:00Z.")
@click.option("--to", "until", metavar="WHEN", help="Likewise; what is there itself is not exported.")
@click.option(
    "--epoch", type=click.IntRange(min=1), metavar="N", help="Of an earlier epoch, up to its last checkpoint."
)
@click.option("--merchant", "merchant_id", metavar="ID", help="Only this merchant's entries; of others the hashes.")
@click.option(
    "--format",
    type=click.Choice(["jsonl", "csv", "ocsf"]),
    default="jsonl",
    show_default=True,
    help="csv and ocsf come beside jsonl.",
)
@click.option(
    "--output",
    "-o",
    "folder",
    type=click.Path(path_type=Path),
    default="audit-export",
    show_default=True,
    metavar="DIR",
)
@json_option
def export(since: str | None, until: str | None, merchant_id: str | None, folder: Path, **rest: Any) -> None:
    """Write entries with their proof and a signed manifest into a new folder; without a range, all of them.

    The export is itself an event of the log. What was committed before it is in it, once a worker has signed that far.
    One that was killed goes on when it is asked for again.
    """
    from ops.auditing import Wanted, bound
    from ops.auditing import export as write
    from ops.cli.progress_view import counted
    from ops.operating import command_settings

    wanted = Wanted(bound(since), bound(until), merchant_id, rest["format"], rest["epoch"])
    with counted("audit export") as progress:
        exported = asyncio.run(write(command_settings(), wanted, folder, progress))
    show_record(exported.record, as_json=rest["as_json"])
    if not exported.complete:
        remark("The newest events are not signed yet and not in it: is a worker running?")


@audit.command()
@click.option("--forget", "name", metavar="NAME", help="Drop one that is not configured any more.")
@json_option
def anchors(*, name: str | None, as_json: bool) -> None:
    """List anchors and receivers of events: what each was told, the age of what waits for it, the last trouble."""
    from ops.auditing import forget_sink, sinks
    from ops.operating import command_settings

    settings = command_settings()
    if name is not None:
        asyncio.run(forget_sink(settings, name))
    show_table(asyncio.run(sinks(settings)), _SINKS, as_json=as_json)


@audit.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def verify(ctx: click.Context, arguments: tuple[str, ...]) -> None:
    """Verify an export: DIR [--key KEY] [--previous FILE] [--anchor FILE] [--max-age SECONDS] [--html FILE].

    Without --key, the keys are those that this installation's root key opens. --html FILE writes a report for people.
    Exit codes: 0 valid, 1 it cannot be told, 2 invalid, 3 valid but stale.
    """
    from ops import verify_audit
    from ops.auditing import log_keys, verified
    from ops.operating import command_settings

    if any(each.split("=")[0] in {"--key", "-h", "--help"} for each in arguments):
        ctx.exit(verify_audit.main([*arguments]))
    code, said = verified(arguments, asyncio.run(log_keys(command_settings())))
    click.echo(said, nl=False, err=code not in {0, 3})
    ctx.exit(code)


for command in (new_epoch, rotate_key, prune):
    audit.add_command(command)
