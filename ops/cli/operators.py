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
@click.option(
    "--key-file",
    required=True,
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
def create(*, person: str, key_file: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Make a person an operator. The first two need no approval, everybody else does."""
    from ops.approvals import create_operator, operator_record
    from ops.operating import with_control

    operator = with_control(
        lambda _, database, control: create_operator(database, control, person, key_file, passphrase_file)
    )
    show_record(operator_record(operator), as_json=as_json)
    remark("Only this person may have the key file and know its passphrase.")


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
