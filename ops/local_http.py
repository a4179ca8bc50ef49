"""Small HTTP calls to servers on this machine, for the playground and the demo.

It refuses to know what is asked. Invariant: a call has a time limit and follows no redirect; an answer is a value, also
a refusal.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

_PATIENCE: Final = 30.0
_JSON: Final = "application/json"
_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body as JSON; raises `ValueError`."""
        return json.loads(self.text)


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked: a JSON `body`, or a `form`."""

    method: str
    path: str
    body: Any = None
    form: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def call(base: str, asked: Call, *, patience: float = _PATIENCE) -> Answer:
    """Send one request; raises `OSError` or `HTTPException` when there is no answer."""
    parts = urlsplit(base)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=patience)
    try:
        payload, headers = _payload(asked)
        connection.request(asked.method, asked.path, payload, {**headers, **asked.headers})
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read().decode(errors="replace"))
    finally:
        connection.close()


def is_up(base: str, path: str) -> bool:
    """Tell whether a server answers a path with 200."""
    try:
        return call(base, Call("GET", path), patience=5.0).status == 200  # noqa: PLR2004 - what the name says
    except (OSError, HTTPException):
        return False


def _payload(asked: Call) -> tuple[bytes | None, dict[str, str]]:
    if asked.form is not None:
        return urlencode(asked.form).encode(), {"Content-Type": _FORM}
    if asked.body is not None:
        return json.dumps(asked.body).encode(), {"Content-Type": _JSON}
    return None, {}
