"""A sender for a test to stop: one call that holds the only connection, one that waits for it with a short deadline."""

import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.vault.gateway.calls import client_for, pay
from vault.gateway.endpoint import Connections
from vault.gateway.errors import GatewayError
from vault.gateway.limits import Deadline


async def outcome(call: object) -> str:
    assert asyncio.iscoroutine(call)
    try:
        await call
    except GatewayError as error:
        return error.reason
    return "answered"


async def main(url: str) -> None:
    async with client_for(url, connections=Connections(1)) as client:
        first = asyncio.create_task(outcome(pay(client)))
        await asyncio.sleep(0)
        second = asyncio.create_task(outcome(pay(client, deadline=Deadline.after(1.0))))
        sys.stdout.write(f"first {await first} second {await second}\n")


asyncio.run(main(sys.argv[1]))
