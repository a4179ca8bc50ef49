"""`/healthz` and `/readyz`: open to everyone, and telling nothing but yes or no to each part.

It refuses to know how the parts are examined.
"""

from fastapi import APIRouter, Request, Response

from vault.health import examine
from vault.routes.access import services_of
from vault.routes.shapes import View
from vault.strict_json import StrictRoute

router = APIRouter(tags=["health"], route_class=StrictRoute)


class Alive(View):
    """The process answers."""

    status: str = "ok"


class Ready(View):
    """What works."""

    ready: bool
    database: bool
    keys: bool
    audit: bool


@router.get("/healthz")
async def healthz() -> Alive:
    """Say that the process answers."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Ready, "description": "Something does not work"}})
async def readyz(request: Request, response: Response) -> Ready:
    """Say whether database, keys and audit insertion work."""
    services = services_of(request)
    health = await examine(services.database, services.keyring)
    response.status_code = 200 if health.ready else 503
    return Ready(ready=health.ready, database=health.database, keys=health.keys, audit=health.audit)
