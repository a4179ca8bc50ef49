"""Runs the demo: a playground of its own, the steps one after the other, and what came of them on the terminal.

It refuses to know what the steps do. Invariants: a step that does not hold ends the demo and fails it; whatever was
started is stopped and removed.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ops.demo_steps import STEPS, Shown, Step
from ops.demo_story import StepFailed, Story
from ops.embedded_folder import temporary_place
from ops.playground import Playground, PlaygroundOptions
from ops.refusal import Refused
from ops.sandbox.config import refuse_production
from ops.stopping import stoppable

_INDENT: Final = (0, 0, 1, 4)


def run_demo(*, keep: bool, steps: Sequence[Step] = STEPS) -> None:
    """Play the story; with `keep` stay until interrupted. Raises `Refused` when it does not hold or does not end."""
    refuse_production(os.environ)
    console = Console(highlight=False)
    console.print(Text("Cardvault: store cards, make the payments, never give a card number back", style="bold"))
    console.print(Text("Starting database, gateway simulator, server and worker", style="dim"))
    began = time.monotonic()
    held = 0
    with stoppable():
        folder = Path(tempfile.mkdtemp(prefix="cardvault-demo-", dir=temporary_place()))
        folder.chmod(0o711)
        try:
            with Playground(PlaygroundOptions(folder)) as playground:
                console.print(Text.assemble(("✓ ", "green"), f"Everything runs  {time.monotonic() - began:.1f} s\n"))
                story = Story(playground)
                for step in steps:
                    _walk(console, held + 1, step, story)
                    held += 1
                seconds = time.monotonic() - began
                console.print(Text(f"All {held} steps hold, in {seconds:.0f} seconds.", style="bold green"))
                if keep:
                    _stay(console, story)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    if held < len(steps):
        raise Refused("the demo was interrupted")


def _walk(console: Console, number: int, step: Step, story: Story) -> None:
    """Take one step and show it."""
    began = time.monotonic()
    try:
        shown = step.act(story)
    except (StepFailed, OSError, HTTPException) as failure:
        console.print(Text.assemble(("✗ ", "red"), (f"{number}. {step.title}", "bold")))
        why = f"expected that {failure}" if isinstance(failure, StepFailed) else type(failure).__name__
        raise Refused(f"the demo does not hold at step {number}: {why}") from None
    seconds = time.monotonic() - began
    console.print(Text.assemble(("✓ ", "green"), (f"{number}. {step.title}", "bold"), (f"  {seconds:.1f} s", "dim")))
    _show(console, shown)


def _show(console: Console, shown: Shown) -> None:
    console.print(Padding(Text(shown.sentence), (0, 0, 0, 4)))
    if not shown.rows:
        return
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 3, 0, 0))
    for name in shown.heading:
        table.add_column(name, overflow="fold")
    for row in shown.rows:
        table.add_row(*map(Text, row))
    console.print(Padding(table, _INDENT))


def _stay(console: Console, story: Story) -> None:
    state = story.state
    key = f"-H 'Authorization: Bearer {state['apiKey']}'"
    lines = (
        f"curl -s {key} {state['baseUrl']}/v1/buyers/{story.buyer}/cards",
        f"curl -s {key} {state['baseUrl']}/v1/payments",
        f"curl -s {state['sandboxUrl']}/_sandbox/ledger",
        f"Documentation: {state['baseUrl']}/docs",
        "Stop: Ctrl-C",
    )
    console.print("\nIt goes on running. Try:", markup=False)
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)
    while True:
        time.sleep(1.0)
        story.playground.tend()
