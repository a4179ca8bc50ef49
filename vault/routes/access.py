"""The door of every route: who may come in, and a record of who was turned away and of what was not understood.

It refuses to know what routes do. Invariants: a route without an `Access` or an entry in the list of open routes does
not exist (a test crosses them all); a refused request leaves an audit event, or is counted in one.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase

from vault import metrics
from vault.audit.events import ActorKind, Detail, Event, EventType, Origin, Outcome
from vault.auth import Caller, Place, Refused, Scope
from vault.denials import FAILURES
from vault.errors import CardDeleted, Forbidden, NotFound, VaultError
from vault.limit_errors import RateLimited
from vault.limiter import Spender, network_of
from vault.middleware import LIMIT_HEADERS
from vault.problems import request_id_of
from vault.rules.limits import OPERATIONS, Limit
from vault.services import Services

# What an id of ours in a path can be made of; anything else that is like one is simply not found.
OUR_ID: Final = r"^[!-~]+$"
# What an admitted caller is told about objects out of reach: each is on record as a denial.
UNREACHABLE: Final = (NotFound, CardDeleted, Forbidden)
_KNOWN: Final = "known"


def services_of(request: Request) -> Services:
    """Give the services of the application that serves this request."""
    services: Services = request.app.state.services
    return services


def address_of(request: Request) -> str:
    """Give the caller's address, as far as it is known."""
    return request.client.host if request.client else ""


def place_of(request: Request) -> Place:
    """Give where a call comes from; the certificate is the connection's own, never a header's."""
    return Place(address_of(request), request.scope["state"].get("client_certificate"))


def operation_of(request: Request) -> str:
    """Give the name of the operation, which is the name of the route's function; empty where there is no route."""
    return getattr(request.scope.get("route"), "name", "")


async def record_denial(request: Request, merchant_id: str, origin: Origin, reason: str) -> None:
    """Put a denied request on record."""
    details = {"operation": operation_of(request)}
    event = Event(EventType.ACCESS_DENIED, origin, merchant_id, (), Outcome.DENIED, reason, details)
    await services_of(request).denials.record(event)


async def record_refusal(request: Request, error: VaultError) -> None:
    """Put a request on record that was over a limit or not understood; it is answered whether or not that succeeds."""
    denials, merchant_id, origin = services_of(request).denials, *_known_of(request)
    details: dict[str, Detail] = {"operation": operation_of(request)}
    event = Event(EventType.REQUEST_MALFORMED, origin, merchant_id, (), Outcome.DENIED, error.code, details)
    if isinstance(error, RateLimited):
        client = (origin.actor_id,) if origin.actor_id else ()
        limit = {"limit": error.limit, "windows": " ".join(error.windows)}
        event = replace(event, type=EventType.LIMIT_REACHED, objects=client, details=details | limit)
    with suppress(*FAILURES):
        await denials.record(event)


def _known_of(request: Request) -> tuple[str, Origin]:
    """Give the merchant, and who asks, of a request that may not have come as far as its door."""
    address, request_id = address_of(request), request_id_of(request.scope)
    anonymous = "", Origin(ActorKind.ANONYMOUS, address=address, request_id=request_id)
    known: tuple[str, Origin] = request.scope["state"].get(_KNOWN, anonymous)
    return known


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
            request.headers.get("authorization"), self.scopes, place_of(request), request_id
        )
        request.scope["state"][_KNOWN] = outcome.merchant_id, outcome.origin
        if isinstance(outcome, Refused):
            stranger = Spender("", network_of(outcome.origin.address))
            await _spend(request, stranger, Limit.REFUSED)
            await record_denial(request, outcome.merchant_id, outcome.origin, outcome.reason)
            raise outcome.error
        spender = Spender(outcome.merchant_id, outcome.client_id, outcome.limits)
        await _spend(request, spender, OPERATIONS[operation_of(request)])
        return outcome


async def _spend(request: Request, spender: Spender, limit: Limit) -> None:
    """Take a slot of a limit and leave how it stands for the answer's headers; raises what refuses the request."""
    limiter = services_of(request).limiter
    if limiter is None:
        return
    standing = await limiter.take(spender, limit)
    request.scope["state"][LIMIT_HEADERS] = standing.headers
    if standing.refusal is not None:
        metrics.count_limited(limit.value)
        raise standing.refusal


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
AuditReader = Annotated[Caller, Depends(Access(Scope.AUDIT_READ), scope="function")]
