"""The only place that renders an error: whatever went wrong becomes `application/problem+json` (RFC 9457).

Refuses to know services, and to repeat anything that a caller sent: of a validation error only `loc` and `type` are
used, and of `loc` only the names of our own fields. Invariants: the body's status is the answer's; a 500 says nothing
but its code; nothing an exception says about itself is rendered or logged. Source: controls API-1, API-2, SAD-7.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import takewhile
from typing import Any, Final, TypeVar

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import vault.access_errors
import vault.asking_errors
import vault.mandate_errors
import vault.movement_errors
import vault.retry_errors
import vault.vaulting_errors
import vault.webhook_errors  # noqa: F401 - the rest of the tree, which is walked below
from vault.errors import (
    FieldCode,
    FieldProblem,
    Forbidden,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestInvalid,
    Unauthenticated,
    UnsupportedMediaType,
    VaultError,
)
from vault.field_meanings import FIELD_MEANINGS
from vault.ids import Prefix, new_id
from vault.limit_errors import RateLimited
from vault.logs import get_logger

Refusal = TypeVar("Refusal", bound=VaultError)

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:cardvault:problem:"
INSTANCE_PREFIX: Final = "urn:cardvault:request:"

# What the framework raises by itself; another status becomes 400 or 500.
_BY_STATUS: Final[Mapping[int, type[VaultError]]] = {
    raised.status: raised
    for raised in (
        MalformedRequest,
        Unauthenticated,
        Forbidden,
        NotFound,
        PayloadTooLarge,
        UnsupportedMediaType,
        RequestInvalid,
    )
}
_NOT_READ: Final = (MalformedRequest, MethodNotAllowed, PayloadTooLarge, UnsupportedMediaType)
_TYPES: Final[Mapping[str, str]] = {
    "string": "text",
    "int": "a whole number",
    "bool": "true or false",
    "list": "an array",
    "dict": "an object",
    "model": "an object",
    "model_attributes": "an object",
}
_LONGEST_INDEX: Final = 100_000
_FIELD_CODES: Final = frozenset(FieldCode)
_CODE_OF_TYPE: Final[Mapping[str, FieldCode]] = {
    "extra_forbidden": FieldCode.UNKNOWN_FIELD,
    "string_too_long": FieldCode.TOO_LONG,
    "string_too_short": FieldCode.TOO_SHORT,
}

_log = get_logger("vault.problems")


def install(app: FastAPI) -> None:
    """Let the application answer every error in one form, and never with a redirect that repeats the caller's path."""
    app.router.redirect_slashes = False
    for kind in (VaultError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, _handle)


async def _handle(request: Request, error: Exception) -> Response:
    return await _recorded(request.scope, error)


