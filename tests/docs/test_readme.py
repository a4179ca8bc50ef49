"""Every command of the README, run as a newcomer would run it (T-57)."""

import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.database import place_for_servers

ROOT = Path(__file__).resolve().parents[2]
BLOCKS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
TARGETS = [block for block in BLOCKS if block.startswith("make ")]
PLAYGROUND = [block for block in BLOCKS if "cardvault dev" in block]
COMMANDS = [block for block in BLOCKS if block not in TARGETS and block not in PLAYGROUND]
PATIENCE = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which files may be written: everything in it is a link to the real one."""
    folder = tmp_path_factory.mktemp("readme")
    for entry in ROOT.iterdir():
        if entry.name not in {"playground.json", ".coverage"}:
            (folder / entry.name).symlink_to(entry)
    return folder


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "CARDVAULT_", "COV"))}
    return kept | {"COVERAGE_FILE": str(folder / ".coverage")} | more


def run(folder: Path, script: str, **more: str) -> str:
    finished = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert finished.returncode == 0, f"{script}\n{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}"
    return finished.stdout


@pytest.fixture(scope="module")
def playground(folder: Path) -> Iterator[Path]:
    [block] = PLAYGROUND
    # PostgreSQL runs as another account where the tests run as root, and pytest's own folders are closed to it.
    place = Path(tempfile.mkdtemp(prefix="cardvault-readme-", dir=place_for_servers()))
    place.chmod(0o711)
    data = f" --data {place / 'data'}"
    process = subprocess.Popen(["bash", "-c", f"exec {block.strip()}{data}"], cwd=folder, env=environment(folder))
    try:
        state = folder / "playground.json"
        deadline = time.monotonic() + PATIENCE
        while not state.exists():
            assert process.poll() is None, "the playground ended by itself"
            assert time.monotonic() < deadline, "the playground did not become ready"
            time.sleep(0.1)
        yield state
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
        shutil.rmtree(place)


def test_it_has_the_commands_that_the_design_promises() -> None:
    assert [block.strip() for block in TARGETS] == ["make demo", "make test"]
    assert len(PLAYGROUND) == 1
    assert len(COMMANDS) >= 6


# Targets run in the real checkout: where the stamp is old they install, and would install paths of a passing folder.
def test_make_demo_tells_its_story(folder: Path) -> None:
    assert "canary" in run(ROOT, TARGETS[0], COVERAGE_FILE=str(folder / ".coverage")).lower()


def test_make_test_runs_tests(folder: Path) -> None:
    arguments = "tests/keys/test_lru.py --cov-fail-under=0"
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
