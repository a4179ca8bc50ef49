"""Which host a connection is opened to, and what a URL may say of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from tests.database import Cluster
from tests.serving import conversing
from vault import hosts
from vault.hosts import Hosts

pytestmark = pytest.mark.anyio

NOBODY = "127.0.0.1:9"


class Silent:
    """A host that takes connections, and closes them or, as one that hangs, says nothing while it listens."""

    def __init__(self, *, held: bool = False) -> None:
        self._held = held
        self.visits = 0
        self.address = ""

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Silent"]:
        async with conversing(self._visited) as port:
            self.address = f"127.0.0.1:{port}"
            yield self

    async def _visited(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        if self._held:
            await asyncio.Event().wait()
        writer.close()


def beside(cluster: Cluster, *others: str) -> str:
    """Give a URL that names other hosts before the one that is there."""
    login, _, rest = cluster.url.rpartition("@")
    return f"{login}@{','.join((*others, rest))}"


async def test_a_host_that_is_gone_keeps_nobody_from_the_next(postgres: Cluster) -> None:
    connection = await Hosts(beside(postgres, NOBODY)).connect()
    assert await connection.fetchval("select 1") == 1
    await connection.close()


async def test_the_host_that_was_found_last_is_asked_first(postgres: Cluster) -> None:
    async with Silent().listening() as silent:
        both = Hosts(beside(postgres, silent.address))
        for _ in range(3):
            connection = await both.connect()
            await connection.close()
    assert silent.visits == 1


async def test_a_host_that_hangs_is_left_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "_AMONG_OTHERS_SECONDS", 0.05)
    async with Silent(held=True).listening() as silent:
        with pytest.raises(ConnectionRefusedError):
            await Hosts(f"postgresql://u@{silent.address},{NOBODY}/d?sslmode=disable").connect()


async def test_when_no_host_answers_the_last_one_says_why(postgres: Cluster) -> None:
    here = postgres.url.rpartition("@")[2]
    with pytest.raises(asyncpg.InvalidPasswordError):
        await Hosts(f"postgresql://postgres:wrong@{NOBODY},{here}").connect()


@pytest.mark.parametrize(
    ("url", "each"),
    [
        ("postgresql://u:p%40@h/d", ["postgresql://u:p%40@h/d"]),
        (
            "postgresql://u:p@h:1,[::1]:2/d?sslmode=require",
            ["postgresql://u:p@h:1/d?sslmode=require", "postgresql://u:p@[::1]:2/d?sslmode=require"],
        ),
        ("postgresql://u@/d?host=a:1&host=b,c", [f"postgresql://u@/d?host={host}" for host in ("a%3A1", "b", "c")]),
        ("postgresql:///d?sslmode=disable", ["postgresql:/d?sslmode=disable"]),
        ("postgresql://u@h/d?pgbouncer=true", ["postgresql://u@h/d"]),
    ],
)
def test_an_address_is_taken_apart_by_hosts(url: str, each: list[str]) -> None:
    assert list(Hosts(url).urls) == each


def test_a_pooler_is_there_when_the_url_says_so() -> None:
    assert Hosts("postgresql://u@h/d?pgbouncer=true").pooled
    assert not Hosts("postgresql://u@h/d?pgbouncer=false").pooled
