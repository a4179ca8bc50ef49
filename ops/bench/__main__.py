"""The command behind `make bench`: options in, progress and tables out, figures into the document.

It refuses to know what is measured. Invariant: a run that measures less than everything, or otherwise than always,
changes no document unless told which.
"""

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ops.bench.comparing import Outcome, carry_out
from ops.bench.figures import Grid, around_section, as_markdown, as_values, grids, write_section
from ops.bench.machine import facts
from ops.bench.plan import BESIDE_A_LIMIT, QUICK, Plan
from ops.bench.site import Site
from ops.failures import FORESEEN, explained
from ops.refusal import Refused
from ops.stopping import stoppable

_DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "performance.md"
_WIDTH: Final = 160
_FEWEST: Final = 1_000
_CASES: Final = [case.value for case in BESIDE_A_LIMIT]


class _Numbers(click.ParamType[tuple[int, ...]]):
    """Whole numbers from `least` up, separated by commas; an empty text is none."""

    name = "numbers"

    def __init__(self, least: int) -> None:
        self._least = least

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        parts = [part for part in value.split(",") if part]
        if not all(part.isdecimal() and int(part) >= self._least for part in parts):
            self.fail(f"has to be whole numbers from {self._least} up, separated by commas", param, ctx)
        return tuple(dict.fromkeys(map(int, parts)))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quick", is_flag=True, help="A look of about a minute.")
@click.option("--which", "cases", type=click.Choice(_CASES), multiple=True, help="Only this; may be repeated.")
@click.option("--processes", type=_Numbers(1), help="Server processes to compare with the limit, such as 1,2.")
@click.option("--rounds", type=click.IntRange(1), help="Pairs of each kind.")
@click.option("--seconds", type=click.FloatRange(0.05), help="How long each measurement takes.")
@click.option("--connections", type=click.IntRange(1), help="Connections that the load keeps busy.")
@click.option("--cards", type=click.IntRange(_FEWEST), help="Stored cards beside the limit.")
@click.option("--sizes", type=_Numbers(_FEWEST), help="Numbers of stored cards to compare, such as 1000,100000.")
@click.option("--size-rounds", type=click.IntRange(1), help="Rounds for each number of cards.")
@click.option("--limited/--not-limited", default=None, help="Whether to compare the vault with limits and without.")
@click.option("--document", type=click.Path(dir_okay=False, path_type=Path), help="Where the figures are written.")
@click.option("--json", "as_json", is_flag=True, help="Everything that was measured, on standard output.")
def main(*, cases: tuple[str, ...], document: Path | None, as_json: bool, **choices: Any) -> None:
    """Measure the vault beside its limits, and with more and more cards."""
    if sys.platform != "linux":
        raise click.ClickException("processor times are read from Linux's /proc")
    quick = choices.pop("quick")
    plan = replace(
        QUICK if quick else Plan(),
        cases=tuple(case for case in BESIDE_A_LIMIT if case.value in (cases or _CASES)),
        **{name: value for name, value in choices.items() if value is not None},
    )
    if document is None and plan == Plan():
        document = _DOCUMENT
    try:
        if document is not None:
            around_section(document)  # what would be refused in the end is refused now
        machine, outcome = _measured(plan)
        tables = grids(outcome)
        if document is not None:
            write_section(document, as_markdown(_command(), plan, machine, tables))
    except FORESEEN as error:
        raise click.ClickException(explained(error)) from None
    if as_json:
        click.echo(json.dumps(as_values(plan, machine, outcome), indent=2))
    else:
        _show(machine, tables)


def _measured(plan: Plan) -> tuple[dict[str, str], Outcome]:
    columns = (SpinnerColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    outcome: Outcome | None = None
    with stoppable(), Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting database, gateway and vault", total=None)

        def step(what: str) -> None:
            progress.update(task, advance=1, description=what)

        with Site() as site:
            machine = facts(site.superuser_url("postgres"))
            outcome = carry_out(plan, site, step)
    if outcome is None:
        raise Refused("the measurement was interrupted")
    return machine, outcome


def _command() -> str:
    arguments = sys.argv[1:]
    return f'make bench ARGS="{shlex.join(arguments)}"' if arguments else "make bench"


def _show(machine: dict[str, str], tables: list[Grid]) -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), highlight=False)
    for grid in tables:
        table = Table(title=grid.title, title_justify="left", box=None, header_style="dim", padding=(0, 2, 0, 0))
        for name in grid.heading:
            table.add_column(name, overflow="fold")
        for row in grid.rows:
            table.add_row(*row)
        console.print()
        console.print(table)


if __name__ == "__main__":
    main(prog_name="python -m ops.bench")
