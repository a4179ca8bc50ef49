import re
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, FastAPI, Header, HTTPException, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic_core import PydanticCustomError
from starlette.routing import Route

from tests.vault.web import CANARY, DASHED, GROUPED, Answer, call, captured, layered
from vault import problems
from vault.errors import FieldCode, FieldProblem, InvalidJson, NotFound, RequestInvalid, VaultError
from vault.field_meanings import FIELD_MEANINGS
from vault.ids import Prefix, is_id
from vault.problems import error_classes, field_names, render
from vault.strict_json import StrictRoute

pytestmark = pytest.mark.anyio
DOCUMENT = (Path(__file__).parents[2] / "docs" / "problems.md").read_text(encoding="utf-8")
CLASSES = {kind.code: kind for kind in error_classes(VaultError)}
FULL_WIDTH = CANARY.translate({ord("0") + digit: 0xFF10 + digit for digit in range(10)})


def refused(code: str) -> AfterValidator:
    def refuse(value: Any) -> Any:
        if "refuse" in str(value):
            raise PydanticCustomError(code, "{value}", {"value": value})
        return value

    return AfterValidator(refuse)


class Card(BaseModel):
    model_config = ConfigDict(extra="forbid")

    cardNo: SecretStr = Field(max_length=19, min_length=12)  # noqa: N815  # the name on the wire
    cvv: Annotated[str | None, refused("cvv_not_storable")] = None


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    card: Card
    count: int = 0
    share: float = 0
    when: Literal["NOW", "LATER"] = "NOW"
    note: Annotated[str, refused("pan_in_free_text")] = ""
    odd: Annotated[str, refused("an_unlisted_code")] = ""
    goods: list[Card] = Field([], max_length=3)
    metadata: dict[str, str | int] = {}
    numbers: dict[int, int] = {}


ROUTER = APIRouter(prefix="/v1", route_class=StrictRoute)


@ROUTER.post("/orders")
async def order(order: Order) -> None:
    return None


@ROUTER.get("/orders/{orderId}")
async def read(
    orderId: int,  # noqa: N803  # the name on the wire
    limit: Annotated[int, Query(le=100)] = 1,
    x_flag: Annotated[int, Header()] = 1,
) -> None:
    return None


@ROUTER.patch("/orders/{orderId}")
async def change(orderId: int) -> None:  # noqa: N803  # the name on the wire
    return None


@ROUTER.get("/errors/{code}")
async def fail(code: str) -> None:
    raise CLASSES[code]


@ROUTER.get("/http/{status}")
async def fail_as_the_framework(status: int) -> None:
    raise HTTPException(status, detail=CANARY, headers={"X-Leak": CANARY})


@ROUTER.get("/broken")
async def broken() -> None:
    raise ValueError(CANARY) from KeyError(GROUPED)


@ROUTER.get("/mistyped")
async def mistyped() -> Card:
    return {"cardNo": CANARY, "cvv": [CANARY]}  # type: ignore[return-value]  # what a mistaken handler does


async def plain(_request: Request) -> Response:
    return Response()


def an_app() -> FastAPI:
    app = FastAPI(routes=[Route("/plain", plain, methods=["POST"])])
    app.include_router(ROUTER)
    return layered(app)


async def ordered(body: str) -> Answer:
    with captured() as log:
        answer = await call(an_app(), "POST", "/v1/orders", body=body.encode())
    assert not hits(answer.text + log.text)
    return answer


def hits(text: str) -> list[str]:
    return [form for form in (CANARY, GROUPED, DASHED, FULL_WIDTH, CANARY[:12]) if form in text]


def errors(answer: Answer) -> list[tuple[str, str]]:
    assert answer.status == 422
    return [(error["pointer"], error["code"]) for error in answer.json["errors"]]


