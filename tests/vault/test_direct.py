"""The hot paths: what a direct route refuses to be declared as, and how it is found. What it answers is in tests/api."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, Header, Request, Response
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from keys.errors import KeyUnavailable
from tests.vault.web import call
from vault.routes.access import CardsReader
from vault.routes.direct import DirectRoute, ShortCut


class Body(BaseModel):
    """Something sent."""


async def without_access() -> None:
    """Anybody may come."""


async def with_another_dependency(_caller: Annotated[object, Depends(without_access)]) -> None:
    """It is not known whose."""


async def with_two_bodies(_caller: CardsReader, one: Body, other: Body) -> None:
    """It is not known which."""
    del one, other


async def with_a_header(_caller: CardsReader, agent: Annotated[str, Header()]) -> None:
    """It would not be read."""
    del agent


@pytest.mark.parametrize("endpoint", [without_access, with_another_dependency, with_two_bodies, with_a_header])
def test_what_it_would_not_do_it_refuses_to_be(endpoint: Callable[..., Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        APIRouter(route_class=DirectRoute).post("/")(endpoint)


async def with_a_number(_caller: CardsReader, number: int) -> None:
    """Its path would not be read as one."""
    del number


def test_a_path_of_other_parts_than_text_is_refused() -> None:
    with pytest.raises(TypeError):
        APIRouter(route_class=DirectRoute).get("/{number:int}")(with_a_number)


async def one_thing(_caller: CardsReader, thing: str) -> None:
    """Found by the short cut."""
    del thing


class Tried(Exception):
    """Carries the scope with which the route was reached."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        self.scope = scope


def _router() -> APIRouter:
    """Make a router with a direct route that tells how it was reached."""

    async def tell(scope: Scope, _receive: Receive, _send: Send) -> None:
        raise Tried(scope)

    router = APIRouter(route_class=DirectRoute, redirect_slashes=False)
    router.get("/things/{thing}")(one_thing)
    [route] = router.routes
    assert isinstance(route, DirectRoute)
    route.app = tell
    return router


def _short_cut(app: ASGIApp, routes: list[DirectRoute]) -> ShortCut:
    async def handler(_request: Request, error: Exception) -> Response:
        return Response(type(error).__name__, 503)

    return ShortCut(app, routes=routes, handler=handler)


async def _passed_on(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})


@pytest.mark.anyio
async def test_a_route_is_reached_as_the_framework_reaches_it() -> None:
    router = _router()
    reached = []
    for app in (router, _short_cut(_passed_on, [route for route in router.routes if isinstance(route, DirectRoute)])):
        with pytest.raises(Tried) as tried:
            await call(app, "GET", "/things/a%20b")
        reached.append({name: tried.value.scope[name] for name in ("route", "endpoint", "path_params")})
    assert reached[0] == reached[1]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "path"),
    [("HEAD", "/things/1"), ("POST", "/things/1"), ("GET", "/things"), ("GET", "/things/1/2"), ("GET", "/things/")],
)
async def test_what_is_not_exactly_for_a_direct_route_is_the_frameworks(method: str, path: str) -> None:
    routes = [route for route in _router().routes if isinstance(route, DirectRoute)]
    assert (await call(_short_cut(_passed_on, routes), method, path)).status == 299


@pytest.mark.anyio
@pytest.mark.parametrize("scope", [{"type": "lifespan"}, {"type": "http", "root_path": "/below"}])
async def test_other_protocols_and_other_places_are_the_frameworks(scope: dict[str, str]) -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append(scope)

    routes = [route for route in _router().routes if isinstance(route, DirectRoute)]
    whole = {"method": "GET", "path": "/things/1", **scope}
    await _short_cut(app, routes)(whole, None, None)  # type: ignore[arg-type] # nobody speaks
    assert seen == [whole]


@pytest.mark.anyio
async def test_an_error_about_keys_has_its_own_answer_and_others_go_on() -> None:
    async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise KeyUnavailable

    routes = [route for route in _router().routes if isinstance(route, DirectRoute)]
    routes[0].app = fail
    answer = await call(_short_cut(_passed_on, routes), "GET", "/things/1")
    assert (answer.status, answer.body) == (503, b"KeyUnavailable")
