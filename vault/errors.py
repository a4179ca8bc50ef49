"""Everything the vault refuses a caller with: one class for each code, each with its status, title and retry advice.

Refuses to know HTTP frameworks, requests and submitted values: a detail is a literal text of the class or of the raise.
Invariant: no status is chosen where an error is raised, and every code has a heading in `docs/problems.md`.

    VaultError
    ├── MalformedRequest 400 ── InvalidJson
    ├── Unauthenticated 401    NotificationInvalid 401
    ├── Forbidden 403 ── in vault.access_errors: AddressNotAllowed, CertificateNotAllowed, MerchantDisabled
    ├── NotFound 404    MethodNotAllowed 405
    ├── Conflict 409 ── IdempotencyConflict, InProgress, CardExpired, CardDisabled, ExpiryAtGateway; in
    │                   vault.mandate_errors: MandateEnded, MandateExpired, MandateNotStarted, MandateBusy,
    │                   MandateInterval; in vault.movement_errors: PaymentNotCancellable, AlreadyCaptured,
    │                   PaymentNotCapturable, CaptureAutomatic, CapturePending, CancellationPending,
    │                   AuthorisationExpired, PaymentNotRefundable, NotCaptured; in vault.retry_errors: RetryLimit; in
    │                   vault.asking_errors: CardNotAtGateway; in vault.vaulting_errors: CardPending; in
    │                   vault.webhook_errors: TooManyEndpoints, EndpointDisabled
    ├── CardDeleted 410    PayloadTooLarge 413    UnsupportedMediaType 415
    ├── RequestInvalid 422 ── PanInFreeText, CvvNotStorable, BuyerMismatch, CardNumberRefused;
    │   in vault.mandate_errors: MandateTypeMismatch, MandateCurrencyMismatch, MandateAmountExceeded,
    │   MandateRegionRefused, InitialPaymentUnsuitable, AuthenticationEvidenceMissing, NetworkTransactionIdMissing;
    │   in vault.asking_errors: RegionExcluded, CardDataRequired, SessionMandateRefused, InstallmentsNotOffered; in
    │   vault.movement_errors: CurrencyMismatch, CaptureAmountExceeded, FullCaptureRequired, RefundAmountExceeded; in
    │   vault.vaulting_errors: VaultingFailed, InitialVaultingUnsuitable; in vault.webhook_errors: WebhookUrlRefused
    ├── InternalError 500 ── IntegrityFailure
    ├── TooManyRequests 429, in vault.limit_errors ── RateLimited, CardTestingSuspected
    └── Unavailable 503 ── DatabaseUnavailable, KeysUnavailable, DeadlineExceeded, Overloaded, LimitsUnavailable; in
        vault.asking_errors: GatewayUnavailable
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, LiteralString


class FieldCode(StrEnum):
    """What is wrong with one field; the closed set that a 422 answer may name."""

    MISSING = "missing"
    UNKNOWN_FIELD = "unknown_field"
    INVALID_TYPE = "invalid_type"
    INVALID_VALUE = "invalid_value"
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    AMOUNT_INVALID = "amount_invalid"
    CURRENCY_INVALID = "currency_invalid"
    CARD_NUMBER_INVALID = "card_number_invalid"
    CARD_NUMBER_REFUSED = "card_number_refused"
    CVV_INVALID = "cvv_invalid"
    CVV_NOT_STORABLE = "cvv_not_storable"
    PIN_DIGITS_INVALID = "pin_digits_invalid"
    EXPIRY_INVALID = "expiry_invalid"
    EXPIRY_INCOMPLETE = "expiry_incomplete"
    PAN_IN_FREE_TEXT = "pan_in_free_text"
    GATEWAY_STORAGE_ONLY = "gateway_storage_only"
    BUYER_REQUIRED = "buyer_required"
    BUYER_MISMATCH = "buyer_mismatch"
    BUYER_ABSENT = "buyer_absent"
    MANDATE_SOURCE = "mandate_source"
    CARD_DATA_REQUIRED = "card_data_required"
    CONTRADICTORY = "contradictory"
    INSTALLMENTS_NOT_OFFERED = "installments_not_offered"
    REGION_EXCLUDED = "region_excluded"


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One refused field: where it is (RFC 6901 pointer made of field names of ours) and what is wrong with it.

    `meaning` says it to people where the code does not say enough.
    """

    pointer: str
    code: FieldCode
    meaning: str | None = field(default=None, compare=False)


class VaultError(Exception):
    """The root, raised only as one of its subclasses; `retryable`: the identical request may be sent again."""

    status: ClassVar[int]
    code: ClassVar[str]
    title: ClassVar[str]
    retryable: ClassVar[bool] = False
    default_retry_after: ClassVar[int | None] = None
    headers: ClassVar[Mapping[str, str]] = MappingProxyType({})

    def __init__(
        self,
        detail: LiteralString | None = None,
        *,
        errors: Sequence[FieldProblem] = (),
        retry_after: int | None = None,
        allow: Sequence[str] = (),
    ) -> None:
        """Take a static detail, the refused fields, seconds to wait, and the methods that a 405 has to name."""
        super().__init__(self.code)
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after = self.default_retry_after if retry_after is None else retry_after
        self.allow = tuple(allow)

    @property
    def members(self) -> Mapping[str, object]:
        """Give what the problem document says beyond the usual, which is never a submitted value."""
        return {}


