"""The AWS KMS seal: a key that AWS keeps wraps the root key; the answer to a call is all that is seen of it.

Refuses to know where wraps are stored, and aliases, which can be pointed elsewhere. Invariants: where the root key
belongs is the encryption context, so that AWS itself refuses a wrap that was moved; a disabled key, or a service that
does not answer within seconds, opens nothing. Credentials come from where AWS's tools look for them.
"""

from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from keys.envelope import Context
from keys.errors import CannotOpen, SealRefused, SealUnreachable
from keys.rootkey import key_material
from keys.sealed import KeyMaterial, Plaintext
from keys.seals.address import AwsKmsAddress
from keys.seals.seal import Seal

_CONNECT_SECONDS: Final = 3
_ANSWER_SECONDS: Final = 5
_ATTEMPTS: Final = 2
_FOREIGN: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_BUSY: Final = frozenset(
    {"ThrottlingException", "KMSInternalException", "DependencyTimeoutException", "KeyUnavailableException"}
)


class AwsKmsSeal(Seal):
    """A key of AWS KMS."""

    __slots__ = ("_arn", "_client")

    def __init__(self, address: AwsKmsAddress, client: Any) -> None:
        super().__init__(str(address))
        self._arn = address.arn
        self._client = client

    def _wrap(self, key: KeyMaterial, context: Context) -> bytes:
        answer = self._call("encrypt", context, Plaintext=key.reveal())
        return bytes(answer["CiphertextBlob"])

    def _unwrap(self, blob: bytes, context: Context) -> KeyMaterial:
        return key_material(Plaintext(bytes(self._call("decrypt", context, CiphertextBlob=blob)["Plaintext"])))

    def _call(self, operation: str, context: Context, **arguments: bytes) -> dict[str, Any]:
        call = getattr(self._client, operation)
        try:
            answer: dict[str, Any] = call(KeyId=self._arn, EncryptionContext=_bound_to(context), **arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", "unknown"))
        except BotoCoreError as error:
            raise SealUnreachable(f"AWS KMS cannot be used ({type(error).__name__}): {self.name}") from None
        else:
            return answer
        if code in _FOREIGN:
            raise CannotOpen
        if code in _BUSY:
            raise SealUnreachable(f"AWS KMS does not work now ({code}): {self.name}")
        raise SealRefused(f"AWS KMS refuses ({code}): {self.name}")


def load(address: AwsKmsAddress) -> AwsKmsSeal:
    """Make a client for the key; whether it works shows with the first wrap. SealUnreachable without a set-up."""
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_ANSWER_SECONDS,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
    )
    try:
        client = boto3.session.Session().client(
            "kms", region_name=address.region, endpoint_url=address.endpoint, config=config
        )
    except BotoCoreError as error:
        raise SealUnreachable(f"AWS KMS cannot be used ({type(error).__name__}): {address}") from None
    return AwsKmsSeal(address, client)


def _bound_to(context: Context) -> dict[str, str]:
    return {
        "product": "cardvault",
        "environment": context.environment,
        "rootKeyId": context.row_id,
        "version": context.field,
    }
