import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from tests.vault.web import CANARY, DASHED, GROUPED, Log, call, captured, layered
from vault.errors import DatabaseUnavailable
from vault.ids import Prefix, new_id
from vault.pan_detector import contains_pan
from vault.response_guard import EXEMPT_NAMES, guard
from vault.strict_json import StrictRoute

pytestmark = pytest.mark.anyio
Report = Callable[[Request, Sequence[str]], Awaitable[None]]


def encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "number",
    [CANARY, GROUPED, DASHED, f"ref {CANARY}!", int(CANARY), -int(CANARY), float(CANARY), 3.8483100371705256e16],
)
@pytest.mark.parametrize(
    ("shape", "pointer", "without"),
    [
        (lambda number: {"a": number}, "/a", {"a": None}),
        (lambda number: {"a": {"b": [1, {"c": number}]}}, "/a/b/1/c", {"a": {"b": [1, {"c": None}]}}),
        (lambda number: {"a": [[number]]}, "/a/0/0", {"a": [[None]]}),
        (lambda number: {"a/b~c": number}, "/a~1b~0c", {"a/b~c": None}),
        (lambda number: {"": number}, "/", {"": None}),
        (lambda number: {"metadata": {"requestId": number}}, "/metadata/requestId", {"metadata": {"requestId": None}}),
    ],
)
def test_a_card_number_becomes_null_and_its_pointer_is_listed(
    number: object, shape: Callable[[object], Any], pointer: str, without: dict[str, Any]
) -> None:
    """T-39."""
    result = guard(encode({"status": "SUCCESS", **shape(number)}))

    assert json.loads(result.body) == {"status": "SUCCESS", **without, "withheld": [pointer]}
    assert result.withheld == (pointer,)


def test_several_card_numbers_are_all_taken_out() -> None:
    result = guard(encode({"a": CANARY, "b": [CANARY, "x", DASHED], "c": "ok"}))

    assert json.loads(result.body) == {"a": None, "b": [None, "x", None], "c": "ok", "withheld": ["/a", "/b/0", "/b/2"]}


def test_an_object_with_a_card_number_as_a_key_is_taken_out_whole() -> None:
    result = guard(encode({"a": {"b": {CANARY: 1}, "c": 2}}))

    assert json.loads(result.body) == {"a": {"b": None, "c": 2}, "withheld": ["/a/b"]}


def test_the_outermost_object_loses_the_key_alone() -> None:
    result = guard(encode({CANARY: 1, "status": "SUCCESS", "b": GROUPED}))

    assert json.loads(result.body) == {"status": "SUCCESS", "b": None, "withheld": ["", "/b"]}


@pytest.mark.parametrize(("value", "left"), [(CANARY, None), (int(CANARY), None), ([1, CANARY], [1, None])])
def test_a_body_that_is_no_object_loses_its_value(value: object, left: object) -> None:
    result = guard(encode(value))

    assert json.loads(result.body) == left
    assert result.withheld


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"a": "4539 7319 0846 6058"},
        {"a": f"{CANARY}{CANARY}1"},
        {"a": "20221111194010890100111650285726898"},
        {"a": [4539, 7319, 846, 6057]},
        {"a": "Müller 漢字"},
        {"maskedCardNo": "************6057", "lastFour": "6057"},
    ],
)
def test_an_answer_without_a_card_number_is_not_changed_by_a_byte(value: object) -> None:
    body = json.dumps(value, indent=1).encode()

    assert guard(body).body is body


@pytest.mark.parametrize("name", sorted(EXEMPT_NAMES))
def test_ids_that_are_long_numbers_go_out(name: str) -> None:
    body = encode({"a": [{name: CANARY}]})

    assert guard(body).body is body


@pytest.mark.parametrize(
    "value",
    [
        {"nextAction": {"type": "REDIRECT", "url": f"https://acs.example/{CANARY}", "parameters": {"MD": CANARY}}},
        {"gateway": {"paymentId": CANARY, "resultCode": "SUCCESS"}},
        {"paymentResultInfo": {"networkTransactionId": CANARY, "threeDSResult": {"dsTransactionId": CANARY}}},
        {"captures": [{"captureId": CANARY, "captureRequestId": CANARY}]},
    ],
)
def test_ids_of_others_and_the_next_step_go_out_as_they_are(value: object) -> None:
    body = encode(value)

    assert guard(body).body is body


@pytest.mark.parametrize("name", ["issuerName", "resultMessage", "acquirerReasonDescription", "holderName", "cardNo"])
def test_texts_of_the_gateway_are_looked_at(name: str) -> None:
    assert guard(encode({"paymentResultInfo": {name: f"card {CANARY}"}})).withheld == (f"/paymentResultInfo/{name}",)


