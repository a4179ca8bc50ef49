"""Delivers signed notifications and repeats them until they are acknowledged (antom-api.md 1.7).

Refuses to know what a notification says. Invariants: at most eight sends each, every send freshly signed over the
path and query that go over the wire, no redirect followed.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from cryptography.hazmat.primitives.asymmetric import rsa
from yarl import URL

from ops.sandbox.config import SandboxConfig
from ops.sandbox.messages import moment
from ops.sandbox.results import Json
from ops.sandbox.scenarios import Notifying
from ops.sandbox.signing import signature_header, string_to_sign

INTERVALS = (0, 120, 600, 600, 3_600, 7_200, 21_600, 54_000)
ACKNOWLEDGEMENT = {"result": {"resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success"}}
LONGEST_ACKNOWLEDGEMENT = 4_096
Sends = tuple[asyncio.Task[bool], ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """One notification for one merchant."""

    client_id: str
    url: str
    body: bytes


def notice(client_id: str, url: str, body: Json) -> Notice:
    """Make a notice of a JSON body."""
    return Notice(client_id, url, json.dumps(body, separators=(",", ":")).encode())


class Notifier:
    """Sends notices; belongs to a running event loop."""

    def __init__(self, config: SandboxConfig, key: rsa.RSAPrivateKey) -> None:
        self._config = config
        self._key = key
        self._running: set[asyncio.Task[bool]] = set()
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=config.notification_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    async def close(self) -> None:
        """Stop everything that is still being repeated."""
        for task in tuple(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await self._session.close()

    def start(self, item: Notice) -> asyncio.Task[bool]:
        """Begin to deliver; the task tells whether the merchant acknowledged."""
        task = asyncio.create_task(self._deliver(item))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    def announce(self, item: Notice, notifying: frozenset[Notifying]) -> Sends:
        """Begin to deliver once, twice or not at all, as settings and scenario say."""
        if not self._config.notifications or Notifying.NO_NOTIFICATION in notifying:
            return ()
        copies = 2 if Notifying.DUPLICATE_NOTIFICATIONS in notifying else 1
        return tuple(self.start(item) for _ in range(copies))

    async def _deliver(self, item: Notice) -> bool:
        for interval in INTERVALS:
            await asyncio.sleep(interval * self._config.notification_scale)
            if await self._send(item):
                return True
            if not self._config.resend:
                break
        return False

    async def _send(self, item: Notice) -> bool:
        time = moment(self._config.clock())
        try:
            url = URL(item.url, encoded=True)
            message = string_to_sign(
                method="POST", target=url.raw_path_qs, client_id=item.client_id, time=time, body=item.body
            )
            headers = {
                "content-type": "application/json; charset=UTF-8",
                "client-id": item.client_id,
                "request-time": time,
                "signature": signature_header(self._key, message),
            }
            async with self._session.post(url, data=item.body, headers=headers, allow_redirects=False) as answer:
                return answer.status == HTTPStatus.OK and await _acknowledged(answer.content)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return False


async def _acknowledged(content: aiohttp.StreamReader) -> bool:
    body = b""
    async for chunk in content.iter_chunked(LONGEST_ACKNOWLEDGEMENT):
        body += chunk
        if len(body) > LONGEST_ACKNOWLEDGEMENT:
            return False
    return bool(json.loads(body) == ACKNOWLEDGEMENT)
