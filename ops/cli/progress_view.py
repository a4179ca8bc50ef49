"""How the progress of long work is drawn: a bar on a terminal, now and then a line elsewhere, always on standard error.

It refuses to know the work. Invariant: standard output stays free for the data.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click

Draw = Callable[[int, int, float, float | None], None]
_LINE_SECONDS: Final = 2.0
_DRAWN_SECONDS: Final = 0.1


@contextmanager
def drawn(what: str) -> Iterator[Draw]:
    """Give a function that draws how much is done of what total, at what pace, with how many seconds left."""
    if sys.stderr.isatty():
        with _bar(what) as draw:
            yield draw
    else:
        yield _lines(what)


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give a function that draws how much is done of what total; the pace is measured here, ten times a second."""
    began = drawn_at = time.monotonic()
    with drawn(what) as draw:

        def count(done: int, total: int) -> None:
            nonlocal drawn_at
            now = time.monotonic()
            if done < total and now - drawn_at < _DRAWN_SECONDS:
                return
            drawn_at = now
            rate = done / max(now - began, _DRAWN_SECONDS)
            draw(done, total, rate, (total - done) / rate)

        yield count


def _lines(what: str) -> Draw:
    said, told = 0.0, (-1, -1)

    def draw(done: int, total: int, rate: float, left: float | None) -> None:
        nonlocal said, told
        over = done == total
        if (done, total) == told or (not over and time.monotonic() - said < _LINE_SECONDS):
            return
        said, told = time.monotonic(), (done, total)
        click.echo(f"{what}: {done} of {total}, {_pace(rate, left)}", err=True)

    return draw


@contextmanager
def _bar(what: str) -> Iterator[Draw]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=None, pace="")

        def draw(done: int, total: int, rate: float, left: float | None) -> None:
            progress.update(task, completed=done, total=total, pace=_pace(rate, left))

        yield draw


def _pace(rate: float, left: float | None) -> str:
    pace = f"{rate:,.0f} rows/s"
    if not left:
        return pace
    minutes, seconds = divmod(round(left), 60)
    return f"{pace}, {minutes}:{seconds:02} left"
