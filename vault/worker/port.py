"""What a worker answers where it is given a port: that it is there, whether all works, and its figures.

It refuses to know frameworks: three paths need none. Invariant: the answers are those of a server's `/healthz`,
`/readyz` and `/metrics`, and so is who may ask for the last one.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

import orjson

from vault.exposition import CONTENT_TYPE, exposition, may_ask
from vault.health import survey
from vault.services import Services

Message: TypeAlias = MutableMapping[str, Any]
Answer: TypeAlias = tuple[int, str, bytes]
_JSON: Final = "application/json"
_NOTHING: Final = (404, _JSON, b"{}")


class WorkerPort:
    """An ASGI application over the services of a worker."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(
        self, scope: Message, _receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer a request."""
        status, kind, body = await self._answer(scope)
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Message) -> Answer:
        services = self._services
        match scope["method"], scope["path"]:
            case "GET", "/healthz":
                return 200, _JSON, orjson.dumps({"status": "ok"})
            case "GET", "/readyz":
                health, working = await survey(services.database, services.keyring)
                said = {"ready": health.ready, **health.parts, "loops": working}
                return 200 if health.ready else 503, _JSON, orjson.dumps(said)
            case "GET", "/metrics" if may_ask(services.settings, scope["client"][0], dict(scope["headers"])):
                return 200, CONTENT_TYPE, await exposition(services)
            case _:
                return _NOTHING