class Boundary:
    """The ASGI layer that turns into a problem whatever the layers below let escape before the answer has begun.

    An error after that is raised on, so that the server closes the connection: half an answer must not look whole.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and answer for what it raises."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except Exception as error:
            if started:
                raise
            await (await _recorded(scope, error))(scope, receive, send)


async def _recorded(scope: Scope, error: Exception) -> Response:
    """Render an error; what goes on record was reported to `app.state.on_refused(request, error)` before."""
    refusal = _refusal(scope, error)
    report: Callable[[Request, VaultError], Awaitable[None]] | None
    report = getattr(getattr(scope.get("app"), "state", None), "on_refused", None)
    if report is not None and (_not_understood(refusal, error) or isinstance(refusal, RateLimited)):
        await report(Request(scope), refusal)
    return _answer(scope, refusal, error)


def _not_understood(refusal: VaultError, error: Exception) -> bool:
    """Tell whether the framework, the validation or the reading of the body refused a request, not a rule of ours."""
    if refusal.status >= InternalError.status:
        return False
    return refusal is not error or isinstance(refusal, _NOT_READ) or refusal.code == RequestInvalid.code


def answer(scope: Scope, error: Exception) -> Response:
    """Render any error: ours, the validation's, the framework's, and everything else as a 500 that the log explains."""
    return _answer(scope, _refusal(scope, error), error)


def _refusal(scope: Scope, error: Exception) -> VaultError:
    match error:
        case VaultError():
            return error
        case RequestValidationError():
            return _of_validation(error, field_names(scope["app"]))
        case HTTPException(status_code=405):
            return MethodNotAllowed(allow=_allowed_methods(scope))
        case HTTPException():
            fallback = MalformedRequest if error.status_code < InternalError.status else InternalError
            return _BY_STATUS.get(error.status_code, fallback)()
        case _:
            return InternalError()


def _answer(scope: Scope, refusal: VaultError, error: Exception) -> Response:
    if refusal.status >= InternalError.status:
        _log.error("http.failed", code=refusal.code, exc_info=error)
    return render(refusal, request_id_of(scope))


def render(error: VaultError, request_id: str) -> Response:
    """Write an error of ours as a problem document with the headers that belong to it."""
    document: dict[str, object] = {
        "type": TYPE_PREFIX + error.code,
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.detail or _about(error) or error.title,
        "instance": INSTANCE_PREFIX + request_id,
        "requestId": request_id,
        "retryable": error.retryable,
    }
    if error.status == RequestInvalid.status:
        document["errors"] = [{"pointer": field.pointer, "code": field.code} for field in error.errors]
    document |= error.members
    headers = dict(error.headers)
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.allow:
        headers["Allow"] = ", ".join(error.allow)
    return Response(orjson.dumps(document, option=orjson.OPT_UTC_Z), error.status, headers, MEDIA_TYPE)


def request_id_of(scope: Scope) -> str:
    """Give the id of a request; one that no layer has named yet gets a fresh one."""
    state: dict[str, Any] = scope.setdefault("state", {})
    request_id: str = state.setdefault("request_id", None) or new_id(Prefix.REQUEST)
    state["request_id"] = request_id
    return request_id


def error_classes(root: type[Refusal]) -> Iterator[type[Refusal]]:
    """Give every class of the error tree that has a code of its own, parents first."""
    for child in root.__subclasses__():
        if "code" in vars(child):
            yield child
        yield from error_classes(child)


@lru_cache(maxsize=4)
def field_names(app: FastAPI) -> frozenset[str]:
    """Give the names of all fields and parameters that the application documents; no other name is ever repeated.

    Made once for an application, when its routes are complete; a start-up that calls it spares the first 422 the wait.
    """
    return frozenset(_names(app.openapi()))


def _names(schema: object) -> Iterator[str]:
    if isinstance(schema, list):
        for entry in schema:
            yield from _names(entry)
    if isinstance(schema, dict):
        properties = schema.get("properties")
        if isinstance(properties, dict):
            yield from properties
        if "in" in schema and isinstance(schema.get("name"), str):
            yield schema["name"]
        for entry in schema.values():
            yield from _names(entry)


def _of_validation(error: RequestValidationError, names: frozenset[str]) -> RequestInvalid:
    """Make a 422 of a validation error; a field code that is a refusal of its own becomes the code of the whole."""
    found = dict.fromkeys(
        FieldProblem(_pointer(fault["loc"], fault["type"], names), _code(fault["type"]), _meaning(fault["type"]))
        for fault in error.errors()
    )
    own = {refusal.code: refusal for refusal in error_classes(RequestInvalid)}
    kind = next((own[field.code] for field in found if field.code in own), RequestInvalid)
    return kind(errors=tuple(found))


def _pointer(loc: Sequence[int | str], kind: str, names: frozenset[str]) -> str:
    """Say where a fault is: `/card/cardNo` in the body, `query/limit` and the like elsewhere.

    It ends before the first step that is not a name of ours, such as a key the caller made up.
    """
    place, *steps = loc[:-1] if kind == "extra_forbidden" else loc
    ours = takewhile(lambda step: step in names or (isinstance(step, int) and step < _LONGEST_INDEX), steps)
    return "".join(["" if place == "body" else str(place), *(f"/{step}" for step in ours)])


def _code(kind: str) -> FieldCode:
    if kind in _FIELD_CODES:
        return FieldCode(kind)
    if kind.endswith(("_type", "_parsing")):
        return FieldCode.INVALID_TYPE
    return _CODE_OF_TYPE.get(kind, FieldCode.INVALID_VALUE)


def _meaning(kind: str) -> str | None:
    wanted = _TYPES.get(kind.removesuffix("_type").removesuffix("_parsing"))
    return wanted and f"{wanted} is expected"


def _about(error: VaultError) -> str | None:
    """Say to people what is wrong with the first field, where the error itself says no more than that."""
    if error.code != RequestInvalid.code or not error.errors:
        return None
    first = error.errors[0]
    return f"{first.pointer or 'The body'}: {first.meaning or FIELD_MEANINGS[first.code]}"


def _allowed_methods(scope: Scope) -> list[str]:
    """Collect the methods of every route that shares the path of the one whose method did not match."""
    routes = list(iter_route_contexts(scope["app"].routes))
    paths = {route.path for route in routes if route.endpoint is scope.get("endpoint")}
    return sorted({method for route in routes if route.path in paths for method in route.methods or ()})
