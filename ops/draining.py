"""HTTP connections that end well when the server is asked to stop.

It refuses to know why the server stops. Invariant: a request that came over an open connection is answered; where none
is under way, the next answer says `Connection: close`, and only a connection that stays idle is closed without one. A
sender that keeps connections open would otherwise lose what it sends at the moment of the close.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_IDLE_SECONDS: Final = 1.0


class DrainingProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._closing: asyncio.TimerHandle | None = None

    def shutdown(self) -> None:
        """Finish the request that is under way, or wait a moment for one that may be."""
        under_way: Any = self.cycle  # None before the first request, whatever the parent declares
        if under_way is None or under_way.response_complete:
            self._closing = self.loop.call_later(_IDLE_SECONDS, super().shutdown)
        else:
            super().shutdown()

    def on_headers_complete(self) -> None:
        """Begin a request; when the server stops, it is the last one here."""
        super().on_headers_complete()
        if self._closing is not None:
            self._closing.cancel()
            super().shutdown()
