"""Stores for the keyring's tests: one in memory that counts what is asked of it, one in files that survives kill -9."""

import asyncio
import fcntl
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from keys.errors import KeyExhausted
from keys.keyring import Keyring, KeyState, NewKey, Purpose, WrappedKey, new_data_key
from keys.rootkey import RootKey

MERCHANT = "mer_aaaaaaaaaaaaaaaaaaaaaaaaaa"
ENVIRONMENT = "test"
_START = datetime(2026, 1, 1, tzinfo=UTC)

RingOf = Callable[..., Keyring]


def stored(new: NewKey, state: KeyState = KeyState.ACTIVE, age: int = 0) -> WrappedKey:
    """Return the row that a database would hold; `age` in days before the first of the year."""
    created_at = _START - timedelta(days=age)
    return WrappedKey(new.key_id, new.merchant_id, new.purpose, state, new.root_key_id, new.wrapped, created_at)


class MemoryRows:
    """Rows in memory; gives way to other tasks in every call, as a database does."""

    def __init__(self, root: RootKey) -> None:
        self.root = root
        self.rows: dict[bytes, WrappedKey] = {}
        self.uses: Counter[bytes] = Counter()
        self.calls: Counter[str] = Counter()

    def add(
        self,
        purpose: Purpose = Purpose.CARD,
        state: KeyState = KeyState.ACTIVE,
        *,
        merchant_id: str = MERCHANT,
        age: int = 0,
    ) -> bytes:
        """Insert a new key and return its id."""
        row = stored(new_data_key(self.root, merchant_id, purpose, ENVIRONMENT), state, age)
        self.rows[row.key_id] = row
        return row.key_id

    def set_state(self, key_id: bytes, state: KeyState) -> None:
        """Move a key to another state."""
        self.rows[key_id] = replace(self.rows[key_id], state=state)

    def replace(self, used: bytes, purpose: Purpose = Purpose.CARD) -> None:
        """Do what another process would do: replace a key, unless somebody has done so already."""
        successor = new_data_key(self.root, self.rows[used].merchant_id, purpose, ENVIRONMENT)
        self._succeed(used, successor)

    def _succeed(self, used: bytes, successor: NewKey) -> None:
        if self.rows[used].state is KeyState.ACTIVE:
            self.set_state(used, KeyState.DECRYPT_ONLY)
            self.rows[successor.key_id] = stored(successor)

    async def rotate(self, retired: bytes, successor: NewKey) -> None:
        """As the protocol says."""
        self.calls["rotate"] += 1
        await asyncio.sleep(0)
        self._succeed(retired, successor)

    async def find(self, key_id: bytes) -> WrappedKey | None:
        """As the protocol says."""
        self.calls["find"] += 1
        await asyncio.sleep(0)
        return self.rows.get(key_id)

    async def live(self, merchant_id: str, purpose: Purpose) -> Sequence[WrappedKey]:
        """As the protocol says."""
        self.calls["live"] += 1
        await asyncio.sleep(0)
        found = [
            row
            for row in self.rows.values()
            if (row.merchant_id, row.purpose) == (merchant_id, purpose) and row.state is not KeyState.DESTROYED
        ]
        return sorted(found, key=lambda row: row.created_at, reverse=True)

    async def reserve(self, key_id: bytes, count: int) -> int:
        """As the protocol says."""
        self.calls["reserve"] += 1
        self.uses[key_id] += count
        total = self.uses[key_id]
        await asyncio.sleep(0)
        return total


class FileRows(MemoryRows):
    """One key whose uses are counted in a file, locked and synced, so that processes can share and lose them."""

    def __init__(self, root: RootKey, row: WrappedKey, counter: Path) -> None:
        super().__init__(root)
        self.rows[row.key_id] = row
        self.counter = counter
        counter.touch()

    async def reserve(self, key_id: bytes, count: int) -> int:
        """As the protocol says."""
        return self._add(count)

    async def rotate(self, retired: bytes, successor: NewKey) -> None:
        """Refuse, so that the use of one key can be counted to its end."""
        raise KeyExhausted

    def _add(self, count: int) -> int:
        with self.counter.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            total = int(file.read() or b"0") + count
            file.seek(0)
            file.write(b"%020d" % total)
            file.flush()
            os.fsync(file.fileno())
        return total
