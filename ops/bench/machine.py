"""Says what the figures were measured on, without names, addresses and paths.

It refuses to know figures.
"""

import asyncio
import os
import platform
from pathlib import Path

from ops.connection import connect


def facts(superuser_url: str) -> dict[str, str]:
    """Give what the figures depend on."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "system": f"{platform.system()} {platform.machine()}",
        "Python": platform.python_version(),
        "PostgreSQL": asyncio.run(_server_version(superuser_url)),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


async def _server_version(superuser_url: str) -> str:
    connection = await connect(superuser_url)
    try:
        return str(await connection.fetchval("show server_version"))
    finally:
        await connection.close()
