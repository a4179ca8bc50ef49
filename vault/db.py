"""The connection to PostgreSQL: one pool, single statements or one transaction, and errors that carry no values.

It refuses to know any table. Invariants: this module is the only place that commits; what leaves it on failure names a
SQL state and a constraint, never a parameter or a driver's message, both of which can hold values of a row
(tests-worth-having T-38).
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from copy import copy
from types import TracebackType
from typing import Any, Final, TypeAlias

import asyncpg
import orjson

from vault.errors import DatabaseUnavailable
from vault.hosts import Driver, Hosts
from vault.pool import Pool, PoolClosed

_SCHEME: Final = "postgresql://"
_UNAVAILABLE_CLASSES: Final = ("08", "25", "40", "53", "55", "57", "58")
# A server that stands still, or is gone with its host, ends no statement by itself: then this side gives up.
_STATEMENT_SECONDS: Final = 15
_ANSWER_SECONDS: Final = _STATEMENT_SECONDS + 1
_BEGIN: Final = "begin"
_JSONB_VERSION: Final = b"\x01"  # what PostgreSQL writes before the text of a binary jsonb


class StatementFailed(Exception):
    """A statement was refused; `sqlstate` and `constraint` say why, and nothing else is known."""

    def __init__(self, sqlstate: str, constraint: str | None) -> None:
        super().__init__(sqlstate, constraint)
        self.sqlstate = sqlstate
        self.constraint = constraint


def normalise_url(url: str) -> str:
    """Take the name of the driver out of a PostgreSQL URL that has one."""
    scheme, separator, rest = url.partition("://")
    if separator and scheme in {"postgresql", "postgres", "postgresql+asyncpg"}:
        return _SCHEME + rest
    raise ValueError("the database URL has to start with postgresql://")


def _translated(error: BaseException) -> Exception:
    """Give the error that may leave this module for one of the driver's."""
    if isinstance(error, asyncpg.PostgresError):
        sqlstate = error.sqlstate or "XX000"
        if sqlstate[:2] in _UNAVAILABLE_CLASSES:
            return DatabaseUnavailable()
        return StatementFailed(sqlstate, getattr(error, "constraint_name", None))
    return DatabaseUnavailable()


_DRIVER_FAILURES: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver says on a connection that was lost a moment ago
    OSError,
    TimeoutError,
    PoolClosed,
)


