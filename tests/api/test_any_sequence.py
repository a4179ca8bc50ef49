"""Any sequence of payments, captures, refunds, charges, faults, lost letters and deaths, against the gateway's ledger."""

import pytest

from tests.installation import Blueprint
from tests.machine.search import search
from tests.machine.world import open_stage

EXAMPLES, STEPS = 20, 50


@pytest.mark.parametrize("_part", [1, 2])
def test_no_sequence_moves_money_that_must_not_move_or_leaves_an_outcome_unknown(
    blueprint: Blueprint, onboarded_url: str, _part: int
) -> None:
    """T-30; two billers, two clerks, two workers that share nothing in memory. For longer searches: `make soak`.

    In parts, which can run side by side; each is another search.
    """
    with open_stage(blueprint, onboarded_url) as stage:
        search(stage, EXAMPLES, STEPS)
        assert stage.world.doom.deaths > EXAMPLES // 2
