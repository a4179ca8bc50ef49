"""What tests of the limits say: quotas of a client's own, card numbers that differ, a second process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import orjson

from tests.api.shop import Sql
from tests.installation import Blueprint, served

BASE = 4_539_000_000_000_00


def number(place: int) -> str:
    """Give a card number of a test's own: the same for the same place, and no canary."""
    digits = [int(digit) for digit in str(BASE + place)]
    doubled = [digit if index % 2 else sum(divmod(2 * digit, 10)) for index, digit in enumerate(digits)]
    return "".join(map(str, digits)) + str(-sum(doubled) % 10)


async def grant(sql: Sql, **quotas: dict[str, int]) -> None:
    """Give every client quotas of its own; `cards_store={"burst": 3}` is for `cards.store`."""
    own = {name.replace("_", ".", 1): windows for name, windows in quotas.items()}
    await sql.change("update vault.api_client set limits = $1::jsonb", orjson.dumps(own).decode())


@asynccontextmanager
async def process(blueprint: Blueprint, url: str, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve the same database by another process's worth of application, with leases and caches of its own."""
    async with (
        served(blueprint, url, **({"limits": True} | settings)) as (_, address),
        httpx2.AsyncClient(verify=False, base_url=address, headers=blueprint.tenants[0].headers, timeout=30) as api,
    ):
        yield api
