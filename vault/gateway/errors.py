"""What can go wrong with the gateway, and what it says about the money.

    Exception
    ├── GatewayError               no answer that can be trusted
    │   ├── NotSent                certain: the gateway never had a whole request
    │   └── OutcomeUnknown         everything else: only an inquiry can tell
    ├── SignatureInvalid           a message is not signed as it must be
    └── ValueError
        ├── KeyFormatInvalid       an RSA key that cannot be read or is too weak
        └── CredentialsInvalid     a merchant's gateway credentials make no sense

Refuses to know the HTTP library, URLs and bodies. Invariant: an error holds members of closed sets, never data.
"""

from enum import StrEnum


class NotSentReason(StrEnum):
    """Why a request stayed here."""

    DEADLINE_PASSED = "deadline_passed"
    NOT_ENCODABLE = "not_encodable"
    NAME_NOT_RESOLVED = "name_not_resolved"
    CONNECT_FAILED = "connect_failed"
    CONNECT_TIMEOUT = "connect_timeout"
    TLS_FAILED = "tls_failed"
    CONNECTION_LOST = "connection_lost"


class SignatureFault(StrEnum):
    """What is wrong with a signature header (`antom-api.md` 1.2, 1.4)."""

    MISSING = "missing"
    MALFORMED = "malformed"
    EMPTY = "empty"
    NOT_ENCODED = "not_encoded"
    WRONG_ALGORITHM = "wrong_algorithm"
    UNKNOWN_KEY_VERSION = "unknown_key_version"
    MISMATCH = "mismatch"


class UnknownReason(StrEnum):
    """Why the outcome of a sent request is open; each signature fault has its own member."""

    TIMEOUT = "timeout"
    CONNECTION_LOST = "connection_lost"
    HTTP_MALFORMED = "http_malformed"
    HTTP_STATUS = "http_status"
    ANSWER_INCOMPLETE = "answer_incomplete"
    ANSWER_TOO_LARGE = "answer_too_large"
    CLIENT_ID_MISMATCH = "client_id_mismatch"
    RESPONSE_TIME_MISSING = "response_time_missing"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_MALFORMED = "signature_malformed"
    SIGNATURE_EMPTY = "signature_empty"
    SIGNATURE_NOT_ENCODED = "signature_not_encoded"
    SIGNATURE_WRONG_ALGORITHM = "signature_wrong_algorithm"
    SIGNATURE_UNKNOWN_KEY_VERSION = "signature_unknown_key_version"
    SIGNATURE_MISMATCH = "signature_mismatch"
    NOT_A_JSON_OBJECT = "not_a_json_object"


class GatewayError(Exception):
    """A call ended without an answer that can be trusted."""

    def __init__(self, reason: NotSentReason | UnknownReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class NotSent(GatewayError):
    """Nothing that the gateway could act on left this process; another attempt is safe."""

    reason: NotSentReason

    def __init__(self, reason: NotSentReason) -> None:
        super().__init__(reason)


class OutcomeUnknown(GatewayError):
    """The gateway may have acted: only an inquiry can tell. `status` is the HTTP status where it is the reason."""

    reason: UnknownReason

    def __init__(self, reason: UnknownReason, *, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class SignatureInvalid(Exception):
    """A message carries no signature, or one that does not prove its origin."""

    def __init__(self, fault: SignatureFault) -> None:
        super().__init__(fault.value)
        self.fault = fault

    @property
    def as_unknown(self) -> UnknownReason:
        """Name this fault as the reason of an unknown outcome."""
        return UnknownReason(f"signature_{self.fault}")


class KeyFormatInvalid(ValueError):
    """A key text is not the RSA key that is asked for; the message helps and quotes nothing."""


class CredentialsInvalid(ValueError):
    """A client id or a key version has an impossible form; the message quotes nothing."""
