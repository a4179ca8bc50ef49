"""Reads request bodies: strict JSON within fixed limits, and the route class that makes every route read them so.

Refuses to know fields and meanings. Invariants: what is refused is refused with a literal reason and no part of the
body; depth and keys are counted before anything is parsed, in time linear in the body; two readers of an accepted body
cannot disagree about it (no duplicate keys, no NaN, no number that a 64-bit reader would round).
"""

import json
import re
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Final, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute

from vault.errors import InvalidJson, UnsupportedMediaType
from vault.response_guard import guard_response


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """How much structure a body may have: nested containers, and in all keys, containers and values."""

    depth: int = 32
    keys: int = 2_000
    containers: int = 2_000
    values: int = 10_000


DEFAULT_LIMITS: Final = JsonLimits()
_LARGEST: Final = 2**63 - 1
_LONGEST_NUMBER: Final = 64
# A string from its quote to the closing one, or to the end where none comes; possessive, so that it never looks back.
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS: Final = bytes(sorted(set(range(256)) - set(b"[]{}")))
_CLOSING: Final = frozenset(b"]}")
_ESCAPED: Final = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")
_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_JSON_TYPE: Final = re.compile(r'application/json(?:\s*;\s*charset\s*=\s*"?utf-8"?)?\s*', re.IGNORECASE)


def parse(data: bytes, limits: JsonLimits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Read one JSON object of UTF-8 bytes.

    Integers fit 64 bits, floats are finite, strings hold no NUL and no half of a surrogate pair, keys are unique within
    their object. Raises `InvalidJson` with a literal detail. Source: RFC 8259, RFC 7493 (I-JSON).
    """
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise InvalidJson("The body is not UTF-8.") from None
    _check_structure(data, limits)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError:
        raise InvalidJson("The body is not JSON.") from None
    if not isinstance(value, dict):
        raise InvalidJson("The body has to be a JSON object.")
    if _ESCAPED.search(data) is not None:
        _check_texts(value)
    return value


def _check_structure(data: bytes, limits: JsonLimits) -> None:
    """Refuse a body that nests too deep or holds too much; bodies that obviously do not are not looked into."""
    opened = data.count(b"{") + data.count(b"[")
    if opened <= limits.depth and data.count(b":") <= limits.keys and data.count(b",") <= limits.values:
        return
    strings = (data.count(b'"') - data.count(b'\\"')) // 2  # at least so many, before they are looked for one by one
    skeleton = _STRING.sub(b"", data) if strings <= limits.keys + limits.values else None
    if skeleton is None or skeleton.count(b":") > limits.keys or skeleton.count(b",") > limits.values:
        raise InvalidJson("The body has too many keys or values.")
    brackets = skeleton.translate(None, _NOT_BRACKETS)
    if len(brackets) > 2 * limits.containers:
        raise InvalidJson("The body has too many objects or lists.")
    depth = 0
    for bracket in brackets:
        depth += -1 if bracket in _CLOSING else 1
        if depth > limits.depth:
            raise InvalidJson("The body nests too deep.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidJson("The body has an object with the same key twice.")
    return members


def _integer(digits: str) -> int:
    value = int(digits) if len(digits) <= _LONGEST_NUMBER else None
    if value is None or not ~_LARGEST <= value <= _LARGEST:
        raise InvalidJson("The body has an integer beyond 64 bits.")
    return value


def _float(digits: str) -> float:
    value = float(digits) if len(digits) <= _LONGEST_NUMBER else inf
    if not isfinite(value):
        raise InvalidJson("The body has a number that is too long or too large.")
    return value


def _constant(_name: str) -> NoReturn:
    raise InvalidJson("The body has NaN or an infinity, which JSON does not have.")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def _check_texts(value: object) -> None:
    """Refuse strings that UTF-8 or PostgreSQL cannot hold; the depth has been checked."""
    match value:
        case str():
            if _UNSTORABLE.search(value) is not None:
                raise InvalidJson("The body has a string with NUL or half a surrogate pair.")
        case dict():
            for key, entry in value.items():
                _check_texts(key)
                _check_texts(entry)
        case list():
            for entry in value:
                _check_texts(entry)


async def read_object(request: Request) -> dict[str, Any] | None:
    """Read the body of a request, or None where there is none, and keep it in `request.state.parsed_body`.

    The kept tree is as the caller sent it, before defaults: the idempotency digest is made of it. Raises
    `UnsupportedMediaType` for a body that does not say it is JSON, and `InvalidJson`.
    """
    data = await request.body()
    parsed = None
    if data:
        if _JSON_TYPE.fullmatch(request.headers.get("content-type", "")) is None:
            raise UnsupportedMediaType
        parsed = parse(data)
    request.state.parsed_body = parsed
    return parsed


class StrictRequest(Request):
    """A request whose JSON is the tree that `read_object` accepted; the framework's own parser is never reached."""

    async def json(self) -> Any:
        """Give the accepted tree."""
        return self.state.parsed_body


class StrictRoute(APIRoute):
    """The route class of every route: bodies come through `read_object`, answers go through the response guard."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        """Name the operation after its function, in camelCase, whatever the framework would have named it."""
        super().__init__(*args, **settings | {"generate_unique_id_function": _operation_id})

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the framework's handler.

        The body is read before it, because it turns whatever the reading of a body raises into a bare 400.
        """
        handle: Callable[[Request], Awaitable[Response]] = super().get_route_handler()
        takes_body = self.body_field is not None

        async def strict(request: Request) -> Response:
            if not takes_body:
                return await guard_response(request, await handle(request))
            read = StrictRequest(request.scope, request.receive)
            await read_object(read)
            return await guard_response(request, await handle(read))

        return strict


def _operation_id(route: APIRoute) -> str:
    first, *rest = route.name.split("_")
    return first + "".join(word.capitalize() for word in rest)
