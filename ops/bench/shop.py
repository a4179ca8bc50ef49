"""What the load is made with: one merchant's API key, its cards, its keys for the gateway; and the signed call itself.

It refuses to know servers. Invariants: the card numbers are made up; the value travels between our processes on pipes
and in files of their owner alone, never on a command line.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import orjson

from ops.playground_folder import write_private
from vault.directory import GatewayKeys
from vault.gateway.answers import HEADER_NAMES, Reply, verified
from vault.gateway.operations import Operation, wire_path
from vault.gateway.signing import sign, string_to_sign

_METHOD: Final = "POST"
KEY_VERSION: Final = "1"


@dataclass(frozen=True, slots=True)
class Shop:
    """A merchant of the installation that is measured; byte strings are hexadecimal.

    `cards` can be paid with, `envelope`, `event` and the key ids are those of one stored card, `pay_body` is what the
    vault sent to the gateway for one payment.
    """

    api_key: str = field(repr=False)
    merchant_id: str
    client_id: str
    private_key: str = field(repr=False)
    gateway_public_key: str
    gateway_url: str
    cards: tuple[str, ...]
    envelope: str
    key_id: str
    fingerprint_key_id: str
    event: str
    pay_body: dict[str, Any] = field(repr=False)

    @classmethod
    def read(cls, text: str | bytes) -> Self:
        """Read what `text` wrote."""
        return cls(**orjson.loads(text))

    @property
    def text(self) -> str:
        """Write it for another process; it holds secrets."""
        return orjson.dumps(asdict(self)).decode()

    def keep(self, path: Path) -> None:
        """Write it to a file for another process."""
        write_private(path, self.text)


class GatewayCall:
    """The `pay` call with everything that the gateway demands, and nothing that the vault does beside it."""

    def __init__(self, shop: Shop) -> None:
        keys = GatewayKeys(shop.private_key, KEY_VERSION, {KEY_VERSION: shop.gateway_public_key})
        self._credentials = keys.credentials(shop.client_id)
        self._body = shop.pay_body
        self.path = wire_path(Operation.PAY, client_id=shop.client_id)

    def body(self, request_id: str) -> bytes:
        """Give the body that the vault would send under a request id."""
        return orjson.dumps({**self._body, "paymentRequestId": request_id})

    def headers(self, body: bytes) -> dict[str, str]:
        """Sign a body."""
        now = str(time.time_ns() // 1_000_000)
        message = string_to_sign(_METHOD, self.path, client_id=self._credentials.client_id, time=now, body=body)
        return {
            "client-id": self._credentials.client_id,
            "Request-Time": now,
            "Content-Type": "application/json; charset=UTF-8",
            "Signature": sign(self._credentials.private_key, self._credentials.key_version, message),
        }

    def check(self, headers: Mapping[str, str], body: bytes) -> None:
        """Check that an answer is the gateway's; names of headers are in lower case. Raises `OutcomeUnknown`."""
        verified(self._credentials, _METHOD, self.path, Reply({name: headers.get(name) for name in HEADER_NAMES}, body))
