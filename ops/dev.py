"""Keeps a playground running in the foreground and tells people and programs where it is.

It refuses to know the playground's parts. Invariant: the state file is there exactly while everything works.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ops.playground import Playground, PlaygroundOptions
from ops.stopping import stoppable

_TEND_SECONDS: Final = 0.2
_FORGOTTEN: Final = (
    "The gateway simulator keeps cards and payments in memory and has forgotten those of earlier starts: cards kept at "
    "the gateway (GATEWAY, BOTH) have to be stored anew, cards of the VAULT can be paid with."
)


def run_dev(options: PlaygroundOptions, state_file: Path) -> None:
    """Run until SIGTERM or SIGINT; raises `Refused` or `EmbeddedError`."""
    console = Console(highlight=False, soft_wrap=True)
    playground = Playground(options)
    with stoppable():
        try:
            playground.lock()
            state_file.parent.mkdir(parents=True, exist_ok=True)
            state_file.unlink(missing_ok=True)
            console.print(f"Starting the playground in {playground.folder.root}")
            used_before = playground.used_before
            playground.start()
            playground.publish(state_file)
            if used_before:
                console.print(_FORGOTTEN)
            console.print(introduction(playground.state, state_file, terminal=console.is_terminal))
            _tend(playground, state_file)
        finally:
            # Only its owner removes it: where the folder is taken, the file is another playground's.
            if playground.locked:
                state_file.unlink(missing_ok=True)
            playground.stop()
    console.print("The playground is stopped.")


def _tend(playground: Playground, state_file: Path) -> None:
    while True:
        time.sleep(_TEND_SECONDS)
        if playground.tend():
            playground.publish(state_file)


def introduction(state: Mapping[str, Any], state_file: Path, *, terminal: bool) -> RenderableType:
    """Show where everything is, a first request, and how to stop; plain lines where nobody looks."""
    rows = {
        "API": state["baseUrl"],
        "Documentation": f"{state['baseUrl']}/docs",
        "Gateway simulator": state["sandboxUrl"],
        "API key": state["apiKey"],
        "State file": str(state_file),
        "Data and logs": state["dataDir"],
        "Try": f"curl -s -H 'Authorization: Bearer {state['apiKey']}' {state['baseUrl']}/v1/payments",
        "Stop": "Ctrl-C",
    }
    if not terminal:
        return Text("\n".join(f"{name}: {value}" for name, value in rows.items()))
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        table.add_row(name, Text(value))
    return Panel(table, title="Cardvault playground", subtitle="no real cards, no real money", expand=False)
