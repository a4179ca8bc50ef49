"""Any sequence of payments, captures, refunds, charges, faults, lost letters and deaths, against the gateway's ledger."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.installation import Blueprint
from tests.machine.rules import Anything
from tests.machine.world import Stage, open_stage

EXAMPLES, STEPS = 40, 50


@pytest.fixture
def stage(blueprint: Blueprint, onboarded_url: str) -> Iterator[Stage]:
    with open_stage(blueprint, onboarded_url) as stage:
        yield stage


def test_no_sequence_moves_money_that_must_not_move_or_leaves_an_outcome_unknown(stage: Stage) -> None:
    """T-30; two billers, two clerks, two workers that share nothing in memory."""
    Anything.stage = stage
    run_state_machine_as_test(
        Anything,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        ),
    )
