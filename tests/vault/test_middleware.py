import asyncio
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from tests.vault.web import CANARY, DASHED, call, captured, layered
from vault.ids import Prefix, is_id
from vault.middleware import Edge, Limits
from vault.problems import Boundary
from vault.strict_json import StrictRoute

pytestmark = pytest.mark.anyio


ROUTER = APIRouter(prefix="/v1", route_class=StrictRoute)


@ROUTER.get("/things/{thing_id}")
async def read(thing_id: str, request: Request) -> dict[str, Any]:
    return {"length": len(thing_id), "request_id": request.state.request_id, "trace_id": request.state.trace_id}


@ROUTER.post("/things")
async def make(thing: dict[str, str]) -> dict[str, int]:
    return {"length": len(thing)}


@ROUTER.get("/slow")
async def slow() -> None:
    await asyncio.sleep(60)


@ROUTER.get("/timeout")
async def timeout() -> None:
    raise TimeoutError


@ROUTER.get("/own-policy")
async def own_policy() -> Response:
    return Response(headers={"Content-Security-Policy": "default-src 'self'"})


@ROUTER.get("/broken")
async def broken() -> None:
    raise ValueError(CANARY)


@ROUTER.get("/half")
async def half() -> StreamingResponse:
    async def chunks() -> Any:
        yield b"half"
        raise ValueError(CANARY)

    return StreamingResponse(chunks())


def an_app(**changes: Any) -> FastAPI:
    app = FastAPI()
    app.include_router(ROUTER)

    @app.post("/plain")
    async def plain(request: Request) -> int:
        return len(await request.body())

    @app.post("/framework")
    async def framework(thing: dict[str, str]) -> int:
        return len(thing)

    return layered(app, **changes)


@pytest.mark.parametrize("given", ["abc", "A.b_c-9", "x" * 64, "0af7651916cd43dd8448eb211c80319c"])
async def test_a_callers_request_id_is_kept(given: str) -> None:
    answer = await call(an_app(), "GET", "/v1/things/1", headers={"X-Request-Id": given})

    assert answer.headers["x-request-id"] == answer.json["request_id"] == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "a b",
        "x" * 65,
        "a/b",
        "a\nb",
        "a\x1b[2J",
        "ä",
        CANARY,
        DASHED,
        DASHED.replace("-", "."),
        f"id_{CANARY}",
        "٤",
    ],
)
async def test_any_other_request_id_is_replaced(given: str) -> None:
    """T-39, T-40."""
    with captured() as log:
        answer = await call(an_app(), "GET", "/v1/things/1", headers={"X-Request-Id": given})

    assert is_id(Prefix.REQUEST, answer.headers["x-request-id"])
    assert CANARY[:8] not in answer.text + log.text
    assert DASHED[:9] not in answer.text + log.text


async def test_each_request_gets_an_id_of_its_own() -> None:
    app = an_app()
    ids = {(await call(app, "GET", "/v1/things/1")).headers["x-request-id"] for _ in range(20)}

    assert len(ids) == 20


TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_a_trace_is_honoured() -> None:
    """API-6."""
    with captured() as log:
        answer = await call(an_app(), "GET", "/v1/things/1", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})

    assert answer.json["trace_id"] == TRACE
    assert log.of("http.request")[0]["trace_id"] == TRACE


@pytest.mark.parametrize(
    "given",
    [
        "",
        TRACE,
        f"01-{TRACE}-b7ad6b7169203331-01",
        f"ff-{TRACE}-b7ad6b7169203331-01",
        f"00-{TRACE.upper()}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-b7ad6b7169203331",
        f"00-{TRACE}-b7ad6b7169203331-01-more",
        f"00-{TRACE}-b7ad6b7169203331-01\n",
        f" 00-{TRACE}-b7ad6b7169203331-01",
        f"00-{CANARY}abcdefabcdefabcd-b7ad6b7169203331-01",
    ],
)
async def test_a_trace_that_is_not_exactly_one_is_dropped_for_a_new_one(given: str) -> None:
    """API-6."""
    with captured() as log:
        answer = await call(an_app(), "GET", "/v1/things/1", headers={"traceparent": given})

    assert answer.json["trace_id"] not in {TRACE, "0" * 32}
    assert log.of("http.request")[0]["trace_id"] == answer.json["trace_id"]
    assert CANARY not in log.text


