"""The door of every route: who may come in, and a record of who was turned away.

It refuses to know what routes do. Invariants: a route without an `Access` or an entry in the list of open routes does
not exist (a test crosses them all); a denied request leaves an audit event in a transaction of its own.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from vault.audit.events import Event, EventType, Origin, Outcome
from vault.auth import Caller, Refused, Scope
from vault.errors import CardDeleted, Forbidden, NotFound
from vault.problems import request_id_of
from vault.services import Services
from vault.store import audit

# What an id of ours in a path can be made of; anything else that is like one is simply not found.
OUR_ID: Final = r"^[!-~]+$"
# What an admitted caller is told about objects out of reach: each is on record as a denial.
UNREACHABLE: Final = (NotFound, CardDeleted, Forbidden)


def services_of(request: Request) -> Services:
    """Give the services of the application that serves this request."""
    services: Services = request.app.state.services
    return services


def address_of(request: Request) -> str:
    """Give the caller's address, as far as it is known."""
    return request.client.host if request.client else ""


def operation_of(request: Request) -> str:
    """Give the name of the operation, which is the name of the route's function."""
    return str(request.scope["route"].name)


async def record_denial(request: Request, merchant_id: str, origin: Origin, reason: str) -> None:
    """Write the event of a denied request."""
    details = {"operation": operation_of(request)}
    event = Event(EventType.ACCESS_DENIED, origin, merchant_id, (), Outcome.DENIED, reason, details)
    async with services_of(request).database.session() as session:
        await audit.append(session, event)


class Access(SecurityBase):
    """A dependency that admits API clients with all of the given scopes."""

    def __init__(self, *scopes: Scope) -> None:
        self.scopes = frozenset(scopes)
        self.model: Any = HTTPBearer(description="An API key: `Authorization: Bearer cv_…`")
        self.scheme_name = "ApiKey"

    async def __call__(self, request: Request) -> AsyncIterator[Caller]:
        """Admit the caller; an object that is not the caller's counts as an attempt to get at it."""
        caller = await self.admit(request)
        try:
            yield caller
        except UNREACHABLE as error:
            await record_denial(request, caller.merchant_id, caller.origin, error.code)
            raise

    async def admit(self, request: Request) -> Caller:
        """Give the caller, or record the denial and raise it."""
        request_id = request_id_of(request.scope)
        outcome = await services_of(request).authenticator.admit(
            request.headers.get("authorization"), self.scopes, address_of(request), request_id
        )
        if isinstance(outcome, Refused):
            await record_denial(request, outcome.merchant_id, outcome.origin, outcome.reason)
            raise outcome.error
        return outcome


CardsReader = Annotated[Caller, Depends(Access(Scope.CARDS_READ), scope="function")]
CardsWriter = Annotated[Caller, Depends(Access(Scope.CARDS_WRITE), scope="function")]
PaymentsReader = Annotated[Caller, Depends(Access(Scope.PAYMENTS_READ), scope="function")]
PaymentsWriter = Annotated[Caller, Depends(Access(Scope.PAYMENTS_WRITE), scope="function")]
Refunder = Annotated[Caller, Depends(Access(Scope.REFUNDS_WRITE), scope="function")]
MandatesReader = Annotated[Caller, Depends(Access(Scope.MANDATES_READ), scope="function")]
MandatesWriter = Annotated[Caller, Depends(Access(Scope.MANDATES_WRITE), scope="function")]
Charger = Annotated[Caller, Depends(Access(Scope.MIT_WRITE), scope="function")]
WebhooksWriter = Annotated[Caller, Depends(Access(Scope.WEBHOOKS_WRITE), scope="function")]
EventsReader = Annotated[Caller, Depends(Access(Scope.EVENTS_READ), scope="function")]
