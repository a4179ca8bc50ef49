"""The quickstart from its first command to its last, with the answers that it shows."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.guide import ROOT, answers, blocks, missing, outputs

START, *REST = blocks("docs/quickstart.md")


def test_it_starts_the_playground_that_the_readme_starts() -> None:
    assert START.script == "make dev\n"
    alone = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    told = subprocess.run(["make", "--dry-run", "dev"], cwd=ROOT, env=alone, capture_output=True, text=True, check=True)
    [command] = [block.script for block in blocks("README.md") if "cardvault dev" in block.script]
    assert told.stdout.splitlines()[-1].strip() == command.strip()


@pytest.mark.parametrize("page", ["quickstart", "payments", "webhooks"])
def test_every_page_takes_the_same_helpers(page: str) -> None:
    scripts = "".join(block.script for block in blocks(f"docs/{page}.md"))
    assert scripts.count(". docs/playground.sh\n") == 1
    assert re.findall(r"^(?:get|post|pick|show)\(\)", scripts, re.MULTILINE) == []


def test_every_command_answers_what_is_shown(playground: Path) -> None:
    printed = outputs(playground.parent, REST)
    shown = [(block, text) for block, text in zip(REST, printed, strict=True) if block.promise is not None]
    assert len(shown) > 10
    for block, text in shown:
        answer = answers(text)[-1]
        assert missing(block.promise, answer) == [], f"{block.script}\n{answer}"
    assert "4111111111111111" not in "".join(printed)
