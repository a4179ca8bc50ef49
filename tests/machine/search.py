"""One round of a soak: a new database, a new gateway, two vaults, and the state machine over them for some examples."""

from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from tests.database import Databases
from tests.faults.stoppable import Forge
from tests.installation import Blueprint
from tests.machine.processes import Processes
from tests.machine.rules import Anything
from tests.machine.world import Stage, World, open_stage


def one_round(
    databases: Databases, blueprint: Blueprint, forge: Forge, kind: type[World], size: tuple[int, int]
) -> int:
    """Run so many examples of so many steps in a world of a kind; gives how often something died."""
    making = databases.fresh(blueprint.template)
    more = {"forge": forge} if kind is Processes else {}
    with open_stage(blueprint, next(making), kind, **more) as stage:
        search(stage, *size)
    next(making, None)
    return stage.world.doom.deaths


def search(stage: Stage, examples: int, steps: int) -> None:
    """Let Hypothesis look for a sequence of steps that breaks what must hold; it is shown as it was found."""
    Anything.stage, Anything.failures = stage, []
    wanted = settings(
        max_examples=examples,
        stateful_step_count=steps,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    try:
        run_state_machine_as_test(Anything, settings=wanted)
    except Flaky:  # the same steps do not always take the same time, so that a failure need not come again
        if Anything.failures:
            raise Anything.failures[0] from None
        raise
