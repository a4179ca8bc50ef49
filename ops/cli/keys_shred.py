"""`cardvault keys shred` and `keys receipt`: deleted cards made unrecoverable, and the proof of it.

It refuses to know keys. Invariant: what was cut off goes on where it was when `keys shred` is given again
without --seal.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ops.cli.keys_shares import ask_twice
from ops.cli.output import json_option, remark, show_record
from ops.cli.progress_view import drawn

if TYPE_CHECKING:
    from ops.shredding import Record
    from vault.reencryption import Progress
    from vault.shares import Deliver

_FOLDER = click.Path(file_okay=False, exists=True, path_type=Path)
_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(invoke_without_command=True)
@click.option("--seal", "seals", multiple=True, metavar="ADDRESS", help="A new seal, as in CARDVAULT_SEAL; several.")
@click.option("--threshold", type=click.IntRange(2, 16), help="How many of the new shares open the root key.")
@click.option("--custodian", "custodians", multiple=True, metavar="NAME", help="Who holds a new share; several.")
@click.option("--output", type=_FOLDER, metavar="DIR", help="Write NAME.share here.")
@click.option("--passphrase-file", "passphrases", multiple=True, metavar="FILE", help="For each custodian, in order.")
@click.option("--destroy", is_flag=True, help="Destroy the old seals that CARDVAULT_SEAL still names; no way back.")
@click.option("--receipt", type=_FILE, metavar="FILE", help="Write the signed receipt here, the cards to FILE.cards.")
@json_option
@click.pass_context
def shred(
    context: click.Context, /, seals: tuple[str, ...], threshold: int | None, custodians: tuple[str, ...], **rest: Any
) -> None:
    """Make deleted cards unrecoverable, also from copies of the database: new keys under new seals, the old ones gone.

    With --seal a ceremony begins, once others have approved it; without, the last one goes on, also where it was cut
    off. Until --destroy the old seals still open old copies of the database: take a new backup before that.
    """
    if context.invoked_subcommand is not None:
        return
    from ops import shredding
    from ops.ceremonies import files_for
    from vault.shredding import Plan

    if (threshold is None) != (not custodians) or (custodians and not seals):
        raise click.UsageError("Give --threshold and --custodian together, and with --seal.")
    if custodians and rest["output"] is None:
        raise click.UsageError("Say where the new shares go: --output DIR.")
    if custodians and rest["passphrases"] and len(rest["passphrases"]) != len(custodians):
        raise click.UsageError("Give --passphrase-file once for each --custodian, in the same order, or not at all.")
    with drawn("re-encrypted") as draw:

        def show(progress: "Progress") -> None:
            draw(progress.done, progress.total, progress.rate, progress.remaining_seconds)

        def deliver(folder: Path, names: Sequence[str]) -> "Deliver":
            return files_for(folder, names, rest["passphrases"], ask_twice)

        wish = shredding.Wish(rest["output"], deliver, show, rest["destroy"], rest["receipt"])
        done = shredding.begin(Plan(seals, threshold, custodians), wish) if seals else shredding.go_on(wish)
    _report(done, as_json=rest["as_json"])


@shred.command()
@click.argument("opener")
@json_option
def attest(opener: str, *, as_json: bool) -> None:
    """Record that OPENER, as in `left`, was destroyed elsewhere, once others have approved that."""
    from ops import shredding

    show_record(shredding.attest(opener), as_json=as_json)


def _report(done: "Record", *, as_json: bool) -> None:
    show_record(done, as_json=as_json)
    if done["complete"]:
        remark("Nothing is left that opens a copy of the database from before.")
        return
    remark("Not complete: each opener under `left` still opens old copies of the database, or may.")
    remark("Take a backup now; destroy seals with --destroy, shares with cardvault keys shares destroy.")


@click.group()
def receipt() -> None:
    """Verify receipts of shreddings."""


@receipt.command()
@click.argument("file", type=_FILE)
@click.option("--key", metavar="KEY", help="The verification key, so that neither database nor keys are needed.")
@json_option
def verify(file: Path, key: str | None, *, as_json: bool) -> None:
    """Check a receipt's signature and the list of cards beside it; ends with 0 also for one that is not complete."""
    from ops import shredding

    show_record(shredding.verify_receipt(file, [key] if key else shredding.receipt_keys()), as_json=as_json)


@receipt.command("key")
def receipt_key() -> None:
    """Print the key that receipts are verified with; give it to auditors ahead of a receipt."""
    from ops import shredding

    click.echo(shredding.receipt_keys()[0])
