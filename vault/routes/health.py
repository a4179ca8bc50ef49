"""`/healthz`, `/readyz` and `/metrics`: yes or no to each part for everyone, figures for monitoring.

It refuses to know how the parts are examined and what is counted. Invariant: none of them tells a value.
"""

from fastapi import APIRouter, Request, Response

from vault.errors import NotFound
from vault.exposition import CONTENT_TYPE, exposition, may_ask
from vault.health import survey
from vault.routes.access import address_of, services_of
from vault.routes.shapes import View
from vault.strict_json import StrictRoute

router = APIRouter(tags=["health"], route_class=StrictRoute)


class Alive(View):
    """The process answers."""

    status: str = "ok"


class Ready(View):
    """What works; `loops` are the workers', and do not make a server any less ready."""

    ready: bool
    database: bool
    keys: bool
    audit: bool
    clock: bool
    loops: dict[str, str]


@router.get("/healthz")
async def healthz() -> Alive:
    """Say that the process answers."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Ready, "description": "Something does not work"}})
async def readyz(request: Request, response: Response) -> Ready:
    """Say whether database, keys, audit insertion and clock work, and how the workers' loops do."""
    services = services_of(request)
    health, working = await survey(services.database, services.keyring)
    response.status_code = 200 if health.ready else 503
    return Ready(ready=health.ready, loops=working, **health.parts)


@router.get("/metrics", include_in_schema=False)
async def metrics(request: Request) -> Response:
    """Give the figures, to monitoring alone; for everybody else there is nothing here."""
    services = services_of(request)
    if not may_ask(services.settings, address_of(request), dict(request.headers.raw)):
        raise NotFound
    return Response(await exposition(services), media_type=CONTENT_TYPE)