@pytest.mark.parametrize("code", CLASSES)
async def test_every_code_comes_over_http_as_its_class_says(code: str) -> None:
    """API-1."""
    kind = CLASSES[code]
    with captured():
        answer = await call(an_app(), "GET", f"/v1/errors/{code}", headers={"x-request-id": "mine"})

    assert answer.status == kind.status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json == {
        "type": f"urn:cardvault:problem:{code}",
        "title": kind.title,
        "status": kind.status,
        "code": code,
        "detail": kind.title,
        "instance": "urn:cardvault:request:mine",
        "requestId": "mine",
        "retryable": kind.retryable,
        **({"errors": []} if kind.status == 422 else {}),
    }
    assert answer.headers.get("retry-after") == (str(kind.default_retry_after) if kind.retryable else None)


def test_every_code_has_a_heading_and_every_heading_a_code() -> None:
    assert re.findall(r"^## (.+)$", DOCUMENT, re.MULTILINE) == sorted(
        CLASSES, key=lambda code: (CLASSES[code].status, list(CLASSES).index(code))
    )


@pytest.mark.parametrize("code", CLASSES)
def test_every_heading_says_status_retry_when_and_what_to_do(code: str) -> None:
    kind = CLASSES[code]
    section = DOCUMENT.partition(f"\n## {code}\n")[2].partition("\n## ")[0]

    assert f"Status {kind.status}, {'retryable' if kind.retryable else 'not retryable'}." in section
    assert "**When:**" in section
    assert "**Do:**" in section


def test_every_field_code_is_explained_and_no_other() -> None:
    assert dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", DOCUMENT, re.MULTILINE)) == FIELD_MEANINGS
    assert set(FIELD_MEANINGS) == set(FieldCode)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "malformed_request"),
        (401, "unauthenticated"),
        (403, "forbidden"),
        (404, "not_found"),
        (405, "method_not_allowed"),
        (413, "payload_too_large"),
        (415, "unsupported_media_type"),
        (422, "request_invalid"),
        (418, "malformed_request"),
        (500, "internal_error"),
        (502, "internal_error"),
    ],
)
async def test_what_the_framework_raises_becomes_one_of_our_codes(status: int, code: str) -> None:
    with captured() as log:
        answer = await call(an_app(), "GET", f"/v1/http/{status}")

    assert (answer.status, answer.json["code"]) == (CLASSES[code].status, code)
    assert "x-leak" not in answer.headers
    assert not hits(answer.text + log.text)


