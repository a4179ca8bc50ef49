"""The connection to PostgreSQL: one pool, single statements or one transaction, and errors that carry no values.

It refuses to know any table. Invariants: this module is the only place that commits; what leaves it on failure names a
SQL state and a constraint, never a parameter or a driver's message, both of which can hold values of a row
(tests-worth-having T-38).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import event, exc
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from vault.errors import DatabaseUnavailable

Driver: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_SCHEME = "postgresql+asyncpg://"
_UNAVAILABLE_CLASSES = ("08", "25", "40", "53", "55", "57", "58")


class StatementFailed(Exception):
    """A statement was refused; `sqlstate` and `constraint` say why, and nothing else is known."""

    def __init__(self, sqlstate: str, constraint: str | None) -> None:
        super().__init__(sqlstate, constraint)
        self.sqlstate = sqlstate
        self.constraint = constraint


def normalise_url(url: str) -> str:
    """Name the driver in a PostgreSQL URL that does not."""
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


_DRIVER_FAILURES = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # what the driver says on a connection that was lost a moment ago
    OSError,
    exc.SQLAlchemyError,
    exc.EmulatedDBAPIException,  # what a refused login becomes: neither of the two above
    TimeoutError,
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


class Transaction(Session):
    """Statements that take effect together, when the block that opened the transaction ends without an error."""

    __slots__ = ()


class Database:
    """A pool of connections in one role; see `design.md` section 2 for what runs on it."""

    def __init__(self, url: str, *, role: str | None, pool_size: int = 10, pool_timeout: float = 10.0) -> None:
        settings = {
            "application_name": "cardvault",
            "statement_timeout": "15000",
            # Without it the locks of a process that stands still, or of a host that is gone, are held for ever.
            "idle_in_transaction_session_timeout": "5000",
            "jit": "off",
        }
        if role:
            settings["role"] = role
        self._engine: AsyncEngine = create_async_engine(
            normalise_url(url),
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=pool_timeout,
            hide_parameters=True,
            connect_args={"server_settings": settings, "timeout": 5},
        )
        event.listen(self._engine.sync_engine, "checkout", _refuse_closed)

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _driver(self) -> AsyncIterator[Driver]:
        try:
            raw = await self._engine.raw_connection()
        except _DRIVER_FAILURES:
            raise DatabaseUnavailable from None
        driver: Driver = raw.driver_connection  # type: ignore[assignment] # typed as Any | None
        try:
            yield driver
        except _DRIVER_FAILURES as error:
            raise _translated(error) from None
        finally:
            if driver.is_closed():
                raw.invalidate()
            raw.close()

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Give a connection whose statements commit one by one; raises `StatementFailed` or `DatabaseUnavailable`."""
        async with self._driver() as driver:
            yield Session(driver)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Open a transaction that commits when the block ends; an error, also one of the caller's, rolls it back."""
        async with self._driver() as driver, driver.transaction():
            yield Transaction(driver)


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    if connection.driver_connection.is_closed():
        raise exc.DisconnectionError