class Session:
    """Statements in autocommit, each its own transaction."""

    __slots__ = ("_driver",)

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    async def rows(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        """Run a statement and give all its rows."""
        return await self._driver.fetch(statement, *values)

    async def row(self, statement: str, *values: Any) -> asyncpg.Record | None:
        """Run a statement and give its first row, if any."""
        return await self._driver.fetchrow(statement, *values)

    async def value(self, statement: str, *values: Any) -> Any:
        """Run a statement and give the first column of its first row, or None."""
        return await self._driver.fetchval(statement, *values)


class _Brought(Session):
    """Statements behind a pooler, where none knows what was set before: each brings that along."""

    __slots__ = ("_opening",)

    def __init__(self, driver: Driver, opening: str) -> None:
        super().__init__(driver)
        self._opening = opening

    async def rows(self, statement: str, *values: Any) -> list[asyncpg.Record]:
        async with _Begun(self._driver, self._opening):
            return await super().rows(statement, *values)

    async def row(self, statement: str, *values: Any) -> asyncpg.Record | None:
        async with _Begun(self._driver, self._opening):
            return await super().row(statement, *values)

    async def value(self, statement: str, *values: Any) -> Any:
        async with _Begun(self._driver, self._opening):
            return await super().value(statement, *values)


class Transaction(Session):
    """Statements that take effect together, when the block that opened the transaction ends without an error."""

    __slots__ = ()


First: TypeAlias = Callable[[Transaction], Awaitable[None]]


class _Borrowing:
    """A connection for one block: taken, given back whatever happens, its failures translated.

    Written out because it is on every path; a generator with `asynccontextmanager` costs several times as much.
    """

    __slots__ = ("_opening", "_pool", "driver")

    def __init__(self, pool: Pool, opening: str | None) -> None:
        self._pool = pool
        self._opening = opening
        self.driver: Driver

    async def __aenter__(self) -> Session:
        try:
            self.driver = await self._pool.take()
        except _DRIVER_FAILURES:
            raise DatabaseUnavailable from None
        return Session(self.driver) if self._opening is None else _Brought(self.driver, self._opening)

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        # Of a statement that was given up nobody knows what it left behind.
        self._pool.give_back(self.driver, spoilt=_is_given_up(error))
        if isinstance(error, TimeoutError):
            self._pool.forget()
        if isinstance(error, _DRIVER_FAILURES):
            raise _translated(error) from None


class Database:
    """A pool of connections in one role; see `design.md` section 2 for what runs on it."""

    def __init__(self, url: str, *, role: str | None, pool_size: int = 10, pool_timeout: float = 10.0) -> None:
        self._hosts = Hosts(normalise_url(url))
        self._settings = {
            "statement_timeout": f"{_STATEMENT_SECONDS}s",
            # Without it the locks of a process that stands still, or of a host that is gone, are held for ever.
            "idle_in_transaction_session_timeout": "5s",
            "jit": "off",
            # A plan is kept: one that was made while a table was nearly empty must not read all of it when it no longer
            # is. Rows are looked up by indexes; what has none is read as ever (ADR 0032).
            "enable_seqscan": "off",
            "random_page_cost": "1.1",
        }
        if role:
            self._settings["role"] = role
        self._opening = _BEGIN
        if self._hosts.pooled:
            brought = (f"; set local {name} = '{value}'" for name, value in self._settings.items())
            self._opening = _BEGIN + "".join(brought)
        self._pool = Pool(self._connect, size=pool_size, patience=pool_timeout)
        self._first: First | None = None

    async def close(self) -> None:
        """Close every connection, once those in use were given back or after waiting for them in vain."""
        await self._pool.close()

    @property
    def places(self) -> dict[str, int]:
        """Count the places of the pool by what they hold."""
        return self._pool.places

    def session(self) -> _Borrowing:
        """Give a connection whose statements commit one by one; raises `StatementFailed` or `DatabaseUnavailable`."""
        return _Borrowing(self._pool, self._opening if self._hosts.pooled else None)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction that commits when the block ends; an error, also one of the caller's, rolls it back."""
        borrowed = self.session()
        async with borrowed, _Begun(borrowed.driver, self._opening):
            transaction = Transaction(borrowed.driver)
            if self._first is not None:
                await self._first(transaction)
            yield transaction
        self._first = None

    def beginning_with(self, first: First) -> "Database":
        """Give this database, on the same pool, with something that belongs to its next transaction that commits."""
        same = copy(self)
        same._first = first  # noqa: SLF001 - it is one of this class
        return same

    async def _connect(self) -> Driver:
        settings = {"application_name": "cardvault"} | ({} if self._hosts.pooled else self._settings)
        driver = await self._hosts.connect(server_settings=settings, command_timeout=_ANSWER_SECONDS)
        with ExitStack() as undoing:
            undoing.callback(driver.terminate)
            await driver.set_type_codec(
                "jsonb", schema="pg_catalog", encoder=_jsonb_bytes, decoder=_jsonb_value, format="binary"
            )
            undoing.pop_all()
        return driver


class _Begun:
    """A transaction on a connection: committed when the block ends, rolled back on an error."""

    __slots__ = ("_driver", "_opening")

    def __init__(self, driver: Driver, opening: str) -> None:
        self._driver = driver
        self._opening = opening

    async def __aenter__(self) -> None:
        await self._driver.execute(self._opening)

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._driver.execute("commit")
        # A connection that was given up is closed, which ends the transaction too; asking there could take for ever.
        elif not _is_given_up(error):
            await self._driver.execute("rollback")


def _is_given_up(error: BaseException | None) -> bool:
    """Tell whether somebody stopped waiting for a statement that may still run."""
    return isinstance(error, TimeoutError) or (error is not None and not isinstance(error, Exception))


def _jsonb_bytes(text: str) -> bytes:
    return _JSONB_VERSION + text.encode()


def _jsonb_value(data: bytes) -> Any:
    return orjson.loads(data[len(_JSONB_VERSION) :])
