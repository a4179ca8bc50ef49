"""JSON as it travels to and from the gateway.

Refuses to know what the members mean. Invariant: what comes in is one UTF-8 object in which every name occurs once
and every number is finite; what goes out is compact UTF-8. A refusal is `None` and not an exception, because the
standard library's exceptions keep the whole document in their attributes.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import orjson

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_ESCAPED: Final = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)")  # the only way in which JSON in UTF-8 can hold such
_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_PLAIN: Final = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


def json_bytes(body: Mapping[str, object]) -> bytes | None:
    """Write `body` as compact UTF-8; None where JSON has no way to say it (NaN, lone surrogates, foreign types)."""
    try:
        raw = orjson.dumps(body, option=_PLAIN)
    except TypeError:
        return _strictly_written(body)
    # The quick way writes null for NaN.
    return raw if b"null" not in raw else _strictly_written(body)


def _strictly_written(body: Mapping[str, object]) -> bytes | None:
    try:
        return _ENCODER.encode(body).encode("utf-8")
    except (TypeError, ValueError, RecursionError):
        return None


def json_object(raw: bytes) -> dict[str, Any] | None:
    """Read `raw` as one JSON object; None for anything else, duplicate names and NaN included."""
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
        if not isinstance(value, dict):
            return None
        return storable(value) if _ESCAPED.search(raw) else value
    except (ValueError, RecursionError):
        return None


def storable(value: Any) -> Any:
    """Give the tree with what PostgreSQL and UTF-8 cannot hold (NUL, halves of surrogate pairs) replaced by U+FFFD.

    Refusing such an answer instead would leave its outcome unknown for good.
    """
    match value:
        case str():
            return _UNSTORABLE.sub("\ufffd", value)
        case dict():
            return {storable(name): storable(member) for name, member in value.items()}
        case list():
            return [storable(member) for member in value]
        case _:
            return value


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice")
    return members


def _refuse_constant(_name: str) -> NoReturn:
    raise ValueError("not a JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_each_name_once, parse_constant=_refuse_constant, parse_float=_finite
)
