"""The AWS KMS seal: a key that AWS keeps wraps the root key; the answer to a call is all that is seen of it.

Refuses to know where wraps are stored, and aliases, which can be pointed elsewhere. Invariants: where the root key
belongs is the encryption context, so that AWS itself refuses a wrap that was moved; a disabled key, or a service that
does not answer within seconds, opens nothing; calls go to the region's endpoint or the one that is named, whatever
AWS's own settings say, and to allowed networks. Credentials come from where AWS's tools look for them.
"""

import socket
from datetime import datetime
from functools import partial
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from keys.envelope import Context
from keys.errors import CannotOpen, SealKeyMissing, SealRefused, SealUnreachable
from keys.rootkey import key_material
from keys.sealed import KeyMaterial, Plaintext
from keys.seals.address import AwsKmsAddress
from keys.seals.seal import Seal

_CONNECT_SECONDS: Final = 3
_ANSWER_SECONDS: Final = 5
_ATTEMPTS: Final = 2
_SHORTEST_DAYS: Final = 7
_DYING: Final = "PendingDeletion"
_MISSING: Final = "NotFoundException"
_FOREIGN: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_BUSY: Final = frozenset(
    {"ThrottlingException", "KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException"}
)


class AwsKmsSeal(Seal):
    """A key of AWS KMS."""

    __slots__ = ("_key",)

    def __init__(self, address: AwsKmsAddress, client: Any) -> None:
        super().__init__(str(address))
        self._key = _Key(address, client)

    def _wrap(self, key: KeyMaterial, context: Context) -> bytes:
        answer = self._key.call("encrypt", EncryptionContext=_bound_to(context), Plaintext=key.reveal())
        return bytes(answer["CiphertextBlob"])

    def _unwrap(self, blob: bytes, context: Context) -> KeyMaterial:
        answer = self._key.call("decrypt", EncryptionContext=_bound_to(context), CiphertextBlob=blob)
        return key_material(Plaintext(bytes(answer["Plaintext"])))


class _Key:
    """Calls about one key."""

    __slots__ = ("_address", "_client")

    def __init__(self, address: AwsKmsAddress, client: Any) -> None:
        self._address = address
        self._client = client

    def call(self, operation: str, **arguments: object) -> dict[str, Any]:
        """Return the answer; CannotOpen, SealUnreachable, SealKeyMissing or SealRefused."""
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(KeyId=self._address.arn, **arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
        except BotoCoreError as error:
            raise SealUnreachable(f"AWS KMS cannot be used ({type(error).__name__}): {self._address}") from None
        else:
            return answer
        if code in _FOREIGN:
            raise CannotOpen
        if code in _BUSY:
            raise SealUnreachable(f"AWS KMS does not work now ({code}): {self._address}")
        if code == _MISSING:
            raise SealKeyMissing(f"AWS KMS has no such key: {self._address}")
        raise SealRefused(f"AWS KMS refuses ({code}): {self._address}")


def destroy(address: AwsKmsAddress) -> datetime | None:
    """Have the key deleted after the shortest time that AWS allows, and return when that is; None: it is gone.

    A deletion that was asked for before stays as it is. SealUnreachable or SealRefused.
    """
    key = _Key(address, _client(address))
    try:
        described = key.call("describe_key")["KeyMetadata"]
        if described["KeyState"] != _DYING:
            described = key.call("schedule_key_deletion", PendingWindowInDays=_SHORTEST_DAYS)
    except SealKeyMissing:
        return None
    due: datetime = described["DeletionDate"]
    return due


def load(address: AwsKmsAddress) -> AwsKmsSeal:
    """Make a client for the key; whether it works shows with the first wrap. SealUnreachable without a set-up."""
    return AwsKmsSeal(address, _client(address))


def _client(address: AwsKmsAddress) -> Any:
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_ANSWER_SECONDS,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        ignore_configured_endpoint_urls=True,
        # Through a proxy it would be the proxy's address that counts.
        **({"proxies": {}} if address.networks else {}),
    )
    try:
        client = boto3.session.Session().client(
            "kms", region_name=address.region, endpoint_url=address.endpoint, config=config
        )
    except BotoCoreError as error:
        raise SealUnreachable(f"AWS KMS cannot be used ({type(error).__name__}): {address}") from None
    if address.networks:
        client.meta.events.register("before-send.kms", partial(_stay_within, address))
    return client


def _stay_within(address: AwsKmsAddress, request: Any, **_: object) -> None:
    """Refuse a call to a host with an address outside of the networks; that it is the right host, TLS sees to."""
    target = urlsplit(request.url)
    try:
        found = socket.getaddrinfo(target.hostname, target.port, type=socket.SOCK_STREAM)
    except OSError:
        raise SealUnreachable(f"the name of AWS KMS leads nowhere: {address}") from None
    places = [ip_address(place[0]) for *_, place in found]
    if not all(any(place in network for network in address.networks) for place in places):
        raise SealRefused(f"AWS KMS is outside of the networks that it may be in: {address}")


def _bound_to(context: Context) -> dict[str, str]:
    return {
        "product": "cardvault",
        "environment": context.environment,
        "rootKeyId": context.row_id,
        "version": context.field,
    }
