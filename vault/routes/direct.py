"""The hot paths: routes that are declared like any other, found and answered without the framework's machinery.

It refuses to know services. Invariants: what it does not understand in a declaration it refuses when it is made; body,
caller, errors and the response guard are those of every other route; what is not exactly a request for such a route is
the framework's to answer. What it saves is in docs/performance.md.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, TypeVar, cast

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.convertors import StringConvertor
from starlette.types import ASGIApp, Receive, Scope, Send

from keys.errors import KeysError
from vault.pan_detector import maybe_pan
from vault.response_guard import guard_response
from vault.routes.access import UNREACHABLE, Access, record_denial
from vault.strict_json import StrictRoute, read_object

_MEDIA_TYPE: Final = "application/json"
Model = TypeVar("Model", bound=BaseModel)


class DirectRoute(StrictRoute):
    """Takes endpoints of `request`, `response`, one body, plain path and query parameters, and one `Access`."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        if not all(isinstance(each, StringConvertor) for each in self.param_convertors.values()):
            raise TypeError("the parts of a direct route's path are text")
        self._endpoint = cast("Callable[..., Awaitable[BaseModel]]", self.endpoint)
        self._access, self._caller = _access_of(self.dependant)
        self._body = _body_of(self.dependant)
        self.app = self._serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        response = await self._answer(request)
        if maybe_pan(bytes(response.body)):
            response = await guard_response(request, response)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        parsed = await read_object(request) if self._body is not None else None
        caller = await self._access.admit(request)
        answer = Response(status_code=self.status_code or 200, media_type=_MEDIA_TYPE)
        offered = {
            self._caller: caller,
            self.dependant.request_param_name: request,
            self.dependant.response_param_name: answer,
        }
        values = self._bound(request, parsed) | {name: value for name, value in offered.items() if name is not None}
        try:
            view = await self._endpoint(**values)
        except UNREACHABLE as error:
            await record_denial(request, caller.merchant_id, caller.origin, error.code)
            raise
        answer.body = view.model_dump_json(by_alias=True).encode()
        answer.headers["content-length"] = str(len(answer.body))
        return answer

    def _bound(self, request: Request, parsed: dict[str, Any] | None) -> dict[str, Any]:
        """Give the endpoint's arguments; raises `RequestValidationError` with all that is wrong."""
        values: dict[str, Any] = {}
        errors: list[Any] = []
        queried = self.dependant.query_params
        sources: tuple[tuple[str, list[Any], Mapping[str, str]], ...] = (
            ("path", self.dependant.path_params, request.path_params),
            ("query", queried, request.query_params if queried else {}),
        )
        for place, fields, given in sources:
            for field in fields:
                if field.alias in given:
                    value, wrong = field.validate(given[field.alias], values, loc=(place, field.alias))
                    errors.extend(wrong or ())
                else:
                    value = field.get_default()
                values[field.name] = value
        if self._body is not None:
            name, model = self._body
            try:
                values[name] = _read(model, parsed)
            except ValidationError as error:
                wrong = error.errors(include_url=False, include_context=False, include_input=False)
                errors.extend({**each, "loc": ("body", *each["loc"])} for each in wrong)
        if errors:
            raise RequestValidationError(errors)
        return values


class ShortCut:
    """The ASGI layer that hands requests for direct routes to them at once, and every other one on.

    `handler` answers for the errors about keys that a route lets escape; all others are the boundary's above.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Iterable[DirectRoute],
        handler: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        self._app = app
        self._handler = handler
        self._routes: defaultdict[str, list[DirectRoute]] = defaultdict(list)
        for route in routes:
            for method in route.methods or ():
                self._routes[method].append(route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        route = self._taken(scope) if scope["type"] == "http" and not scope.get("root_path") else None
        if route is None:
            await self._app(scope, receive, send)
            return
        try:
            await route.app(scope, receive, send)
        except KeysError as error:
            response = await self._handler(Request(scope, receive, send), error)
            await response(scope, receive, send)

    def _taken(self, scope: Scope) -> DirectRoute | None:
        """Find the route as the framework would, and leave in the scope what the framework would leave there."""
        for route in self._routes.get(scope["method"], ()):
            found = route.path_regex.match(scope["path"])
            if found is not None:
                scope["path_params"] = found.groupdict()
                scope["route"] = route
                scope["endpoint"] = route.endpoint
                return route
        return None


def _read(model: type[Model], parsed: dict[str, Any] | None) -> Model:
    if parsed is None:
        raise RequestValidationError([{"type": "missing", "loc": ("body",)}])
    return model.model_validate(parsed)


def _access_of(dependant: Dependant) -> tuple[Access, str]:
    [dependency] = dependant.dependencies
    if not isinstance(dependency.call, Access) or dependency.name is None:
        raise TypeError("a direct route has one Access and no other dependency")
    return dependency.call, dependency.name


def _body_of(dependant: Dependant) -> tuple[str, type[BaseModel]] | None:
    if dependant.header_params or dependant.cookie_params or len(dependant.body_params) > 1:
        raise TypeError("a direct route takes neither headers nor cookies nor several bodies")
    for field in dependant.body_params:
        return field.name, field.field_info.annotation  # type: ignore[return-value] # any type, for the framework
    return None