@pytest.mark.parametrize("path", ["/v1/things/1", "/nothing", "/v1/broken", "/v1/timeout"])
async def test_every_answer_carries_the_security_headers(path: str) -> None:
    with captured():
        answer = await call(an_app(), "GET", path)

    assert {
        "cache-control": "no-store",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
        "referrer-policy": "no-referrer",
    }.items() <= answer.headers.items()
    assert "server" not in answer.headers
    assert "x-request-id" in answer.headers
    assert "strict-transport-security" not in answer.headers


async def test_an_installation_that_is_reached_by_https_says_so() -> None:
    answer = await call(an_app(public_url="https://vault.example"), "GET", "/v1/things/1")

    assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"


async def test_a_route_may_have_a_policy_of_its_own() -> None:
    answer = await call(an_app(), "GET", "/v1/own-policy")

    assert answer.headers["content-security-policy"] == "default-src 'self'"


@pytest.mark.parametrize(
    ("method", "path", "logged_method", "route", "status"),
    [
        ("GET", f"/v1/things/{CANARY}", "GET", "/v1/things/{thing_id}", 200),
        ("DELETE", f"/v1/things/{CANARY}", "DELETE", "/v1/things/{thing_id}", 405),
        ("GET", f"/{CANARY}", "GET", "none", 404),
        ("GET", f"/v1/things/{CANARY}/{CANARY}", "GET", "none", 404),
        (CANARY, "/v1/things/1", "OTHER", "/v1/things/{thing_id}", 405),
        ("GET", "/v1/broken", "GET", "/v1/broken", 500),
        ("GET", "/openapi.json", "GET", "/openapi.json", 200),
    ],
)
async def test_one_line_tells_of_a_request_without_what_was_asked(
    method: str, path: str, logged_method: str, route: str, status: int
) -> None:
    """T-39: a card number in the path or in the method is in no line and no answer."""
    with captured() as log:
        answer = await call(an_app(), method, path, query=f"cardNo={CANARY}", headers={"referer": CANARY, CANARY: "x"})

    lines = log.of("http.request")
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [(logged_method, route, status)]
    assert lines[0]["duration_ms"] >= 0
    assert lines[0]["request_id"] == answer.headers["x-request-id"]
    assert CANARY not in log.text + answer.text


async def test_the_duration_is_in_milliseconds() -> None:
    ticks = iter([10.0, 10.125, 10.25])

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})

    with captured() as log:
        answer = await call(Edge(app, https=False, clock=lambda: next(ticks)), "GET", "/")

    assert log.of("http.request")[0]["duration_ms"] == 250.0
    assert answer.headers["server-timing"] == "vault;dur=125.0"


async def test_a_route_that_the_application_does_not_list_has_no_name() -> None:
    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        scope.update(app=FastAPI(), route=object())

    with captured() as log:
        await call(Edge(app, https=False), "GET", "/")

    assert log.of("http.request")[0]["route"] == "none"


