"""The application: services, routes, middleware and errors put together.

It refuses to know the command line and decides nothing. Invariant: it is made by a function; importing this module
opens nothing and reads nothing.
"""

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeAlias

from fastapi import FastAPI, Request, Response

from keys.errors import CannotOpen, KeysError
from vault import middleware, openapi, problems
from vault.audit.events import ActorKind, Event, EventType, Origin, Outcome
from vault.errors import IntegrityFailure, KeysUnavailable
from vault.logs import configure
from vault.opening import report_damaged_key
from vault.problems import request_id_of
from vault.routes import (
    access,
    audit,
    cards,
    docs_page,
    gateway,
    health,
    mandates,
    movements,
    options,
    payments,
    sessions,
    vaultings,
    webhooks,
)
from vault.routes.direct import DirectRoute, ShortCut
from vault.services import Services, running_services
from vault.settings import Settings, load_settings
from vault.store.audit import append

_ROUTERS: Final = (
    *(cards.hot, payments.hot, mandates.hot),
    *(cards.router, payments.router, movements.router, sessions.router, mandates.router, options.router),
    *(vaultings.router, webhooks.router, audit.router, gateway.router, health.router),
)

Opening: TypeAlias = Callable[[Settings], AbstractAsyncContextManager[Services]]


def create_app(settings: Settings, *, opening: Opening = running_services) -> FastAPI:
    """Make the application; its services open when the server starts and close when it has drained."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with opening(settings) as services:
            app.state.services = services
            problems.field_names(app)
            yield

    app = FastAPI(
        title="Cardvault",
        version="1",
        summary="Stores cards, makes the payments, never gives a card number back",
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        # It would look for an exporter at each request, and tell it what nobody has looked over.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        lifespan=lifespan,
    )
    # In this order they are tried. Included routers would look for each route twice.
    for router in _ROUTERS:
        app.router.routes.extend(router.routes)
    if not settings.in_production:
        app.router.routes.extend(docs_page.routes())
    problems.install(app)
    openapi.install(app)
    app.add_exception_handler(KeysError, _keys_failed)
    direct = [route for route in app.router.routes if isinstance(route, DirectRoute)]
    app.add_middleware(ShortCut, routes=direct, handler=_keys_failed)
    middleware.install(app, settings)
    app.state.on_withheld = _record_withheld
    app.state.on_refused = access.record_refusal
    return app


async def _keys_failed(request: Request, error: Exception) -> Response:
    if not isinstance(error, CannotOpen):
        return problems.answer(request.scope, KeysUnavailable())
    origin = Origin(ActorKind.ANONYMOUS, address=access.address_of(request), request_id=request_id_of(request.scope))
    await report_damaged_key(access.services_of(request).database, origin)
    return problems.answer(request.scope, IntegrityFailure())


async def _record_withheld(request: Request, pointers: Sequence[str]) -> None:
    """Write the event of an answer from which something was withheld."""
    origin = Origin(ActorKind.ANONYMOUS, address=access.address_of(request), request_id=request_id_of(request.scope))
    details = {"operation": access.operation_of(request), "pointers": " ".join(pointers)[:1024]}
    event = Event(EventType.RESPONSE_WITHHELD, origin, "", (), Outcome.FAILURE, "pan_withheld", details)
    async with access.services_of(request).database.session() as session:
        await append(session, event)


def from_environment() -> FastAPI:
    """Make the application from `CARDVAULT_*`; what the server's processes call."""
    settings = load_settings(os.environ)
    configure(settings.log_format)
    return create_app(settings)
