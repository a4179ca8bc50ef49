from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.embedded import EmbeddedPostgres
from tests.ops.servers import ask, open_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def shared() -> Iterator[EmbeddedPostgres]:
    """A server that is made once."""
    with open_folder() as folder, EmbeddedPostgres(folder / "server") as server:
        yield server


@pytest.fixture
def server(shared: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """The shared server, for a test that may stop it."""
    shared.start()
    yield shared
    shared.start()
    ask(shared.url("postgres"), "drop table if exists kept")
