"""`cardvault keys shares` and `cardvault keys recover`: break-glass, by custodians' shares of the root key.

It refuses to know keys. Invariants: a share is on no command line, in no output that could be kept, and on the screen
for one custodian at a time; what is typed is not echoed.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ops.cli.output import json_option, remark, show_record

if TYPE_CHECKING:
    from keys.seals.shares import ShareWords
    from ops.ceremonies import Desk
    from vault.shares import IssuedShare


@click.group()
def shares() -> None:
    """Make and verify custodians' shares of the root key."""


@shares.command()
@click.option("--threshold", type=click.IntRange(2, 16), required=True, help="How many shares open the root key.")
@click.option("--custodian", "custodians", multiple=True, required=True, metavar="NAME", help="Who holds one; several.")
@click.option("--output", type=click.Path(file_okay=False, exists=True), metavar="DIR", help="Write NAME.share here.")
@click.option("--print", "printed", is_flag=True, help="Show each share once, at this terminal, instead of a file.")
@click.option("--passphrase-file", "passphrases", multiple=True, metavar="FILE", help="For each custodian, in order.")
@json_option
def create(
    threshold: int,
    custodians: tuple[str, ...],
    output: str | None,
    passphrases: tuple[str, ...],
    *,
    printed: bool,
    as_json: bool,
) -> None:
    """Split a new key that opens the root key among custodians, each with a file of their own or a copy by hand.

    The set is in force once every custodian has verified and acknowledged theirs; older sets work until then.
    """
    from ops.ceremonies import create_shares, files_for

    if (output is None) != printed:
        raise click.UsageError("Say where the shares go: --output DIR or --print.")
    if passphrases and len(passphrases) != len(custodians):
        raise click.UsageError("Give --passphrase-file once for each --custodian, in the same order, or not at all.")
    if output is None:
        if not _at_a_terminal():
            raise click.UsageError("--print needs a terminal: shares must not end up in a file or a log.")
        record = create_shares(threshold, custodians, _show)
    else:
        files = files_for(Path(output), custodians, passphrases, ask_twice)
        record = create_shares(threshold, custodians, files) | {"files": [str(each) for each in files.paths.values()]}
    show_record(record, as_json=as_json)
    remark("Now every custodian runs: cardvault keys shares verify --acknowledge")


@shares.command()
@click.option("--share", metavar="FILE", help="A share's file; without it the words are asked for.")
@click.option("--passphrase-file", metavar="FILE", help="The file with the passphrase of the share's file.")
@click.option("--acknowledge", is_flag=True, help="Record that its custodian accepts what holding it means.")
@json_option
def verify(share: str | None, passphrase_file: str | None, *, acknowledge: bool, as_json: bool) -> None:
    """Check one share, and say whose it is; nothing is opened with it."""
    from ops.ceremonies import verify_share
    from vault.shares import STATEMENT

    words = _one_share(share, passphrase_file)
    if acknowledge:
        remark(f"Acknowledged: {STATEMENT}")
    show_record(verify_share(words, acknowledge=acknowledge), as_json=as_json)


@shares.command("destroy")
@click.option("--share", metavar="FILE", help="A share's file, which is destroyed; without it the words are asked for.")
@click.option("--passphrase-file", metavar="FILE", help="The file with the passphrase of the share's file.")
@click.option("--acknowledge", is_flag=True, help="Its custodian agrees to the text that is shown.")
@json_option
def destroy_share(share: str | None, passphrase_file: str | None, *, acknowledge: bool, as_json: bool) -> None:
    """Record that a share which opens nothing in use any more is destroyed, and destroy its file."""
    from ops.shredding import destroy_share as work
    from vault.shares import DESTRUCTION

    words = _one_share(share, passphrase_file)
    remark(f"{'Acknowledged' if acknowledge else 'With --acknowledge its custodian says'}: {DESTRUCTION}")
    file = None if share is None else Path(share)
    show_record(work(words, file, acknowledged=acknowledge), as_json=as_json)


@click.command()
@click.option(
    "--share", "files", multiple=True, metavar="FILE", help="A share's file; without any, words are asked for."
)
@click.option("--passphrase-file", "passphrases", multiple=True, metavar="FILE", help="For each --share, in its order.")
@json_option
def recover(files: tuple[str, ...], passphrases: tuple[str, ...], *, as_json: bool) -> None:
    """Open the root key by custodians' shares when every seal is gone, for the seals of CARDVAULT_SEAL.

    They are made where they are missing, and open the root key from then on. Remove the lost ones afterwards with
    `cardvault keys seals remove`.
    """
    from ops.ceremonies import recover as work

    show_record(work(asking(files, passphrases).shares()), as_json=as_json)
    remark("Start servers and workers, run cardvault doctor, and remove the seals that are lost.")


def _one_share(share: str | None, passphrase_file: str | None) -> "ShareWords":
    from ops.custodians import ask_share

    if share is None:
        return ask_share(1, _ask, remark)
    (words,) = asking((share,), () if passphrase_file is None else (passphrase_file,)).shares()
    return words


def asking(files: tuple[str, ...], passphrases: tuple[str, ...]) -> "Desk":
    """Give a desk that asks at this terminal for what the files do not hold."""
    from ops.ceremonies import Desk
    from ops.custodians import Given

    return Desk(Given(files, passphrases), _ask, remark)


def _ask(text: str) -> str:
    return str(click.prompt(text, hide_input=True, err=True))


def ask_twice(text: str) -> str:
    """Ask for something new without an echo, twice."""
    return str(click.prompt(text, hide_input=True, confirmation_prompt=True, err=True))


def _at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _show(share: "IssuedShare") -> None:
    from ops.custodians import numbered

    click.pause(f"{share.custodian} alone at the screen: press a key, and copy share {share.number} by hand.")
    click.echo(numbered(share.words.reveal()))
    click.pause("Copied and compared: press a key; it is not shown again.")
    click.clear()
