"""`cardvault keys seals` and `cardvault keys rotate root|seal`: what opens the root key, and the root key itself.

It refuses to know keys. Invariant: what is added has opened before it counts, and what is removed was not the last.
"""

import click

from ops.cli.keys_rotate import rotate
from ops.cli.output import json_option, remark, show_record, show_table


@click.group()
def seals() -> None:
    """Add, verify and remove what opens the root key."""


def _create_option(command: click.decorators.FC) -> click.decorators.FC:
    return click.option(
        "--create", is_flag=True, help="Make the keystore file, or the key in the token, where it is missing."
    )(command)


@seals.command()
@click.argument("address")
@_create_option
@json_option
def add(address: str, *, create: bool, as_json: bool) -> None:
    """Let one more seal guard the root key; ADDRESS as in CARDVAULT_SEAL.

    It counts once the root key was really opened through it. Put it into CARDVAULT_SEAL wherever it shall be used.
    """
    from ops.ceremonies import add_seal

    show_record(add_seal(address, create=create), as_json=as_json)
    remark("Put its address into CARDVAULT_SEAL of every process that shall open the root key by it.")


@seals.command()
@json_option
def verify(*, as_json: bool) -> None:
    """Open the root key through every seal of CARDVAULT_SEAL, from scratch; ends with 1 when one does not."""
    from ops.ceremonies import verify_seals

    rows = verify_seals()
    show_table(rows, ("seal", "opens", "reason"), as_json=as_json)
    if not all(row["opens"] for row in rows):
        raise SystemExit(1)


@seals.command()
@click.argument("name")
@json_option
def remove(name: str, *, as_json: bool) -> None:
    """Take a seal away; NAME as in `cardvault keys status`. The last one that opens stays."""
    from ops.ceremonies import remove_seal

    show_record(remove_seal(name), as_json=as_json)


@rotate.command("seal")
@click.argument("old")
@click.argument("address")
@_create_option
@json_option
def rotate_seal(old: str, address: str, *, create: bool, as_json: bool) -> None:
    """Put the seal at ADDRESS in the place of OLD, a name as in `cardvault keys status`.

    ADDRESS has to be in CARDVAULT_SEAL already. OLD goes once the root key was opened through the new one; an
    interrupted rotation is finished by running it again.
    """
    from ops.ceremonies import rotate_seal as work

    show_record(work(old, address, create=create), as_json=as_json)
    remark("Take the old address out of CARDVAULT_SEAL, and destroy what it names when no backup needs it any more.")


@rotate.command("root")
@click.option(
    "--share", "shares", multiple=True, metavar="FILE", help="Carry custodians' shares over; as many as it takes."
)
@click.option("--passphrase-file", "passphrases", multiple=True, metavar="FILE", help="For each --share, in its order.")
@click.option("--drop-shares", is_flag=True, help="Let custodians' shares end with the old root key.")
@json_option
def rotate_root(shares: tuple[str, ...], passphrases: tuple[str, ...], *, drop_shares: bool, as_json: bool) -> None:
    """Make a new root key, move every data key under it, and retire the old one, while everything runs.

    Every seal has to be in CARDVAULT_SEAL and to work. An interrupted rotation is finished by running it again.
    """
    from ops.ceremonies import rotate_root as work
    from ops.cli.keys_shares import asking

    show_record(work(asking(shares, passphrases), drop=drop_shares), as_json=as_json)
