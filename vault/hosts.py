"""Which of a database's hosts a connection is opened to: the one that takes writes, wherever it is now.

It refuses to know statements and pools. Invariants: a host that does not answer in time keeps nobody from the next one;
the host that was found last is tried first; of several hosts none that only follows another is ever taken.
"""

import asyncio
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlencode, urlsplit

import asyncpg

Driver: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_ALONE_SECONDS: Final = 5.0
_AMONG_OTHERS_SECONDS: Final = 3.0
_POOLER: Final = "pgbouncer"


class Hosts:
    """The hosts of one URL, `postgresql://user:password@first:5432,second:5432/database`.

    With `?pgbouncer=true` a pooler in transaction mode stands there; no statement is then prepared for the next one.
    """

    def __init__(self, url: str) -> None:
        self.pooled, self.urls = _taken_apart(url)

    async def connect(self, **options: Any) -> Driver:
        """Open a connection, with the driver's options; raises what the last host that was tried said."""
        several = len(self.urls) > 1
        if several:
            options["target_session_attrs"] = "primary"
        if self.pooled:
            options["statement_cache_size"] = 0
        failure: Exception = ConnectionError()
        for url in self.urls:
            try:
                async with asyncio.timeout(_AMONG_OTHERS_SECONDS if several else _ALONE_SECONDS):
                    driver: Driver = await asyncpg.connect(url, **options)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError) as error:
                failure = error
            else:
                self.urls = (url, *(other for other in self.urls if other != url))
                return driver
        raise failure


def _taken_apart(url: str) -> tuple[bool, tuple[str, ...]]:
    """Tell whether a URL names a pooler, and give a URL for each of its hosts."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query)
    pooled = any(name == _POOLER and value == "true" for name, value in query)
    options = [(name, value) for name, value in query if name not in {"host", _POOLER}]
    login, at, named = parts.netloc.rpartition("@")
    asked = [host for name, value in query if name == "host" for host in value.split(",")]
    single = [
        *(parts._replace(netloc=f"{login}{at}{host}", query=urlencode(options)) for host in named.split(",") if host),
        *(parts._replace(netloc=f"{login}{at}", query=urlencode([*options, ("host", host)])) for host in asked),
    ]
    # An address without a host leaves it to the driver, which looks into its own variables.
    return pooled, tuple(each.geturl() for each in single) or (parts._replace(query=urlencode(options)).geturl(),)
