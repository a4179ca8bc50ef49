"""What the vault refuses about mandates and charges under them; a part of the tree that is drawn in `vault.errors`.

Refuses to know mandates. Invariants are those of the tree: no status is chosen where an error is raised, and every
code has a heading in `docs/problems.md`.
"""

from vault.errors import Conflict, RequestInvalid


class MandateEnded(Conflict):
    """The mandate was ended, by the merchant or with its card."""

    code, title = "mandate_ended", "The mandate has ended"


class MandateExpired(Conflict):
    """The mandate's window is over."""

    code, title = "mandate_expired", "The mandate has expired"


class MandateNotStarted(Conflict):
    """The mandate's window has not begun."""

    code, title = "mandate_not_started", "The mandate has not started yet"


class MandateBusy(Conflict):
    """An earlier charge of a scheduled mandate has no outcome yet."""

    code, title = "mandate_busy", "An earlier charge of the mandate is still open"
    retryable, default_retry_after = True, 5


class MandateInterval(Conflict):
    """The interval since the last charge that counts is shorter than the buyer agreed to."""

    code, title = "mandate_interval", "The mandate was charged too recently"


class MandateTypeMismatch(RequestInvalid):
    """The charge is of another type than the mandate."""

    code, title = "mandate_type_mismatch", "The mandate is of another type"


class MandateCurrencyMismatch(RequestInvalid):
    """The charge is in another currency than the mandate's limit."""

    code, title = "mandate_currency_mismatch", "The mandate is in another currency"


class MandateAmountExceeded(RequestInvalid):
    """The charge is above what the buyer agreed to."""

    code, title = "mandate_amount_exceeded", "The amount is above the mandate's limit"


class MandateRegionRefused(RequestInvalid):
    """Cards of this region cannot be charged while the buyer is absent (antom-api.md 5.2)."""

    code, title = "mandate_region_refused", "Cards of this region cannot be charged without the buyer"


class InitialPaymentUnsuitable(RequestInvalid):
    """The payment did not succeed, was made with another card, or without the buyer."""

    code, title = "initial_payment_unsuitable", "No mandate can rest on this payment"


class AuthenticationEvidenceMissing(RequestInvalid):
    """Nothing shows that the buyer authenticated for the card (controls.md SCA-2)."""

    code, title = "authentication_evidence_missing", "Nothing shows that the buyer authenticated"


class NetworkTransactionIdMissing(RequestInvalid):
    """The network gave no transaction id for the initial payment, also when asked again (controls.md COF-5)."""

    code, title = "network_transaction_id_missing", "The initial payment has no network transaction id"
