"""Where a request's processor time goes: samples of the server's stacks, by the layer that they were in.

It refuses to know requests. Invariant: a sample counts for one layer, that of the innermost frame which belongs to any;
the standard library counts for whoever called it.
"""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import orjson

from ops.bench.site import Server

Stacks = Iterable[tuple[tuple[str, ...], int]]

_ELSEWHERE: Final = "HTTP server and event loop"
# The first row that fits a frame takes it.
_LAYERS: Final[Mapping[str, tuple[str, ...]]] = {
    "log line": ("vault/logs.py", "structlog/"),
    "card number detector, response guard": ("vault/response_guard.py", "vault/pan_detector.py"),
    "gateway: HTTP client": ("aiohttp/", "multidict/", "yarl/"),
    "gateway: message, signature, checks": ("vault/gateway/",),
    "database driver": ("asyncpg/",),
    "connection pool, transactions": ("vault/db.py", "vault/pool.py"),
    "body: JSON and fields": (
        "vault/strict_json.py",
        "vault/wire/",
        "vault/card.py",
        "vault/brands.py",
        "pydantic/main.py:BaseModel.model_validate",
    ),
    "keys: seal, open, fingerprint": ("keys/",),
    "API key": ("vault/auth.py", "vault/api_secret.py"),
    "middleware": ("vault/middleware.py", "vault/problems.py"),
    "views": ("vault/routes/views.py", "pydantic/main.py:BaseModel.__init__", "pydantic/main.py:BaseModel.model_dump"),
    "framework: routing, requests, responses": ("fastapi/", "starlette/", "vault/routes/"),
    "services, rows, events, ids": ("vault/",),
    _ELSEWHERE: ("uvicorn/", "uvloop/"),
}
_ROOT: Final = f"{Path(__file__).resolve().parents[2]}/"
_SOONEST: Final = 0.05
_PATIENCE: Final = 10.0


def layer_of(stack: Iterable[str]) -> str:
    """Name the layer of a stack, which begins with the innermost frame, each `path:function`."""
    for frame in map(_place, stack):
        for layer, places in _LAYERS.items():
            if frame.startswith(places):
                return layer
    return _ELSEWHERE


def _place(frame: str) -> str:
    """Take the part of a frame's path that says whose it is; the standard library's fits no layer."""
    _, installed, place = frame.partition("/site-packages/")
    return place if installed else frame.removeprefix(_ROOT)


def parts_of(stacks: Stacks) -> dict[str, float]:
    """Give each layer's part of all samples."""
    counts: Counter[str] = Counter()
    for stack, count in stacks:
        counts[layer_of(stack)] += count
    return {layer: counts[layer] / (counts.total() or 1) for layer in _LAYERS}


def sampled_parts(server: Server, stacks: Path, work: Callable[[], object]) -> dict[str, float]:
    """Give each layer's part of what a server that can be sampled does during some work."""
    os.kill(server.process.pid, signal.SIGUSR1)
    work()
    os.kill(server.process.pid, signal.SIGUSR2)
    deadline = time.monotonic() + _PATIENCE
    while not stacks.exists() and time.monotonic() < deadline:
        time.sleep(_SOONEST)
    written: Stacks = orjson.loads(stacks.read_bytes())
    stacks.unlink()
    return parts_of(written)
