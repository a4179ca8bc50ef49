"""Every command of the README, run as a newcomer would run it (T-57)."""

import json
from pathlib import Path

from tests.docs.guide import ROOT, blocks, run

BLOCKS = [block.script for block in blocks("README.md")]
TARGETS = [block for block in BLOCKS if block.startswith("make ")]
PLAYGROUND = [block for block in BLOCKS if "cardvault dev" in block]
COMMANDS = [block for block in BLOCKS if block not in TARGETS and block not in PLAYGROUND]


def test_it_has_the_commands_that_the_design_promises() -> None:
    assert [block.strip() for block in TARGETS] == ["make demo", "make test"]
    assert len(PLAYGROUND) == 1
    assert len(COMMANDS) >= 6


# Targets run in the real checkout: where the stamp is old they install, and would install paths of a passing folder.
def test_make_demo_tells_its_story(folder: Path) -> None:
    assert "canary" in run(ROOT, TARGETS[0], COVERAGE_FILE=str(folder / ".coverage")).lower()


def test_make_test_runs_tests(folder: Path) -> None:
    arguments = "tests/keys/test_lru.py -n 0 --cov-report= --cov-fail-under=0"
    assert " passed" in run(ROOT, TARGETS[1], ARGS=arguments, COVERAGE_FILE=str(folder / ".coverage"))


def test_the_commands_for_an_application_work_in_order(playground: Path) -> None:
    script = "\n".join(COMMANDS)
    printed = run(playground.parent, script)
    assert '"storage":"VAULT"' in printed
    assert printed.count('"paymentStatus":"SUCCESS"') >= 3
    assert "************1111" in printed
    assert "4111111111111111" not in printed
    assert "Usage:" in printed


def test_the_playground_leaves_its_state_file_only_while_it_runs(playground: Path) -> None:
    state = json.loads(playground.read_text())
    assert {"baseUrl", "apiKey", "merchantId", "sandboxUrl", "databaseUrl", "dataDir", "logDir", "pids", "env"} <= set(
        state
    )