async def test_an_unauthenticated_answer_names_its_scheme() -> None:
    """API-2."""
    answer = await call(an_app(), "GET", "/v1/errors/unauthenticated")

    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("DELETE", "/v1/orders/1", "GET, PATCH"),
        ("GET", "/v1/orders", "POST"),
        ("GET", "/plain", "POST"),
        (CANARY, "/plain", "POST"),
    ],
)
async def test_a_wrong_method_is_told_every_right_one(method: str, path: str, allow: str) -> None:
    """API-2."""
    answer = await call(an_app(), method, path)

    assert (answer.status, answer.json["code"], answer.headers["allow"]) == (405, "method_not_allowed", allow)
    assert not hits(answer.text)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("{}", [("/card", "missing")]),
        ('{"card":{}}', [("/card/cardNo", "missing")]),
        (f'{{"card":"{CANARY}"}}', [("/card", "invalid_type")]),
        (f'{{"card":{CANARY}}}', [("/card", "invalid_type")]),
        (f'{{"card":{{"cardNo":{CANARY}}}}}', [("/card/cardNo", "invalid_type")]),
        (f'{{"card":{{"cardNo":{CANARY}.0}}}}', [("/card/cardNo", "invalid_type")]),
        (f'{{"card":{{"cardNo":["{CANARY}"]}}}}', [("/card/cardNo", "invalid_type")]),
        (f'{{"card":{{"cardNo":"{CANARY}{CANARY}"}}}}', [("/card/cardNo", "too_long")]),
        ('{"card":{"cardNo":"4539731"}}', [("/card/cardNo", "too_short")]),
        (f'{{"card":{{"cardNo":"{CANARY}","cvv":737}}}}', [("/card/cvv", "invalid_type")]),
        (f'{{"card":{{"cardNo":"{CANARY}"}},"count":"{GROUPED}"}}', [("/count", "invalid_type")]),
        (f'{{"card":{{"cardNo":"{CANARY}"}},"count":"{FULL_WIDTH}x"}}', [("/count", "invalid_type")]),
        (f'{{"card":{{"cardNo":"{CANARY}"}},"when":"{CANARY}"}}', [("/when", "invalid_value")]),
        (f'{{"card":{{"cardNo":"{CANARY}"}},"odd":"refuse {CANARY}"}}', [("/odd", "invalid_value")]),
        (f'{{"card":{{"cardNo":"{CANARY}"}},"{CANARY}":1}}', [("", "unknown_field")]),
        (f'{{"card":{{"cardNo":"{CANARY}","{DASHED}":1,"x":2}}}}', [("/card", "unknown_field")]),
        (
            f'{{"card":{{"cardNo":"{CANARY}"}},"goods":[{{"cardNo":"{CANARY}"}},{{"cardNo":7}}]}}',
            [("/goods/1/cardNo", "invalid_type")],
        ),
        (f'{{"card":{{"cardNo":"{CANARY}"}},"goods":[1,2,3,4]}}', [("/goods", "too_long")]),
        (f'{{"card":{{"cardNo":"{CANARY}"}},"metadata":{{"{CANARY}":[]}}}}', [("/metadata", "invalid_type")]),
        (
            f'{{"card":{{"cardNo":"{CANARY}"}},"metadata":{{"cardNo":["{CANARY}"]}}}}',
            [("/metadata/cardNo", "invalid_type")],
        ),
        (f'{{"card":{{"cardNo":"{CANARY}"}},"numbers":{{"{CANARY}":"x"}}}}', [("/numbers", "invalid_type")]),
        (f'{{"card":{{"cardNo":"{CANARY}"}},"numbers":{{"x{CANARY}":1}}}}', [("/numbers", "invalid_type")]),
        (f'{{"card":{{"cardNo":"{CANARY}"}},"share":"{DASHED}"}}', [("/share", "invalid_type")]),
    ],
)
async def test_a_refused_field_is_named_by_our_names_and_nothing_submitted(
    body: str, expected: list[tuple[str, str]]
) -> None:
    """T-37, T-39."""
    answer = await ordered(body)

    assert errors(answer) == expected
    assert answer.json["code"] == "request_invalid"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("{}", "/card: the field is required"),
        ('{"card":1}', "/card: an object is expected"),
        ('{"card":{"cardNo":1}}', "/card/cardNo: text is expected"),
        ('{"card":{"cardNo":"%s"},"count":"one"}', "/count: a whole number is expected"),
        ('{"card":{"cardNo":"%s"},"goods":"none"}', "/goods: an array is expected"),
        ('{"card":{"cardNo":"%s"},"x":1}', f"The body: {FIELD_MEANINGS[FieldCode.UNKNOWN_FIELD]}"),
        ('{"x":1}', "/card: the field is required"),
    ],
)
async def test_the_first_refused_field_is_explained(body: str, detail: str) -> None:
    assert (await ordered(body.replace("%s", CANARY))).json["detail"] == detail


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (f'{{"card":{{"cardNo":"{CANARY}","cvv":"refuse"}}}}', "cvv_not_storable", "/card/cvv"),
        (f'{{"card":{{"cardNo":"{CANARY}"}},"note":"refuse {CANARY}"}}', "pan_in_free_text", "/note"),
    ],
)
async def test_a_field_code_that_is_a_refusal_of_its_own_is_the_code_of_the_answer(
    body: str, code: str, pointer: str
) -> None:
    answer = await ordered(body)

    assert answer.json["code"] == code
    assert errors(answer) == [(pointer, code)]


