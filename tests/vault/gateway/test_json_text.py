import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.gateway.json_text import json_bytes, json_object

TEXT = st.text(max_size=8).filter(lambda text: "\x00" not in text)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
LISTS = st.lists(LEAVES, max_size=3)
OBJECTS = st.dictionaries(TEXT, LEAVES | LISTS, max_size=3)


@pytest.mark.no_cover
@given(st.dictionaries(TEXT, LEAVES | LISTS | OBJECTS, max_size=4))
def test_what_is_written_reads_back_the_same(body: dict[str, object]) -> None:
    raw = json_bytes(body)
    assert raw is not None
    assert json_object(raw) == body


def test_it_writes_compact_utf_8() -> None:
    assert json_bytes({"a": [1, "\u00fc"], "b": True}) == '{"a":[1,"\u00fc"],"b":true}'.encode()


def test_null_as_a_value_or_in_a_text_is_written_like_anything_else() -> None:
    assert json_bytes({"a": None, "b": "null and void"}) == b'{"a":null,"b":"null and void"}'


def circular() -> dict[str, object]:
    ring: dict[str, object] = {}
    ring["ring"] = ring
    return ring


def deep() -> dict[str, object]:
    body: dict[str, object] = {}
    for _ in range(100_000):
        body = {"a": body}
    return body


@pytest.mark.parametrize(
    "body",
    [
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": "\ud800"},
        {"a": b"bytes"},
        {"a": object()},
        {(1, 2): 1},
        circular(),
        deep(),
    ],
    ids=["nan", "infinity", "lone surrogate", "bytes", "object", "tuple as name", "circular", "deep"],
)
def test_what_json_cannot_say_is_not_written(body: dict[str, object]) -> None:
    assert json_bytes(body) is None


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"{",
        b"{}{}",
        b"{} x",
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":-1e999}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"b":[{"a":1,"a":2}]}',
        b'{"a":"\n"}',
        b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}',
        json.dumps({"a": 1}).encode("utf-16"),
        b"[" * 500_000,
        b'{"a":' * 100_000,
    ],
)
def test_anything_but_one_unambiguous_object_is_refused(raw: bytes) -> None:
    """T-46: depth, duplicate names, huge numbers, NaN."""
    assert json_object(raw) is None


def test_unknown_members_and_values_are_kept() -> None:
    raw = b'{"result":{"resultStatus":"A"},"new":[1.5,null]}'
    assert json_object(raw) == {"result": {"resultStatus": "A"}, "new": [1.5, None]}


def test_text_that_a_database_cannot_hold_is_replaced_and_nothing_else() -> None:
    raw = b'{"a\\u0000b": ["x\\ud800", {"y": "\\u0000"}, "plain", 7, true, null]}'
    assert json_object(raw) == {"a\ufffdb": ["x\ufffd", {"y": "\ufffd"}, "plain", 7, True, None]}
