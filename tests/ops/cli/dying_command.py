"""`python -m tests.ops.cli.dying_command N keys …`: a command whose process is killed (SIGKILL) right after its N-th commit."""

import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ops.cli import main
from vault.db import Database, Transaction


def _die_after(commits: int) -> None:
    begin, left = Database.transaction, [commits]

    @asynccontextmanager
    async def limited(self: Database) -> AsyncIterator[Transaction]:
        async with begin(self) as transaction:
            yield transaction
            wrote = await transaction.value("select pg_current_xact_id_if_assigned() is not null")
        left[0] -= wrote
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    pytest.MonkeyPatch().setattr(Database, "transaction", limited)


if __name__ == "__main__":
    _die_after(int(sys.argv[1]))
    main(sys.argv[2:])
