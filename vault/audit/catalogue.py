"""The catalogue of audit events: what each type tells, which requirement asks for it, which details it may carry.

It refuses to know who writes events and what becomes of them. Invariants: every type has an entry (a test crosses
them); a detail that its type does not list, or of another kind than `details` says, is never written. Source:
audit-log.md 3.10 B, controls.md AUD-1, AUD-2, EXP-2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final

from vault.audit.details import FIELDS
from vault.audit.events import Event, EventType


class Requirement(StrEnum):
    """What PCI DSS wants logged; the value is the number of the requirement."""

    CARDHOLDER_DATA = "10.2.1.1"
    ADMINISTRATION = "10.2.1.2"
    AUDIT_LOG = "10.2.1.3"
    INVALID_ACCESS = "10.2.1.4"
    CREDENTIALS = "10.2.1.5"
    LOGGING = "10.2.1.6"
    SYSTEM_OBJECTS = "10.2.1.7"


class Activity(Enum):
    """What an event is in OCSF 1.8.0: class, activity and the activity's name."""

    API_CREATE = (6003, 1, "Create")
    API_UPDATE = (6003, 3, "Update")
    API_DELETE = (6003, 4, "Delete")
    API_REFUSED = (6003, 99, "Refused")
    DATA_READ = (6005, 1, "Read")
    DATA_DELETE = (6005, 7, "Delete")
    DATA_ENCRYPT = (6005, 9, "Encrypt")
    ACCOUNT_CREATE = (3001, 1, "Create")
    ACCOUNT_DELETE = (3001, 6, "Delete")
    ENTITY_CREATE = (3004, 1, "Create")
    ENTITY_READ = (3004, 2, "Read")
    ENTITY_UPDATE = (3004, 3, "Update")
    ENTITY_DELETE = (3004, 4, "Delete")
    ENTITY_DISABLE = (3004, 9, "Disable")
    ENTITY_ACTIVATE = (3004, 10, "Activate")
    ENTITY_SUSPEND = (3004, 12, "Suspend")
    ENTITY_RESUME = (3004, 13, "Resume")
    APP_START = (6002, 3, "Start")
    APP_STOP = (6002, 4, "Stop")
    APP_RUNNING = (6002, 99, "Running")
    ALARM = (2004, 1, "Create")
    CARD_NUMBER_FOUND = (2006, 1, "Create")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is laid down for a type of event."""

    says: str
    requirement: Requirement
    activity: Activity
    details: frozenset[str]


class NotInCatalogue(ValueError):
    """An event carries a detail that the catalogue does not have for it."""


def check(event: Event) -> None:
    """Refuse an event that the catalogue does not allow; raises `NotInCatalogue`."""
    listed = CATALOGUE[event.type].details
    for name, value in event.details.items():
        if name not in listed or not FIELDS[name].kind.admits(value):
            raise NotInCatalogue("an audit event carries a detail that its entry in the catalogue does not allow")


def _entries(requirement: Requirement, *rows: tuple[EventType, Activity, str, str]) -> dict[EventType, Entry]:
    return {
        kind: Entry(says, requirement, activity, frozenset(details.split())) for kind, activity, says, details in rows
    }


_T, _A = EventType, Activity
_CHANGE = "from to source gateway_result not_sent"
CATALOGUE: Final[Mapping[EventType, Entry]] = {
    **_entries(
        Requirement.CARDHOLDER_DATA,
        (_T.CARD_STORED, _A.API_CREATE, "a card was stored", "storage"),
        (_T.CARD_UPDATED, _A.API_UPDATE, "a card was changed", "storage"),
        (_T.CARD_DISABLED, _A.API_UPDATE, "a card can no longer be used", ""),
        (_T.CARD_EXPIRED, _A.API_UPDATE, "a card's last month is over", ""),
        (_T.CARD_DELETED, _A.API_DELETE, "a card was deleted, ciphertext included", ""),
        (_T.CARD_FORGOTTEN, _A.API_DELETE, "the gateway was asked to delete its token of a card", "gateway_result"),
        (_T.BUYER_ERASED, _A.API_DELETE, "a buyer was erased", "cards payments mandates vaultings"),
        (
            _T.MANDATE_RECORDED,
            _A.API_CREATE,
            "a buyer's consent was recorded",
            "recurring_type evidence region_excluded",
        ),
        (_T.MANDATE_ENDED, _A.API_DELETE, "a mandate ended", "recurring_type evidence region_excluded"),
        (_T.MANDATE_EXPIRED, _A.API_UPDATE, "a mandate's time is over", "recurring_type evidence region_excluded"),
        (_T.VAULTING_CREATED, _A.API_CREATE, "storing a card at the gateway began", "kind"),
        (_T.VAULTING_CHANGED, _A.API_UPDATE, "storing a card at the gateway came further", _CHANGE),
        (_T.VAULTING_SESSION_OPENED, _A.API_CREATE, "a session for typing a card was opened", ""),
        (_T.PAYMENT_CREATED, _A.API_CREATE, "a payment is about to be sent", "kind credential storage"),
        (
            _T.PAYMENT_REFUSED,
            _A.API_REFUSED,
            "a payment was refused before it was sent",
            "kind rule version retry not_before",
        ),
        (_T.PAYMENT_CHANGED, _A.API_UPDATE, "a payment's state is known", _CHANGE),
        (_T.PAYMENT_SESSION_OPENED, _A.API_CREATE, "a session for paying was opened", ""),
        (_T.PAYMENT_CANCEL_REQUESTED, _A.API_UPDATE, "a payment is to be cancelled", ""),
        (_T.PAYMENT_CANCEL_REFUSED, _A.API_REFUSED, "the gateway refused to cancel a payment", "gateway_result"),
        (_T.AUTHORISATION_EXPIRED, _A.API_UPDATE, "an authorisation ended without a capture", ""),
        (_T.CAPTURE_CREATED, _A.API_CREATE, "a capture is about to be sent", "currency value"),
        (_T.CAPTURE_RECORDED, _A.API_UPDATE, "a capture's state is known", f"{_CHANGE} currency value"),
        (_T.REFUND_CREATED, _A.API_CREATE, "a refund is about to be sent", "currency value"),
        (_T.REFUND_RECORDED, _A.API_UPDATE, "a refund's state is known", f"{_CHANGE} currency value"),
        (_T.REENCRYPTION_BATCH, _A.DATA_ENCRYPT, "values were sealed anew", "place from to rows"),
        (_T.RETENTION_PURGED, _A.DATA_DELETE, "cards past their period were deleted", "examined purged held overdue"),
        (_T.RETENTION_SCRUBBED, _A.DATA_DELETE, "what deleted cards left on the disk was overwritten", "tables"),
        (
            _T.RESPONSE_WITHHELD,
            _A.CARD_NUMBER_FOUND,
            "a value like a card number was taken out of an answer",
            "operation pointers",
        ),
    ),
    **_entries(
        Requirement.ADMINISTRATION,
        (_T.MERCHANT_CREATED, _A.ENTITY_CREATE, "a merchant was added", ""),
        (_T.MERCHANT_CHANGED, _A.ENTITY_UPDATE, "a merchant's settings were changed", ""),
        (_T.RETENTION_CHANGED, _A.ENTITY_UPDATE, "how long a merchant's new cards are kept was changed", "days starts"),
        (
            _T.RETENTION_VERIFIED,
            _A.ENTITY_READ,
            "all cards were compared with their periods",
            "examined purged held overdue",
        ),
        (_T.ENDPOINT_TESTED, _A.ENTITY_READ, "a webhook endpoint was tried", ""),
        (_T.EVENT_REDELIVERED, _A.ENTITY_READ, "an event is delivered again", ""),
        (_T.REENCRYPTION_STARTED, _A.ENTITY_CREATE, "a re-encryption began", ""),
        (_T.REENCRYPTION_PAUSED, _A.ENTITY_SUSPEND, "a re-encryption was held", ""),
        (_T.REENCRYPTION_RESUMED, _A.ENTITY_RESUME, "a re-encryption went on", ""),
        (_T.REENCRYPTION_ENDED, _A.ENTITY_UPDATE, "a re-encryption ended", "rows"),
        (_T.APPROVAL_REQUESTED, _A.ENTITY_CREATE, "an operation waits for approvals", "operation"),
        (_T.APPROVAL_GIVEN, _A.ENTITY_UPDATE, "an operation was approved by one operator", "operation"),
        (_T.APPROVAL_DENIED, _A.ENTITY_UPDATE, "an operation was denied by one operator", "operation"),
        (_T.APPROVAL_EXECUTED, _A.ENTITY_UPDATE, "an approved operation was carried out", "operation approvers"),
        (_T.ALARM_RAISED, _A.ALARM, "something is wrong; the reason is the alarm's code", ""),
    ),
    **_entries(
        Requirement.AUDIT_LOG,
        (_T.AUDIT_EXPORTED, _A.DATA_READ, "the audit log was exported", "from to format epoch"),
        (_T.AUDIT_READ, _A.DATA_READ, "the audit log was read over HTTP", "operation"),
    ),
    **_entries(
        Requirement.INVALID_ACCESS,
        (_T.ACCESS_DENIED, _A.API_REFUSED, "somebody was turned away", "operation count seconds"),
        (_T.REQUEST_MALFORMED, _A.API_REFUSED, "a request was not understood", "operation count seconds"),
        (
            _T.LIMIT_REACHED,
            _A.API_REFUSED,
            "a client or address used up a quota",
            "limit windows operation count seconds",
        ),
    ),
    **_entries(
        Requirement.CREDENTIALS,
        (_T.CLIENT_CREATED, _A.ENTITY_CREATE, "an API client was added", "scopes"),
        (_T.CLIENT_CHANGED, _A.ENTITY_UPDATE, "an API client's own quotas or certificates were changed", ""),
        (_T.CLIENT_ROTATED, _A.ENTITY_UPDATE, "an API client got another secret", ""),
        (_T.CLIENT_REVOKED, _A.ENTITY_DELETE, "an API client's secrets ended", ""),
        (_T.OPERATOR_CREATED, _A.ACCOUNT_CREATE, "a person's key became an operator's", ""),
        (_T.OPERATOR_REVOKED, _A.ACCOUNT_DELETE, "an operator's key ended", ""),
        (_T.GATEWAY_KEYS_CHANGED, _A.ENTITY_UPDATE, "a merchant's keys for the gateway were replaced", ""),
        (_T.WEBHOOK_SECRET_ROTATED, _A.ENTITY_UPDATE, "a webhook endpoint got another secret", ""),
    ),
    **_entries(
        Requirement.LOGGING,
        (_T.AUDIT_LOG_CREATED, _A.APP_START, "the audit log began", ""),
        (_T.AUDIT_EPOCH_GRANTED, _A.ENTITY_UPDATE, "the audit log may begin anew; the reason is why", "from to"),
        (_T.AUDIT_EPOCH_BEGUN, _A.APP_START, "the audit log began anew", "from to checkpoint lost"),
        (_T.AUDIT_KEY_ROTATED, _A.ENTITY_UPDATE, "the audit log's key was replaced", "from to"),
        (_T.AUDIT_PRUNED, _A.DATA_DELETE, "old entries' octets were deleted, their hashes kept", "from to manifest"),
        (_T.AUDIT_SINK_FORGOTTEN, _A.ENTITY_DELETE, "an anchor or receiver of events was forgotten", "sink"),
        (_T.AUDIT_STARTED, _A.APP_START, "a worker began to sequence the audit log", ""),
        (_T.AUDIT_STOPPED, _A.APP_STOP, "a worker stopped sequencing the audit log", ""),
        (_T.AUDIT_HEARTBEAT, _A.APP_RUNNING, "nothing happened for a while, and the audit log is well", ""),
        (_T.PROCESS_STARTED, _A.APP_START, "a process of the vault started", "process"),
        (_T.PROCESS_STOPPED, _A.APP_STOP, "a process of the vault stopped", "process"),
    ),
    **_entries(
        Requirement.SYSTEM_OBJECTS,
        (_T.ENDPOINT_CREATED, _A.ENTITY_CREATE, "a webhook endpoint was added", ""),
        (_T.ENDPOINT_DELETED, _A.ENTITY_DELETE, "a webhook endpoint was removed", ""),
        (_T.ENDPOINT_DISABLED, _A.ENTITY_DISABLE, "a webhook endpoint is gone and not tried any more", ""),
        (_T.ROOT_KEY_CREATED, _A.ENTITY_CREATE, "a root key was made", "version seal key_id"),
        (_T.ROOT_KEY_RETIRED, _A.ENTITY_DELETE, "a root key was retired, its wraps deleted", "version key_id"),
        (
            _T.ROOT_KEY_RECOVERED,
            _A.ENTITY_ACTIVATE,
            "the root key was recovered from custodians' shares",
            "seal shares",
        ),
        (_T.SEAL_ADDED, _A.ENTITY_CREATE, "a seal guards the root key", "seal version key_id"),
        (_T.SEAL_VERIFIED, _A.ENTITY_READ, "a seal was tried from scratch", "seal"),
        (_T.SEAL_REMOVED, _A.ENTITY_DELETE, "a seal's wraps were deleted", "seal"),
        (_T.SHARES_CREATED, _A.ENTITY_CREATE, "a set of shares was made", "seal threshold shares"),
        (
            _T.SHARE_ACKNOWLEDGED,
            _A.ENTITY_UPDATE,
            "a custodian has acknowledged a share",
            "seal number statement",
        ),
        (
            _T.SHARE_DESTROYED,
            _A.ENTITY_DELETE,
            "a custodian has destroyed a share",
            "seal number statement",
        ),
        (_T.SHREDDING_STARTED, _A.ENTITY_UPDATE, "deleted cards are to be made unrecoverable", "cards"),
        (_T.SHREDDING_RECEIPT, _A.ENTITY_READ, "the receipt of a shredding was issued", "complete cards digest"),
        (
            _T.OPENER_DESTRUCTION_STARTED,
            _A.ENTITY_UPDATE,
            "what opened an earlier root key is being destroyed",
            "seal fate",
        ),
        (_T.OPENER_DESTROYED, _A.ENTITY_DELETE, "what opened an earlier root key was destroyed", "seal fate"),
        (_T.SHARES_IN_FORCE, _A.ENTITY_ACTIVATE, "a set of shares came into force", "seal"),
        (_T.DATA_KEYS_REWRAPPED, _A.ENTITY_UPDATE, "data keys were wrapped under another root key", "keys from to"),
        (_T.DATA_KEY_CREATED, _A.ENTITY_CREATE, "a data key was made", "purpose key_id"),
        (_T.DATA_KEY_ROTATED, _A.ENTITY_UPDATE, "a data key was replaced", "purpose from to"),
        (_T.DATA_KEY_COMPROMISED, _A.ENTITY_DISABLE, "a data key counts as known to others", "purpose key_id"),
        (_T.DATA_KEY_DESTROYED, _A.ENTITY_DELETE, "a data key was destroyed", "purpose key_id"),
        (_T.DESTRUCTION_SCHEDULED, _A.ENTITY_UPDATE, "a data key is to be destroyed", "purpose key_id"),
        (_T.DESTRUCTION_UNDONE, _A.ENTITY_UPDATE, "a data key is not to be destroyed after all", "purpose key_id"),
    ),
}
