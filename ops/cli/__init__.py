"""The `cardvault` command: the groups put together, and the one place where failures become exit codes.

It refuses to know what commands do. Invariants: a failure that can be explained is one clear message on standard error
and exit code 1, or 3 where it waits for others, wrong usage is 2, and no traceback is ever shown; nothing heavy is
imported before a command runs.
"""

import gc
import sys
from io import TextIOWrapper
from types import TracebackType

import click

from ops.cli.approvals import approvals
from ops.cli.audit import audit
from ops.cli.clients import clients
from ops.cli.database import db
from ops.cli.doctor import doctor
from ops.cli.keys import keys
from ops.cli.merchants import merchants
from ops.cli.operators import operators
from ops.cli.playground import demo, dev
from ops.cli.retention import data_inventory, purge, retention
from ops.cli.sandbox import sandbox
from ops.cli.serving import serve, worker

_WAITS = 3
# What a command imports stays: looking for garbage among it as often as usual takes a quarter of its start.
_COLLECTOR_ROUNDS = (50_000, 20, 50)


class _Waiting(click.ClickException):
    """A command that others have to approve first."""

    exit_code = _WAITS


class _Commands(click.Group):
    """A group that explains what goes wrong in a command."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; whatever is foreseen becomes a message with its mend."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except _foreseen() as error:
            raise _failure(error) from None


def _foreseen() -> tuple[type[Exception], ...]:
    """Give the failures that can be explained; loading them takes time, so it happens only after one."""
    from ops.failures import FORESEEN

    return FORESEEN


def _failure(error: Exception) -> click.ClickException:
    from ops.failures import explained, waits

    return (_Waiting if waits(error) else click.ClickException)(explained(error))


def _uncaught(kind: type[BaseException], error: BaseException, _traceback: TracebackType | None) -> None:
    """Say what failed and where, never with which values."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" in {place.tb_frame.f_code.co_name}, line {place.tb_lineno}" if place is not None else ""
    sys.stderr.write(f"Error: unexpected {kind.__name__}{where}; this is a fault of the program\n")


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cardvault", prog_name="cardvault")
def main() -> None:
    """Cardvault: store cards, make the payments, never give a card number back.

    Settings come from CARDVAULT_* environment variables. Exit codes: 0 done, 1 refused or failed (one message on
    standard error says why), 2 wrong usage, 3 not done yet: others have to approve it first.
    """
    gc.set_threshold(*_COLLECTOR_ROUNDS)
    sys.excepthook = _uncaught
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ticks gets question marks, not a failure


for _command in (
    serve,
    worker,
    sandbox,
    dev,
    demo,
    db,
    keys,
    merchants,
    clients,
    operators,
    approvals,
    audit,
    retention,
    purge,
    data_inventory,
    doctor,
):
    main.add_command(_command)
