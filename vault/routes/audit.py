"""`/v1/audit` over HTTP: a merchant's own events, the newest checkpoint, proofs.

It refuses to decide anything: requests in, services, views out.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import PlainTextResponse

from vault.auditing.reading import Behind
from vault.routes.access import OUR_ID, AuditReader, services_of
from vault.routes.audit_views import AuditEventView, AuditPage, CheckpointView
from vault.store.audit_view import LogFilter
from vault.strict_json import StrictRoute
from vault.wire.audit import AuditQuery

router = APIRouter(prefix="/v1/audit", tags=["audit"], route_class=StrictRoute)

AuditEventId = Annotated[str, Path(alias="auditEventId", max_length=64, pattern=OUR_ID)]
_LIST: Final = "audit_log"


@router.get("/events")
async def list_audit_events(request: Request, caller: AuditReader, wanted: Annotated[AuditQuery, Query()]) -> AuditPage:
    """Show what was done with the merchant's objects, by whom, as far as it is signed; oldest first."""
    services = services_of(request)
    page = await services.cursors.page(caller.merchant_id, _LIST, wanted.cursor, wanted.limit)
    chosen = LogFilter(wanted.type, wanted.outcome, wanted.object_id, wanted.created_from, wanted.created_to)
    after = Behind(*map(int, page.before[1].split("."))) if page.before else Behind()
    found = await services.audit_reading.listed(caller, chosen, after, page.limit)
    further = None
    if found.entries:
        last = found.entries[-1]
        further = await services.cursors.make(caller.merchant_id, _LIST, last.at, f"{found.epoch}.{last.place}")
    return AuditPage(events=[AuditEventView.of(found.epoch, each) for each in found.entries], next_cursor=further)


@router.get("/checkpoint")
async def get_audit_checkpoint(request: Request, _caller: AuditReader) -> CheckpointView:
    """Show the newest signed checkpoint of the whole log; keep it to prove later that nothing before it was changed."""
    return CheckpointView.of(await services_of(request).audit_reading.checkpoint())


@router.get("/proofs/{auditEventId}", response_class=PlainTextResponse)
async def get_audit_proof(request: Request, event_id: AuditEventId, caller: AuditReader) -> PlainTextResponse:
    """Give the proof that an event is in the log (c2sp.org/tlog-proof), with the entry as its extra data."""
    return PlainTextResponse(await services_of(request).audit_reading.proof(caller, event_id))
