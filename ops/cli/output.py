"""How commands show data: JSON where asked for, tables for people, plain columns for pipes.

It refuses to know what the data means. Invariant: standard output holds the data alone; remarks go to standard error.
"""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

import click

Row: TypeAlias = Mapping[str, Any]
_Command = TypeVar("_Command", bound=Callable[..., Any])


def json_option(command: _Command) -> _Command:
    """Give a command the option `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def remark(text: str) -> None:
    """Say something beside the data."""
    click.echo(text, err=True)


def show_record(record: Row, *, as_json: bool) -> None:
    """Print one thing, a line for each of its fields."""
    if as_json:
        click.echo(json.dumps(record))
        return
    width = max(map(len, record), default=0)
    for name, value in record.items():
        click.echo(f"{name:<{width}}  {_text(value)}")


def show_table(rows: Sequence[Row], columns: Sequence[str], *, as_json: bool) -> None:
    """Print a list; `columns` are the fields that a table has room for, JSON has them all."""
    if as_json:
        click.echo(json.dumps(list(rows)))
        return
    lines = [[_text(row[column]) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _show_rich(columns, lines)
        return
    widths = [max(len(line[place]) for line in [list(columns), *lines]) for place in range(len(columns))]
    for line in [list(columns), *lines]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _show_rich(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(header_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for line in lines:
        table.add_row(*map(escape, line))
    Console().print(table)


def _text(value: Any) -> str:
    match value:
        case None:
            return "-"
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return " ".join(map(str, value)) or "-"
        case _:
            return json.dumps(value)
