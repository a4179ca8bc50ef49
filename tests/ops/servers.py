"""Folders that an embedded server may use, unlike pytest's own temporary ones, and a question to a server."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from tests.database import place_for_servers


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that the server's account may enter, and remove it afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="cardvault-embedded-", dir=place_for_servers()))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


def ask(url: str, statement: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(url, ssl=False)
        try:
            *first, last = statement.split(";")
            for each in first:
                await connection.execute(each)
            return await connection.fetchval(last)
        finally:
            await connection.close()

    return asyncio.run(run())