async def test_requests_do_not_inherit_each_others_ids() -> None:
    app = an_app()
    with captured() as log:
        await call(app, "GET", "/v1/things/1", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"})
        await call(app, "GET", "/v1/things/1")

    assert [line["trace_id"] == TRACE for line in log.of("http.request")] == [True, False]


async def test_a_body_that_is_announced_too_long_is_refused() -> None:
    answer = await call(an_app(max_body_bytes=1024), "POST", "/v1/things", body=[], headers={"content-length": "1025"})

    assert (answer.status, answer.json["code"]) == (413, "payload_too_large")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e3", "0x10", "1 2", ""])
async def test_a_length_that_is_no_length_is_refused(length: str) -> None:
    answer = await call(an_app(), "POST", "/v1/things", body=[b"{}"], headers={"content-length": length})

    assert answer.status == 413


@pytest.mark.parametrize("path", ["/v1/things", "/plain", "/framework"])
async def test_a_body_that_streams_on_is_cut_off(path: str) -> None:
    """T-46: whatever the route makes of the broken body, the answer is one problem."""
    headers = {"content-type": "application/json"}
    with captured() as log:
        answer = await call(
            an_app(max_body_bytes=1024), "POST", path, body=[b'{"a":"', *[CANARY.encode()] * 200], headers=headers
        )

    assert (answer.status, answer.json["code"]) == (413, "payload_too_large")
    assert CANARY not in answer.text + log.text


async def test_a_body_of_exactly_the_limit_is_read() -> None:
    body = b'{"a":"' + b"x" * 1016 + b'"}'

    assert len(body) == 1024
    assert (await call(an_app(max_body_bytes=1024), "POST", "/v1/things", body=body)).status == 200
    assert (await call(an_app(max_body_bytes=1024), "POST", "/plain", body=[body[:9], body[9:]])).json == 1024


async def test_nothing_is_read_after_the_limit() -> None:
    chunks = iter([b"x" * 600, b"x" * 600, b"never read"])

    async def receive() -> Message:
        return {"type": "http.request", "body": next(chunks), "more_body": True}

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "http.request"
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.start", "status": 200, "headers": []})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {"type": "http", "headers": [], "method": "POST"}
    await Boundary(Limits(app, max_body_bytes=1000, deadline=10))(scope, receive, send)

    assert next(chunks) == b"never read"
    assert [message.get("status") for message in sent] == [413, None]


async def test_a_caller_that_goes_away_is_no_fault() -> None:
    with captured() as log:
        answer = await call(an_app(), "POST", "/v1/things", body=[], headers={"content-type": "application/json"})

    assert answer.status == 0
    assert [line["status"] for line in log.lines] == [None]


async def test_a_request_that_takes_too_long_is_ended() -> None:
    with captured() as log:
        answer = await call(an_app(request_deadline=0.02, sender_deadline=0.01), "GET", "/v1/slow")

    assert (answer.status, answer.json["code"]) == (503, "deadline_exceeded")
    assert answer.json["retryable"] is True
    assert answer.headers["retry-after"] == "5"
    assert log.of("http.failed")[0]["code"] == "deadline_exceeded"


async def test_a_timeout_of_the_handlers_own_is_a_fault() -> None:
    with captured():
        answer = await call(an_app(), "GET", "/v1/timeout")

    assert (answer.status, answer.json["code"]) == (500, "internal_error")


async def test_half_an_answer_does_not_look_whole() -> None:
    """The error goes on to the server, which closes the connection; the log has its type alone."""
    with captured() as log, pytest.raises(ValueError, match=CANARY):
        await call(an_app(), "GET", "/v1/half")

    assert log.of("http.failed")[0]["error"] == "ValueError"
    assert CANARY not in log.text


@pytest.mark.parametrize(
    "layer", [Boundary, lambda app: Edge(app, https=True), lambda app: Limits(app, max_body_bytes=1, deadline=1)]
)
async def test_a_layer_lets_other_protocols_pass(layer: Any) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope)

    await layer(app)({"type": "lifespan"}, None, None)

    assert seen == [{"type": "lifespan"}]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/things/../slow",
        "/v1/./slow",
        "/v1//slow",
        "/v1/slow/",
        "/V1/slow",
        "/v1/SLOW",
        "//v1/slow",
        "/v1/%73low",
        "/v1/\uff53low",
        "/v1/slow%00",
        "/v1/slow;x",
        "/v1/things/",
    ],
)
async def test_a_path_is_its_exact_spelling_or_nothing(path: str) -> None:
    """T-44: no trick reaches a route, and none is answered with a redirect that repeats the path."""
    answer = await call(an_app(), "GET", path)

    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert "location" not in answer.headers