@pytest.mark.parametrize(
    ("path", "query", "headers", "expected"),
    [
        (f"/v1/orders/{DASHED}", "", {}, ("path/orderId", "invalid_type")),
        ("/v1/orders/1", f"limit={CANARY}", {}, ("query/limit", "invalid_value")),
        ("/v1/orders/1", f"limit={GROUPED.replace(' ', '+')}", {}, ("query/limit", "invalid_type")),
        ("/v1/orders/1", "", {"x-flag": DASHED}, ("header/x-flag", "invalid_type")),
    ],
)
async def test_a_refused_parameter_is_named_with_its_place(
    path: str, query: str, headers: dict[str, str], expected: tuple[str, str]
) -> None:
    """T-39."""
    with captured() as log:
        answer = await call(an_app(), "GET", path, query=query, headers=headers)

    assert errors(answer) == [expected]
    assert not hits(answer.text + log.text)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/x-www-form-urlencoded", f"cardNo={CANARY}"),
        (
            "multipart/form-data; boundary=b",
            f'--b\r\nContent-Disposition: form-data; name="{CANARY}"\r\n\r\n{CANARY}\r\n--b--',
        ),
        (f"multipart/form-data; boundary={CANARY}", CANARY),
        ("text/plain", GROUPED),
    ],
)
async def test_a_form_is_refused_unread(content_type: str, body: str) -> None:
    """T-39."""
    with captured() as log:
        answer = await call(
            an_app(), "POST", "/v1/orders", body=body.encode(), headers={"content-type": content_type, CANARY: CANARY}
        )

    assert (answer.status, answer.json["code"]) == (415, "unsupported_media_type")
    assert not hits(answer.text + log.text)


@pytest.mark.parametrize("path", ["/v1/broken", "/v1/mistyped"])
async def test_a_fault_says_nothing_and_its_log_line_says_where(path: str) -> None:
    """SAD-7, T-42: neither the answer nor the log holds what the exception says, and nobody prints a traceback."""
    with captured() as log:
        answer = await call(an_app(), "GET", path)

    assert (answer.status, answer.json["code"]) == (500, "internal_error")
    assert answer.json["detail"] == "The vault failed"
    line = log.of("http.failed")[0]
    assert line["error"] in {"ValueError", "ResponseValidationError"}
    assert line["places"]
    assert line["request_id"] == answer.json["requestId"]
    assert not hits(answer.text + log.text)


async def test_a_refusal_is_no_fault_of_ours_and_not_logged_as_one() -> None:
    with captured() as log:
        await call(an_app(), "GET", "/v1/errors/not_found")

    assert [line["event"] for line in log.lines] == ["http.request"]


async def test_an_error_outside_all_layers_is_a_problem_as_well() -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/broken")
    async def broken() -> None:
        raise ValueError(CANARY)

    answers: list[Answer] = []
    with captured() as log, pytest.raises(ValueError, match=CANARY):
        answers.append(await call(app, "GET", "/broken"))

    assert log.of("http.failed")


async def test_a_request_that_nobody_has_named_gets_an_id() -> None:
    app = FastAPI()
    problems.install(app)

    answer = await call(app, "GET", "/nothing")

    assert is_id(Prefix.REQUEST, answer.json["requestId"])
    assert answer.json["instance"] == f"urn:cardvault:request:{answer.json['requestId']}"


def test_an_error_carries_its_own_detail_fields_and_wait() -> None:
    error = RequestInvalid(
        "The order is not complete.", errors=[FieldProblem("/order", FieldCode.MISSING)], retry_after=3
    )
    response = render(error, "req")

    assert b'"detail":"The order is not complete."' in response.body
    assert b'"errors":[{"pointer":"/order","code":"missing"}]' in response.body
    assert response.headers["retry-after"] == "3"


def test_only_a_422_lists_fields() -> None:
    assert b'"errors"' not in render(NotFound(errors=[FieldProblem("/x", FieldCode.MISSING)]), "req").body
    assert b'"errors"' not in render(InvalidJson(), "req").body


def test_the_names_that_may_be_repeated_are_those_of_the_document() -> None:
    names = field_names(an_app())

    assert {"card", "cardNo", "metadata", "limit", "x-flag", "orderId"} <= names
    assert names == field_names(an_app())
