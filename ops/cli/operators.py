"""`cardvault operators`: the persons whose approval counts, each with a signing key in a file of their own.

It refuses to know how keys are kept. Invariant: a passphrase is never an argument.
"""

from pathlib import Path

import click

from ops.cli.output import json_option, remark, show_record, show_table

_COLUMNS = ("operatorId", "person", "status", "createdAt")


@click.group()
def operators() -> None:
    """Make, list and revoke the operators who approve each other's operations."""


@operators.command()
@click.option("--person", required=True, help="Who it is, as alice or alice@shop.example; one name for each person.")
@click.option("--public-key", metavar="BASE64", help="The public half of a key file that the person made elsewhere.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The person's key file; it is made where there is none.",
)
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="The file with the passphrase of that key file; without it the terminal asks.",
)
@json_option
def create(
    *, person: str, public_key: str | None, key_file: Path | None, passphrase_file: Path | None, as_json: bool
) -> None:
    """Make a person an operator, by --key-file or --public-key. The first two need no approval, everybody else does.

    Who is no operator yet makes the key file with this command too, and is told the public key to hand over.
    """
    from ops.approvals import create_operator, operator_record
    from ops.operating import with_control
    from ops.operator_keys import OwnKey, given_public_key
    from vault.approval import DUTIES

    if (key_file is None) == (public_key is None):
        raise click.UsageError("Give --key-file or --public-key.")
    key = given_public_key(public_key) if key_file is None else OwnKey(key_file, passphrase_file)
    operator = with_control(lambda _, database, control: create_operator(database, control, person, key))
    show_record(operator_record(operator), as_json=as_json)
    remark(f"With every signature this operator acknowledges: {DUTIES}")


@operators.command(name="list")
@json_option
def listed(*, as_json: bool) -> None:
    """List operators, the revoked ones too."""
    from ops.approvals import list_operators
    from ops.operating import with_control

    found = with_control(lambda _, database, control: list_operators(database, control))
    show_table(found, _COLUMNS, as_json=as_json)


@operators.command()
@click.argument("operator_id")
@json_option
def revoke(operator_id: str, *, as_json: bool) -> None:
    """End an operator's key, and what it signed for requests that are open; repeating it changes nothing."""
    from ops.approvals import revoke_operator
    from ops.operating import with_control

    now = with_control(lambda _, database, control: revoke_operator(database, control, operator_id))
    show_record({"operatorId": operator_id, "status": "REVOKED", "revokedNow": now}, as_json=as_json)
