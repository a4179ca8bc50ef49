"""Cursors of lists: opaque, authenticated, of one merchant and one list, and expiring (controls.md API-9).

It refuses to know what is listed. Invariant: a cursor that was altered, is another merchant's or another list's, or is
older than a day is refused like any other bad value.
"""

import base64
import binascii
import hmac
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

import orjson

from keys.keyring import Keyring, Label
from vault.errors import FieldCode, FieldProblem, RequestInvalid
from vault.store.cards import Page

_SECONDS: Final = 24 * 3600
_MAC_BYTES: Final = 16
LARGEST_PAGE: Final = 100
DEFAULT_PAGE: Final = 20


class Cursors:
    """Makes and reads cursors."""

    def __init__(self, keyring: Keyring, *, clock: Callable[[], float] = time.time) -> None:
        self._keyring = keyring
        self._clock = clock

    async def make(self, merchant_id: str, subject: str, created_at: datetime, object_id: str) -> str:
        """Give the cursor that continues a list after an object."""
        content = orjson.dumps([subject, int(self._clock()), created_at.isoformat(), object_id])
        mac = await self._keyring.digest(merchant_id, Label.CURSOR, content)
        return base64.urlsafe_b64encode(mac.value[:_MAC_BYTES] + content).decode().rstrip("=")

    async def page(self, merchant_id: str, subject: str, cursor: str | None, limit: int) -> Page:
        """Give the page that a cursor asks for, or the first one; raises `RequestInvalid`."""
        if cursor is None:
            return Page(None, limit)
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except (binascii.Error, ValueError):
            raise _refused() from None
        mac, content = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        made = await self._keyring.digests(merchant_id, Label.CURSOR, content)
        if not any(hmac.compare_digest(mac, each.value[:_MAC_BYTES]) for each in made):
            raise _refused()
        named, issued, created_at, object_id = orjson.loads(content)
        if named != subject or self._clock() - issued > _SECONDS:
            raise _refused()
        return Page((datetime.fromisoformat(created_at), object_id), limit)


def _refused() -> RequestInvalid:
    return RequestInvalid(
        "The cursor is not one of this list, or it is too old: start without one.",
        errors=[FieldProblem("query/cursor", FieldCode.INVALID_VALUE)],
    )
