"""The shortest of soaks, so that `make search` works when it is wanted."""

import os
import subprocess

from tests.database import Databases
from tests.docs.guide import ROOT
from tests.faults.stoppable import Forge
from tests.installation import Blueprint
from tests.machine.processes import Processes
from tests.machine.search import one_round


def test_no_sequence_breaks_payments_whose_processes_are_killed(
    databases: Databases, blueprint: Blueprint, forge: Forge
) -> None:
    """T-14, T-30: SIGKILL of servers that are workers too, at any moment."""
    one_round(databases, blueprint, forge, Processes, (3, 20))


def test_the_target_says_how_long_and_names_what_there_is() -> None:
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    order = ["make", "--dry-run", "search", "MINUTES=3"]
    told = subprocess.run(order, cwd=ROOT, env=alone, capture_output=True, text=True, check=True)
    command = told.stdout.splitlines()[-1]
    assert "SOAK_MINUTES=3 " in command
    assert (ROOT / command.split()[-1]).is_file()
