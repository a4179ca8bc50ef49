"""`/v1/vaulting-sessions` and `/v1/vaultings`: cards that are stored without a payment, over HTTP.

It refuses to decide anything: requests in, services, views out. What stores a card that was typed at the merchant's is
`POST /v1/cards`.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from vault.routes.access import CardsReader, CardsWriter, services_of
from vault.routes.vaulting_views import VaultingSessionView, VaultingView
from vault.strict_json import StrictRoute
from vault.wire.fields import MERCHANTS_ID
from vault.wire.vaultings import VaultingSessionRequest

router = APIRouter(prefix="/v1", tags=["cards"], route_class=StrictRoute)

RequestId = Annotated[str, Path(alias="vaultingRequestId", max_length=64, pattern=MERCHANTS_ID)]
OPEN: dict[int | str, dict[str, Any]] = {
    202: {"model": VaultingSessionView, "description": "The outcome is still open"}
}


@router.post("/vaulting-sessions", status_code=201, responses=OPEN)
async def open_vaulting_session(
    request: Request, response: Response, body: VaultingSessionRequest, caller: CardsWriter
) -> VaultingSessionView:
    """Open a session in which the buyer types a card that is stored at the gateway."""
    begun = await services_of(request).vaultings.open_session(caller, body, request.state.parsed_body)
    response.status_code = 201 if begun.session is not None or begun.vaulting.status.final else 202
    response.headers["Location"] = f"/v1/vaultings/{begun.vaulting.request_id}"
    if begun.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    shown = VaultingView.of(begun.vaulting, begun.card)
    return VaultingSessionView.model_validate({**dict(shown), **(begun.session or {})})


@router.get("/vaultings/{vaultingRequestId}")
async def get_vaulting(request: Request, request_id: RequestId, caller: CardsReader) -> VaultingView:
    """Show how far the storing of a card has come."""
    begun = await services_of(request).vaultings.get(caller, request_id)
    return VaultingView.of(begun.vaulting, begun.card)
