"""`/v1/gateway/notifications/{merchantId}`: where the gateway tells what became of payments (antom-api.md 1.7).

It refuses to decide anything. Invariant: the fixed acknowledgement goes out only after the commit.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from vault.notifications import Message
from vault.problems import request_id_of
from vault.routes.access import OUR_ID, address_of, services_of
from vault.strict_json import StrictRoute

router = APIRouter(prefix="/v1/gateway", tags=["gateway"], route_class=StrictRoute)

# The body is read as bytes, because the signature is over bytes.
_SIGNED: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}}
        for name in ("Client-Id", "Request-Time", "Signature")
    ],
    "requestBody": {
        "description": "A notification as the gateway signed it.",
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    },
}
ACKNOWLEDGEMENT = {"result": {"resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success"}}


@router.post("/notifications/{merchantId}", openapi_extra=_SIGNED)
async def receive_notification(
    request: Request, merchant_id: Annotated[str, Path(alias="merchantId", max_length=64, pattern=OUR_ID)]
) -> dict[str, Any]:
    """Record a signed notification of the gateway and acknowledge it."""
    message = Message(
        client_id=request.headers.get("client-id"),
        time=request.headers.get("request-time"),
        signature=request.headers.get("signature"),
        body=await request.body(),
        address=address_of(request),
        request_id=request_id_of(request.scope),
    )
    await services_of(request).notifications.receive(merchant_id, message)
    return ACKNOWLEDGEMENT
