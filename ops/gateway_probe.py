"""Looks whether the gateway can be reached, and whether it and a merchant know each other's keys.

It refuses to know where keys are kept. Invariant: nothing moves; what is asked for is a payment that never was.
"""

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from vault.gateway.client import GatewayClient
from vault.gateway.errors import NotSent, OutcomeUnknown, UnknownReason
from vault.gateway.limits import Deadline
from vault.gateway.operations import Operation
from vault.gateway.signing import GatewayCredentials
from vault.ids import Prefix, new_id

_PATIENCE: Final = 5.0
_ROTATE: Final = "cardvault merchants rotate-gateway-key"
_NEW_PUBLIC: Final = f"{_ROTATE} --gateway-public-key-file"
_NEW_PRIVATE: Final = f"{_ROTATE} --gateway-private-key-file, with the key whose public half the gateway has"
# antom-api.md 4: what the gateway answers to a request whose sender it does not believe.
_REFUSALS: Final = {
    "INVALID_CLIENT": ("the gateway does not know the client id", "make a merchant with the client id it gave"),
    "KEY_NOT_FOUND": ("the gateway has no key of the merchant's version", f"{_ROTATE} --key-version"),
    "INVALID_SIGNATURE": ("the merchant's private key is not the one the gateway knows", _NEW_PRIVATE),
}
_DISTRUSTED: Final = {
    UnknownReason.SIGNATURE_MISMATCH: ("the gateway's public key is another one", _NEW_PUBLIC),
    UnknownReason.SIGNATURE_UNKNOWN_KEY_VERSION: (
        "the gateway signs with a version of its key that is not known here",
        f"{_NEW_PUBLIC} and --gateway-key-version",
    ),
    UnknownReason.SIGNATURE_MISSING: (
        "the gateway does not sign its answer, as it does when it does not know the client id or its key",
        "compare the client id, the public keys and their versions with the gateway's console",
    ),
}
_HTTPS: Final = 443
_HTTP: Final = 80


@dataclass(frozen=True, slots=True)
class Distrust:
    """Why gateway and merchant do not understand each other, and what to do; `certain` unless it may pass by itself."""

    said: str
    advice: str
    certain: bool = True


async def why_distrusted(client: GatewayClient, credentials: GatewayCredentials) -> Distrust | None:
    """Ask the gateway about a payment that never was; None when both sides' signatures are good.

    A signed answer of any other content proves the client id, both keys and their versions (antom-api.md 1.3, 1.4).
    """
    body = {"paymentRequestId": new_id(Prefix.REQUEST)}
    try:
        answer = await client.call(credentials, Operation.INQUIRY_PAYMENT, body, Deadline.after(_PATIENCE))
    except NotSent as error:
        return Distrust(f"the gateway was not asked ({error.reason})", "look at the network", certain=False)
    except OutcomeUnknown as error:
        if error.reason in _DISTRUSTED:
            return Distrust(*_DISTRUSTED[error.reason])
        return Distrust(f"the gateway gave no answer to be trusted ({error.reason})", "try again", certain=False)
    result = answer.body.get("result")
    code = result.get("resultCode") if isinstance(result, dict) else None
    return Distrust(*_REFUSALS[code]) if code in _REFUSALS else None


async def why_unreachable(url: str, ca_file: Path | None) -> str | None:
    """Say why no connection to an address can be had, or None."""
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    try:
        context = ssl.create_default_context(cafile=ca_file) if secure else None
        async with asyncio.timeout(_PATIENCE):
            _, writer = await asyncio.open_connection(
                parts.hostname, parts.port or (_HTTPS if secure else _HTTP), ssl=context
            )
            writer.close()
            await writer.wait_closed()
    except ssl.SSLCertVerificationError:
        return "its certificate is not trusted"
    except ssl.SSLError:
        return "no TLS connection can be agreed on"
    except TimeoutError:
        return "it does not answer"
    except OSError:
        return "it cannot be reached"
    return None
