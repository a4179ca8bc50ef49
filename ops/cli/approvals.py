"""`cardvault approvals`: look at operations that wait for others, and sign what one thinks of them.

It refuses to know which operations there are. Invariant: whoever opens the key file of CARDVAULT_OPERATOR_KEY_FILE
signs.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import click

from ops.cli.output import json_option, remark, show_record, show_table

if TYPE_CHECKING:
    from vault.approval import Case
    from vault.approvals import DualControl

_COLUMNS = ("approvalId", "operation", "requester", "state", "approvedBy", "needed", "expiresAt")


@click.group()
def approvals() -> None:
    """List, show, approve and deny operations that are under dual control."""


@approvals.command(name="list")
@click.option("--all", "everything", is_flag=True, help="Also what was carried out, denied, or has expired.")
@json_option
def listed(*, everything: bool, as_json: bool) -> None:
    """List the requests that can be approved or carried out."""
    from ops.approvals import all_cases, open_cases
    from ops.operating import with_control

    read = all_cases if everything else open_cases
    show_table(with_control(lambda _, __, control: read(control)), _COLUMNS, as_json=as_json)


@approvals.command()
@click.argument("approval_id")
@json_option
def show(approval_id: str, *, as_json: bool) -> None:
    """Show one request: the operation, its parameters, and who signed."""
    _show(lambda control: control.case(approval_id), as_json=as_json)


@approvals.command()
@click.argument("approval_id")
@json_option
def approve(approval_id: str, *, as_json: bool) -> None:
    """Approve a request of another operator, with your own key; whoever signs acknowledges an operator's duties."""
    from vault.approval import DUTIES, Verb

    _show(lambda control: control.decide(approval_id, Verb.APPROVE), as_json=as_json)
    remark(f"Acknowledged with it: {DUTIES}")


@approvals.command()
@click.argument("approval_id")
@json_option
def deny(approval_id: str, *, as_json: bool) -> None:
    """Deny a request for good, your own too, with your own key."""
    from vault.approval import Verb

    _show(lambda control: control.decide(approval_id, Verb.DENY), as_json=as_json)


def _show(work: "Callable[[DualControl], Awaitable[Case]]", *, as_json: bool) -> None:
    """Do something about a request, and print how it stands then."""
    from ops.approvals import shown_case
    from ops.operating import with_control

    show_record(with_control(lambda _, __, control: shown_case(control, work(control))), as_json=as_json)