def test_no_answer_full_of_our_own_ids_is_touched() -> None:
    """Every id may stand anywhere, exempt name or not."""
    body = encode({"free text": [new_id(prefix) for _ in range(2_000) for prefix in Prefix]})

    assert guard(body).body is body


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from([CANARY, GROUPED, f"x{DASHED}", int(CANARY)])
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["a/b", "~", "0", CANARY]), inner, max_size=3)
    ),
    max_leaves=20,
)


@pytest.mark.no_cover
@given(st.dictionaries(st.text(max_size=3) | st.just(CANARY), TREES, max_size=4))
def test_no_tree_gets_a_card_number_out(tree: dict[str, Any]) -> None:
    result = guard(encode(tree), exempt=lambda _: False)

    assert not contains_pan(result.body.decode())


def an_app(report: Report | None = None) -> FastAPI:
    router = APIRouter(prefix="/v1", route_class=StrictRoute)

    @router.get("/leak")
    async def leak() -> dict[str, str]:
        return {"paymentStatus": "SUCCESS", "resultMessage": CANARY}

    @router.post("/leak", status_code=201)
    async def leak_more(body: dict[str, str]) -> dict[str, str]:
        return {"paymentStatus": "SUCCESS", **body}

    @router.get("/clean")
    async def clean() -> dict[str, str]:
        return {"lastFour": CANARY[-4:]}

    @router.get("/text")
    async def text() -> Response:
        return Response(b"plain", media_type="text/plain")

    @router.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"{}"]), media_type="application/json")

    app = FastAPI()
    app.include_router(router)
    if report is not None:
        app.state.on_withheld = report
    return layered(app)


async def test_a_route_answers_without_the_card_number_and_reports_it() -> None:
    reported: list[tuple[str, Sequence[str]]] = []

    async def report(request: Request, pointers: Sequence[str]) -> None:
        reported.append((request.state.request_id, pointers))

    with captured() as log:
        answer = await call(an_app(report), "GET", "/v1/leak", headers={"x-request-id": "mine"})

    assert answer.status == 200
    assert answer.json == {"paymentStatus": "SUCCESS", "resultMessage": None, "withheld": ["/resultMessage"]}
    assert answer.headers["content-length"] == str(len(answer.body))
    assert reported == [("mine", ("/resultMessage",))]
    assert CANARY not in log.text


async def test_a_route_with_a_body_is_guarded_too() -> None:
    reported: list[Sequence[str]] = []

    async def report(_request: Request, pointers: Sequence[str]) -> None:
        reported.append(pointers)

    answer = await call(an_app(report), "POST", "/v1/leak", body=encode({"x": GROUPED}))

    assert (answer.status, answer.json) == (201, {"paymentStatus": "SUCCESS", "x": None, "withheld": ["/x"]})
    assert reported == [("/x",)]


async def test_a_hit_is_an_alarm_although_nobody_takes_the_report() -> None:
    with captured() as log:
        answer = await call(an_app(), "GET", "/v1/leak")

    assert answer.status == 200
    alarms(log)


async def test_an_answer_goes_out_although_its_report_is_refused() -> None:
    async def report(_request: Request, _pointers: Sequence[str]) -> None:
        raise DatabaseUnavailable

    with captured() as log:
        answer = await call(an_app(report), "GET", "/v1/leak")

    assert (answer.status, answer.json["paymentStatus"]) == (200, "SUCCESS")
    assert log.of("response_guard.unreported")
    alarms(log)


async def test_an_answer_is_out_before_its_report_can_fail() -> None:
    """The outcome has happened: no failure of the report may stand between it and the caller."""
    sent: list[Message] = []

    async def report(_request: Request, _pointers: Sequence[str]) -> None:
        assert sent[-1]["type"] == "http.response.body"
        raise ValueError("broken")

    app = an_app(report)

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            sent.append(message)
            await send(message)

        await app(scope, receive, noted)

    with captured() as log, pytest.raises(ValueError, match="broken"):
        await call(watched, "GET", "/v1/leak")

    assert [message.get("status") for message in sent] == [200, None]
    assert log.of("http.failed")[0]["error"] == "ValueError"
    alarms(log)


async def test_what_a_route_does_after_its_answer_is_still_done() -> None:
    done: list[str] = []

    async def report(_request: Request, _pointers: Sequence[str]) -> None:
        done.append("report")

    app = an_app(report)
    router = APIRouter(route_class=StrictRoute)

    @router.get("/later")
    async def later(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(done.append, "task")
        return {"x": CANARY}

    app.include_router(router)
    await call(app, "GET", "/later")

    assert done == ["task", "report"]


def alarms(log: Log) -> None:
    assert [(line["code"], line["pointers"]) for line in log.of("alarm")] == [("pan_withheld", ["/resultMessage"])]


@pytest.mark.parametrize(
    ("path", "body"),
    [("/v1/clean", encode({"lastFour": CANARY[-4:]})), ("/v1/text", b"plain"), ("/v1/stream", b"{}")],
)
async def test_a_clean_answer_and_one_that_is_no_json_body_pass(path: str, body: bytes) -> None:
    assert (await call(an_app(), "GET", path)).body == body
