"""A checkout to run the documents' commands in, and the playground that they talk to, started as the README says."""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.database import place_for_servers
from tests.docs.guide import ROOT, blocks, environment

PATIENCE = 120


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which files may be written: everything in it is a link to the real one."""
    folder = tmp_path_factory.mktemp("documents")
    for entry in ROOT.iterdir():
        if entry.name not in {"playground.json", ".coverage"}:
            (folder / entry.name).symlink_to(entry)
    return folder


@pytest.fixture(scope="session")
def playground(folder: Path) -> Iterator[Path]:
    """The state file of a playground that is ready."""
    [block] = [block.script for block in blocks("README.md") if "cardvault dev" in block.script]
    # PostgreSQL runs as another account where the tests run as root, and pytest's own folders are closed to it.
    place = Path(tempfile.mkdtemp(prefix="cardvault-documents-", dir=place_for_servers()))
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
