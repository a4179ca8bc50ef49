import json
from contextlib import suppress
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from tests.vault.web import CANARY, Answer, call, captured, layered
from vault.errors import InvalidJson
from vault.strict_json import JsonLimits, StrictRoute, parse, read_object

pytestmark = pytest.mark.anyio
MEBIBYTE = 1 << 20


def refusal(data: bytes) -> str:
    with pytest.raises(InvalidJson) as caught:
        parse(data)
    assert caught.value.detail is not None
    return caught.value.detail


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b" ", "not JSON"),
        (b"{", "not JSON"),
        (b'{"a":1}x', "not JSON"),
        (b'{"a":1,}', "not JSON"),
        (b"{'a':1}", "not JSON"),
        (b'{"a":01}', "not JSON"),
        (b'{"a":+1}', "not JSON"),
        (b'{"a":.5}', "not JSON"),
        (b'{"a":0x10}', "not JSON"),
        (b'{"a":1_000}', "not JSON"),
        (b'{"a":True}', "not JSON"),
        (b'{"a":/**/1}', "not JSON"),
        (b'{"a":"\n"}', "not JSON"),
        (b'{"a":"\x00"}', "not JSON"),
        (b'{"a":"\\x41"}', "not JSON"),
        (b'{"a":"\\ud8"}', "not JSON"),
        (b"\xef\xbb\xbf{}", "not JSON"),
        (b"\x00{}", "not JSON"),
        ('{"a":"٤"}'.encode("utf-16"), "not UTF-8"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\xc0\xaf"}', "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        ('{"a":٤}'.encode(), "not JSON"),
        (b'{"a":1,"a":1}', "same key twice"),
        (b'{"a":1,"\\u0061":2}', "same key twice"),
        (b'{"b":[{"a":1,"a":2}]}', "same key twice"),
        (b'{"a":NaN}', "NaN or an infinity"),
        (b'{"a":Infinity}', "NaN or an infinity"),
        (b'{"a":-Infinity}', "NaN or an infinity"),
        (b'{"a":1e999}', "too long or too large"),
        (b'{"a":-1e999}', "too long or too large"),
        (b'{"a":0.' + b"1" * 64 + b"}", "too long or too large"),
        (b'{"a":9223372036854775808}', "beyond 64 bits"),
        (b'{"a":-9223372036854775809}', "beyond 64 bits"),
        (b'{"a":' + b"9" * 5000 + b"}", "beyond 64 bits"),
        (b'{"a":"\\ud800"}', "half a surrogate pair"),
        (b'{"a":"\\uDFFF\\uD800"}', "half a surrogate pair"),
        (b'{"\\udbff":1}', "half a surrogate pair"),
        (b'{"a":[{"b":["\\u0000"]}]}', "NUL"),
        (b"[]", "JSON object"),
        (b"null", "JSON object"),
        (b'"text"', "JSON object"),
        (b"7", "JSON object"),
    ],
)
def test_what_is_not_strict_json_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    """T-46."""
    assert reason in refusal(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"a":' + b"[" * 32 + b"]" * 32 + b"}", "nests too deep"),
        (b'{"a":' * 33 + b"1" + b"}" * 33, "nests too deep"),
        (b"[" * MEBIBYTE, "too many objects or lists"),
        (b'{"a":' * (MEBIBYTE // 5), "too many keys"),
        (b'{"a":[' + b"[]," * (MEBIBYTE // 3) + b"[]]}", "too many keys or values"),
        (b'{"a":[' + b'[[],"' * 3000 + b"]}", "too many"),
        (b"{" + b",".join(b'"%d":1' % key for key in range(2001)) + b"}", "too many keys"),
        (b"{" + b",".join(b'"%d":1' % key for key in range(100_000)) + b"}", "too many keys"),
        (b'{"a":[' + b"1," * (MEBIBYTE // 2) + b"1]}", "too many keys or values"),
        (b'{"a":[' + b'"",' * (MEBIBYTE // 3) + b'""]}', "too many keys or values"),
        (b"[" * 33 + b'"' * MEBIBYTE, "too many keys or values"),
        (b"[" * 33 + b'"' + b'\\"' * (MEBIBYTE // 2), "nests too deep"),
        (b"[" * 33 + b'"' + b"\\" * (MEBIBYTE + 1), "nests too deep"),
        (b"{" * 2001 + b"}" * 2001, "too many objects or lists"),
    ],
)
def test_a_bomb_is_refused_before_it_is_parsed(data: bytes, reason: str) -> None:
    """T-46."""
    assert reason in refusal(data)


def test_a_refusal_repeats_nothing_of_the_body() -> None:
    error = None
    try:
        parse(f'{{"{CANARY}":"{CANARY}",'.encode())
    except InvalidJson as caught:
        error = caught

    assert error is not None
    assert CANARY not in f"{error!r} {error.detail} {error.args}"
    assert error.__suppress_context__


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":' + b"[" * 31 + b"]" * 31 + b"}",
        b"{" + b",".join(b'"%d":1' % key for key in range(2000)) + b"}",
        b'{"a":"' + b"{[]}:," * 20_000 + b'"}',
        b'{"a":"' + b'\\"{[' * 5_000 + b'"}',
        b'{"a":"\\\\", "b":' + b"[" * 30 + b"]" * 30 + b"}",
        b'{"a":"\\ud83d\\ude00","b":"\\\\u0000"}',
        b'{"a":[9223372036854775807,-9223372036854775808,1.5e10,-0,0.1]}',
        ' \n{"ä":"漢字 😀"}\t'.encode(),
        b"{}",
    ],
)
def test_a_body_within_the_limits_means_what_it_says(data: bytes) -> None:
    assert parse(data) == json.loads(data)


def test_what_is_escaped_is_looked_through_down_to_its_last_value() -> None:
    body = rb'{"a": ["\ud83d\ude00", 1, [], null], "b": {"\ud83d\ude00": true}}'
    assert parse(body) == {"a": ["\U0001f600", 1, [], None], "b": {"\U0001f600": True}}


def test_limits_can_be_narrower() -> None:
    with pytest.raises(InvalidJson):
        parse(b'{"a":{"b":{}}}', JsonLimits(depth=2))


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab", max_size=3), inner, max_size=4),
    max_leaves=30,
)


@pytest.mark.no_cover
@given(st.dictionaries(st.text("abc", max_size=4), JSON_VALUES, max_size=5), st.booleans())
def test_what_a_serialiser_writes_comes_back_the_same(value: dict[str, Any], ascii_only: bool) -> None:  # noqa: FBT001  # Hypothesis draws it
    assert parse(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    with suppress(InvalidJson):
        assert isinstance(parse(data), dict)


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    amount: int = 0


def an_app() -> FastAPI:
    router = APIRouter(prefix="/v1", route_class=StrictRoute)

    @router.post("/things")
    async def make(thing: Thing, request: Request) -> dict[str, Any]:
        return {"thing": thing.model_dump(), "parsed": request.state.parsed_body}

    @router.post("/maybe")
    async def maybe(request: Request, thing: Thing | None = None) -> dict[str, Any]:
        return {"thing": thing and thing.name, "parsed": request.state.parsed_body}

    @router.delete("/things", status_code=204)
    async def remove() -> None:
        return None

    app = FastAPI()
    app.include_router(router)

    async def plain(request: Request) -> Any:
        return (await read_object(request)) or {}

    app.add_api_route("/plain", plain, methods=["POST"], response_model=None)
    return layered(app)


async def posted(body: bytes, content_type: str | None = "application/json", path: str = "/v1/things") -> Answer:
    headers = {} if content_type is None else {"content-type": content_type}
    return await call(an_app(), "POST", path, body=[body], headers=headers)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json ",
    ],
)
async def test_json_is_taken_and_kept_as_it_was_sent(content_type: str) -> None:
    answer = await posted(b'{"name":"x"}', content_type)

    assert answer.status == 200
    assert answer.json == {"thing": {"name": "x", "amount": 0}, "parsed": {"name": "x"}}


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/jsonx",
        "application/problem+json",
        "application/json; charset=latin-1",
        "application/json; charset=utf-8; q=1",
        "application/json, text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        f"application/{CANARY}",
    ],
)
async def test_a_body_that_does_not_say_it_is_json_is_415(content_type: str | None) -> None:
    answer = await posted(b'{"name":"x"}', content_type)

    assert answer.status == 415
    assert answer.json["code"] == "unsupported_media_type"
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        f'{{"name":"{CANARY}","name":"x"}}',
        f'{{"name":{CANARY}{CANARY}}}',
        f'{{"name":"{CANARY}"',
        f'["{CANARY}"]',
        f'{{"name":NaN,"x":"{CANARY}"}}',
    ],
)
async def test_a_route_refuses_what_the_parser_refuses(body: str) -> None:
    """T-37, T-46."""
    with captured() as log:
        answer = await posted(body.encode())

    assert answer.status == 400
    assert answer.json["code"] == "invalid_json"
    assert CANARY not in answer.text + log.text


async def test_a_missing_body_is_a_missing_field() -> None:
    answer = await posted(b"", None)

    assert answer.status == 422
    assert answer.json["errors"] == [{"pointer": "", "code": "missing"}]


async def test_a_body_that_may_be_absent_may_be_absent() -> None:
    assert (await posted(b"", None, "/v1/maybe")).json == {"thing": None, "parsed": None}
    assert (await posted(b'{"name":"x"}', path="/v1/maybe")).json == {"thing": "x", "parsed": {"name": "x"}}


async def test_a_route_without_a_body_does_not_read_one() -> None:
    assert (await call(an_app(), "DELETE", "/v1/things", body=b"\xff" * 10)).status == 204


async def test_a_route_of_another_class_can_read_a_body_the_same_way() -> None:
    assert (await posted(b'{"a":1}', path="/plain")).json == {"a": 1}
    assert (await posted(b'{"a":1,"a":2}', path="/plain")).json["code"] == "invalid_json"
