"""Finds card numbers in text, in bodies and in JSON trees, for free-text fields and for the response guard.

Refuses to know who asks, what is done about a hit, and which digits it found: it answers with places, not with values.
Digits are ASCII only. Invariant: work is linear in the input, because at most seven lengths are tried from the start of
each group of digits, and no digit beyond the nineteenth is looked at. Source: controls IR-1, MSK-7, DEV-5.
"""

import re
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final, TypeAlias

from vault.brands import brand_of, luhn_ok

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Path: TypeAlias = tuple[str | int, ...]

_SHORTEST: Final = 13
_LONGEST: Final = 19
_DETECTABLE: Final = frozenset(range(_SHORTEST, _LONGEST + 1))
_ENOUGH: Final = b"0" * _SHORTEST
_LIKE_ZEROS: Final = bytes(ord("0") if chr(octet) in "0123456789 -" else ord(".") for octet in range(256))
# At least as long as the shortest number; what follows the first digit is looked at as a whole first, for speed.
_RUN: Final = re.compile(r"[0-9](?=[0-9 -]{12})(?:[ -]?[0-9]){12,}+")
_GROUP: Final = re.compile(r"[0-9]+")


def contains_pan(text: str) -> bool:
    """Tell whether the text contains what looks like a card number."""
    return _RUN.search(text) is not None and next(_hits(text), None) is not None


def find_pan_spans(text: str) -> list[tuple[int, int]]:
    """Give start and end of every stretch covered by card numbers, in order and disjoint."""
    spans: list[tuple[int, int]] = []
    for start, end in sorted(_hits(text)):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def maybe_pan(data: bytes) -> bool:
    """Tell cheaply whether JSON of our own making could contain a card number; false means that it does not.

    The serialiser must not have written digits as escape sequences; ours never does. What `walk` finds in a number that
    is written with an exponent, these octets do not show: a long one counts.
    """
    alike = data.translate(_LIKE_ZEROS) + b"."
    start = alike.find(_ENOUGH)
    while start >= 0:
        end = alike.find(b".", start)
        if data[end : end + 1] == b"e" or contains_pan(data[start:end].decode("ascii")):
            return True
        start = alike.find(_ENOUGH, end)
    return False


def walk(value: Json, exempt: Callable[[Path], bool]) -> Iterator[str]:
    """Yield the RFC 6901 pointer of each string, whole number and object key that contains a card number.

    A key with a card number is reported by the pointer of its object, and nothing below it, so that no pointer repeats
    one. A path (the steps from the root) that `exempt` accepts is left out with all that is below it.
    """
    pending: list[tuple[Path, Json]] = [((), value)]
    while pending:
        path, node = pending.pop()
        if exempt(path):
            continue
        if isinstance(node, dict):
            if any(contains_pan(key) for key in node):
                yield _pointer(path)
            else:
                pending.extend(((*path, key), child) for key, child in reversed(node.items()))
        elif isinstance(node, list):
            pending.extend(((*path, index), node[index]) for index in reversed(range(len(node))))
        elif _scalar_contains_pan(node):
            yield _pointer(path)


def _scalar_contains_pan(node: object) -> bool:
    match node:
        case str():
            return contains_pan(node)
        case float() if node.is_integer():
            return _scalar_contains_pan(int(node))
        case int() if 10 ** (_SHORTEST - 1) <= abs(node) < 10**_LONGEST:
            return contains_pan(str(abs(node)))
        case _:
            return False


def _pointer(path: Path) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def _hits(text: str) -> Iterator[tuple[int, int]]:
    """Find every sequence of whole groups that is a card number; sequences may overlap."""
    for run in _RUN.finditer(text):
        if len(run[0]) > _LONGEST and run[0].isdigit():  # one group that is too long, such as a gateway's id
            continue
        yield from _hits_in_run(text, [group.span() for group in _GROUP.finditer(text, *run.span())])


def _hits_in_run(text: str, groups: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    digits = "".join(text[start:end] for start, end in groups)
    bounds = list(accumulate((end - start for start, end in groups), initial=0))
    end_at = {bound: end for bound, (_, end) in zip(bounds[1:], groups, strict=True)}
    for begin, (start, _) in zip(bounds, groups, strict=False):
        brand = brand_of(digits[begin : begin + _LONGEST])
        for length in brand.lengths & _DETECTABLE if brand else ():
            if begin + length in end_at and luhn_ok(digits[begin : begin + length]):
                yield start, end_at[begin + length]
