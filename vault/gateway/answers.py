"""When an answer of the gateway is believed.

Pure; refuses to know sockets and what an answer means. Invariant: the verified body is returned only if every step
holds, and each step that does not has a reason of its own. Nothing that the answer says about itself is trusted:
method, path and client id come from the request.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vault.gateway.errors import OutcomeUnknown, SignatureInvalid, UnknownReason
from vault.gateway.json_text import json_object
from vault.gateway.signing import GatewayCredentials, string_to_sign, verify

HEADER_NAMES: Final = ("client-id", "response-time", "signature")


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back with status 200, unbelieved; a header of HEADER_NAMES that is absent or not single is None."""

    headers: Mapping[str, str | None]
    raw: bytes = field(repr=False)


def verified(credentials: GatewayCredentials, method: str, path: str, reply: Reply) -> dict[str, Any]:
    """Return the parsed body of the reply to `method` and `path` (`antom-api.md` 1.4); raises OutcomeUnknown."""
    # 1. It is addressed to us. The configured id goes into the signed string, never the echoed one.
    if reply.headers["client-id"] != credentials.client_id:
        raise OutcomeUnknown(UnknownReason.CLIENT_ID_MISMATCH)
    # 2. It is dated.
    answered_at = reply.headers["response-time"]
    if not answered_at:
        raise OutcomeUnknown(UnknownReason.RESPONSE_TIME_MISSING)
    # 3. It is signed, for the request's own method and path.
    try:
        message = string_to_sign(method, path, client_id=credentials.client_id, time=answered_at, body=reply.raw)
        verify(credentials.public_keys, reply.headers["signature"], message)
    except SignatureInvalid as invalid:
        raise OutcomeUnknown(invalid.as_unknown) from None
    # 4. It is one JSON object.
    body = json_object(reply.raw)
    if body is None:
        raise OutcomeUnknown(UnknownReason.NOT_A_JSON_OBJECT)
    return body