class MalformedRequest(VaultError):
    """The request cannot be read at all."""

    status, code, title = 400, "malformed_request", "The request cannot be read"


class InvalidJson(MalformedRequest):
    """The body is not the strict JSON that the vault takes."""

    code, title = "invalid_json", "The body is not acceptable JSON"


class Unauthenticated(VaultError):
    """No API key, or one that is unknown, expired or revoked; which of these is not said."""

    status, code, title = 401, "unauthenticated", "A valid API key is needed"
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class NotificationInvalid(VaultError):
    """A message that claims to come from the gateway does not verify."""

    status, code, title = 401, "notification_invalid", "The notification does not verify"
    headers = MappingProxyType({"WWW-Authenticate": "Signature"})


class Forbidden(VaultError):
    """The API key lacks the scope that the operation needs."""

    status, code, title = 403, "forbidden", "The API key does not allow this"


class NotFound(VaultError):
    """No such path or object, or an object of another merchant; the two are not told apart."""

    status, code, title = 404, "not_found", "There is no such path, or no such object of this merchant"


class MethodNotAllowed(VaultError):
    """The path exists, the method does not."""

    status, code, title = 405, "method_not_allowed", "The method is not available here"


class Conflict(VaultError):
    """The object is in a state that does not allow the operation."""

    status, code, title = 409, "conflict", "The present state does not allow this"


class IdempotencyConflict(Conflict):
    """Another request has been made under the same request id."""

    code, title = "idempotency_conflict", "The request id was used for another request"


class InProgress(Conflict):
    """The first request under this id is still being sent."""

    code, title = "in_progress", "The first request under this id is still running"
    retryable, default_retry_after = True, 1


class CardExpired(Conflict):
    """The card's expiry has passed."""

    code, title = "card_expired", "The card has expired"


class CardDisabled(Conflict):
    """A hard decline has disabled the card."""

    code, title = "card_disabled", "The card is disabled"


class ExpiryAtGateway(Conflict):
    """The gateway holds this card and cannot update its expiry."""

    code, title = "expiry_at_gateway", "The expiry is held by the gateway and cannot be changed"


class CardDeleted(VaultError):
    """The card has been deleted, which is final."""

    status, code, title = 410, "card_deleted", "The card has been deleted"


class PayloadTooLarge(VaultError):
    """The body is longer than the vault reads; the connection is closed instead of reading on."""

    status, code, title = 413, "payload_too_large", "The body is too long"
    headers = MappingProxyType({"Connection": "close"})


class UnsupportedMediaType(VaultError):
    """A body came as something else than `application/json`."""

    status, code, title = 415, "unsupported_media_type", "The body has to be application/json"


class RequestInvalid(VaultError):
    """The body is JSON, but one or more fields are not acceptable."""

    status, code, title = 422, "request_invalid", "Some fields are not acceptable"


class PanInFreeText(RequestInvalid):
    """A free-text field contains a card number."""

    code, title = "pan_in_free_text", "A text field contains a card number"


class CvvNotStorable(RequestInvalid):
    """A CVV came along where nothing is authorised with it (PCI DSS 3.3.1, controls SAD-1 and SAD-5)."""

    code, title = "cvv_not_storable", "A CVV cannot be stored"


class BuyerMismatch(RequestInvalid):
    """The card belongs to another buyer than the one that the order names."""

    code, title = "buyer_mismatch", "The card belongs to another buyer"


class CardNumberRefused(RequestInvalid):
    """The installation's card policy does not take this number."""

    code, title = "card_number_refused", "Card numbers of this kind are not accepted here"


class InternalError(VaultError):
    """A fault of the vault; the log has its type and place."""

    status, code, title = 500, "internal_error", "The vault failed"


class IntegrityFailure(InternalError):
    """Something stored no longer opens or verifies; nothing more is said to the caller."""

    code, title = "integrity_failure", "Stored data failed verification"


class Unavailable(VaultError):
    """The group of passing failures; raised only as one of its subclasses."""

    status, retryable, default_retry_after = 503, True, 5


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached or refuses work."""

    code, title = "database_unavailable", "The database is not available"


class KeysUnavailable(Unavailable):
    """The keys that the operation needs are not available."""

    code, title = "keys_unavailable", "The keys are not available"


class DeadlineExceeded(Unavailable):
    """The request took longer than the vault lets a request take; its outcome may have been recorded."""

    code, title = "deadline_exceeded", "The request took too long"


class Overloaded(Unavailable):
    """The vault works at its limit, or others keep changing the same thing; the identical request may be sent again."""

    code, title, default_retry_after = "overloaded", "The vault is busy", 1


class LimitsUnavailable(Unavailable):
    """Nobody can count requests at this moment, and what was asked for is not done uncounted."""

    code, title = "limits_unavailable", "Requests cannot be counted"
