"""A small application behind the real layers, a caller that speaks ASGI to it, and what the log said meanwhile."""

import asyncio
import io
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Message

from tests.canary import VISA_CANARY
from vault import middleware, problems
from vault.logs import _SINK, configure
from vault.settings import LogFormat, Settings

CANARY = VISA_CANARY
GROUPED = " ".join(re.findall("....", CANARY))
DASHED = GROUPED.replace(" ", "-")


def settings(**changes: Any) -> Settings:
    """Make settings of development, with changes."""
    given: dict[str, Any] = {
        "environment": "development",
        "database_url": "postgresql://vault:secret@127.0.0.1/vault",
        "seal": "local:/nowhere/keystore",
        "seal_passphrase_file": "/nowhere/passphrase",
        "gateway_url": "http://127.0.0.1:9",
        "public_url": "http://127.0.0.1:8",
    }
    return Settings(**{**given, **changes})


def layered(app: FastAPI, **changes: Any) -> FastAPI:
    """Put the problems and the layers of the product around an application."""
    problems.install(app)
    middleware.install(app, settings(**changes))
    return app


@dataclass
class Answer:
    """What came back over ASGI."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def text(self) -> str:
        """Everything of the answer that a caller could read."""
        return f"{self.status} {self.headers} {self.body.decode()}"


async def call(
    app: ASGIApp,
    method: str,
    path: str,
    *,
    body: bytes | Sequence[bytes] = b"",
    headers: dict[str, str] | None = None,
    query: str = "",
    scheme: str = "http",
) -> Answer:
    """Send one request; several bodies are the chunks of one without a length, none is a caller that goes away."""
    chunks = [body] if isinstance(body, bytes) else list(body)
    given = {"host": "vault.example", **(headers or {})}
    if body and isinstance(body, bytes):
        given = {"content-length": str(len(body)), "content-type": "application/json", **given}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("utf-8")) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("vault.example", 80),
    }
    answer = Answer()
    pending = iter(chunks)
    left = len(chunks)

    async def receive() -> Message:
        nonlocal left
        left -= 1
        chunk = next(pending, None)
        if chunk is None:
            await (asyncio.sleep(0) if body == [] else asyncio.Event().wait())
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": left > 0}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            answer.status = message["status"]
            answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            answer.body += message.get("body", b"")

    await app(scope, receive, send)
    return answer


class Log(io.BytesIO):
    """What was logged."""

    @property
    def text(self) -> str:
        """All of it."""
        return self.getvalue().decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Each line as the JSON it is."""
        return [json.loads(line) for line in self.text.splitlines()]

    def of(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [line for line in self.lines if line["event"] == event]


@contextmanager
def captured(log_format: LogFormat = LogFormat.JSON) -> Iterator[Log]:
    """Log into memory as the product would to its stream, and put everything back afterwards."""
    root = logging.getLogger()
    loggers = {name: logging.getLogger(name) for name in list(root.manager.loggerDict)}
    before = {name: (list(found.handlers), found.propagate, found.disabled) for name, found in loggers.items()}
    handlers, level = list(root.handlers), root.level
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning
    log, sink = Log(), (_SINK.log_format, _SINK.stream)
    configure(log_format, stream=log)
    try:
        yield log
    finally:
        _SINK.log_format, _SINK.stream = sink
        logging.captureWarnings(capture=False)
        sys.excepthook, threading.excepthook, sys.unraisablehook, warnings.showwarning = hooks
        root.handlers[:] = handlers
        root.setLevel(level)
        for name, (kept, propagate, disabled) in before.items():
            loggers[name].handlers[:] = kept
            loggers[name].propagate = propagate
            loggers[name].disabled = disabled
