"""What the vault writes into its audit log: a closed set of event types and one value that encodes itself.

It refuses to know where events are kept or sequenced, and which details a type may have (`vault.audit.catalogue`).
Invariants: the encoded body is canonical JSON and is never serialised again; no value in it comes from a card number
(audit-log.md 3.10 B, controls.md AUD-1 to AUD-3).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

import orjson

from vault import trace

SCHEMA = "cardvault.audit/1"
_MAXIMUM_BODY = 32 * 1024


class EventType(StrEnum):
    """Every kind of event; the value is its name in the log."""

    CARD_STORED = "card.stored"
    CARD_UPDATED = "card.updated"
    CARD_DISABLED = "card.disabled"
    CARD_EXPIRED = "card.expired"
    CARD_DELETED = "card.deleted"
    BUYER_ERASED = "buyer.erased"
    MANDATE_RECORDED = "mandate.recorded"
    MANDATE_ENDED = "mandate.ended"
    MANDATE_EXPIRED = "mandate.expired"
    VAULTING_CREATED = "vaulting.created"
    VAULTING_CHANGED = "vaulting.changed"
    VAULTING_SESSION_OPENED = "vaulting.session_opened"
    CARD_FORGOTTEN = "card.forgotten_at_gateway"
    PAYMENT_CREATED = "payment.created"
    PAYMENT_REFUSED = "payment.refused"
    PAYMENT_CHANGED = "payment.changed"
    PAYMENT_SESSION_OPENED = "payment.session_opened"
    PAYMENT_CANCEL_REQUESTED = "payment.cancel_requested"
    PAYMENT_CANCEL_REFUSED = "payment.cancel_refused"
    AUTHORISATION_EXPIRED = "payment.authorisation_expired"
    CAPTURE_CREATED = "capture.created"
    CAPTURE_RECORDED = "capture.recorded"
    REFUND_CREATED = "refund.created"
    REFUND_RECORDED = "refund.recorded"
    ENDPOINT_CREATED = "webhook.endpoint_created"
    ENDPOINT_DELETED = "webhook.endpoint_deleted"
    ENDPOINT_DISABLED = "webhook.endpoint_disabled"
    ENDPOINT_TESTED = "webhook.endpoint_tested"
    WEBHOOK_SECRET_ROTATED = "webhook.secret_rotated"  # noqa: S105 - the name of an event, not a secret
    EVENT_REDELIVERED = "webhook.event_redelivered"
    ACCESS_DENIED = "access.denied"
    REQUEST_MALFORMED = "request.malformed"
    LIMIT_REACHED = "limit.reached"
    RESPONSE_WITHHELD = "response.withheld"
    ALARM_RAISED = "alarm.raised"
    MERCHANT_CREATED = "merchant.created"
    MERCHANT_CHANGED = "merchant.changed"
    GATEWAY_KEYS_CHANGED = "merchant.gateway_keys_changed"
    RETENTION_CHANGED = "merchant.retention_changed"
    RETENTION_PURGED = "retention.purged"
    RETENTION_VERIFIED = "retention.verified"
    RETENTION_SCRUBBED = "retention.scrubbed"
    CLIENT_CREATED = "client.created"
    CLIENT_CHANGED = "client.changed"
    CLIENT_ROTATED = "client.rotated"
    CLIENT_REVOKED = "client.revoked"
    ROOT_KEY_CREATED = "key.root_created"
    ROOT_KEY_RETIRED = "key.root_retired"
    ROOT_KEY_RECOVERED = "key.root_recovered"
    SEAL_ADDED = "key.seal_added"
    SEAL_VERIFIED = "key.seal_verified"
    SEAL_REMOVED = "key.seal_removed"
    SHARES_CREATED = "key.shares_created"
    SHARE_ACKNOWLEDGED = "key.share_acknowledged"
    SHARES_IN_FORCE = "key.shares_in_force"
    DATA_KEYS_REWRAPPED = "key.data_rewrapped"
    DATA_KEY_CREATED = "key.data_created"
    DATA_KEY_ROTATED = "key.data_rotated"
    DATA_KEY_COMPROMISED = "key.data_compromised"
    DATA_KEY_DESTROYED = "key.data_destroyed"
    SHREDDING_STARTED = "shredding.started"
    SHREDDING_RECEIPT = "shredding.receipt_issued"
    OPENER_DESTRUCTION_STARTED = "key.opener_destruction_started"
    OPENER_DESTROYED = "key.opener_destroyed"
    SHARE_DESTROYED = "key.share_destroyed"
    REENCRYPTION_STARTED = "reencryption.started"
    REENCRYPTION_PAUSED = "reencryption.paused"
    REENCRYPTION_RESUMED = "reencryption.resumed"
    REENCRYPTION_BATCH = "reencryption.batch"
    REENCRYPTION_ENDED = "reencryption.ended"
    DESTRUCTION_SCHEDULED = "key.destruction_scheduled"
    DESTRUCTION_UNDONE = "key.destruction_undone"
    OPERATOR_CREATED = "operator.created"
    OPERATOR_REVOKED = "operator.revoked"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_GIVEN = "approval.given"
    APPROVAL_DENIED = "approval.denied"
    APPROVAL_EXECUTED = "approval.executed"
    AUDIT_LOG_CREATED = "audit.log_created"
    AUDIT_STARTED = "audit.started"
    AUDIT_STOPPED = "audit.stopped"
    AUDIT_HEARTBEAT = "audit.heartbeat"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_READ = "audit.read"
    AUDIT_EPOCH_GRANTED = "audit.epoch_granted"
    AUDIT_EPOCH_BEGUN = "audit.epoch_begun"
    AUDIT_KEY_ROTATED = "audit.key_rotated"
    AUDIT_PRUNED = "audit.pruned"
    AUDIT_SINK_FORGOTTEN = "audit.sink_forgotten"
    PROCESS_STARTED = "process.started"
    PROCESS_STOPPED = "process.stopped"


class ActorKind(StrEnum):
    """Who can act on the vault."""

    CLIENT = "client"
    GATEWAY = "gateway"
    WORKER = "worker"
    OPERATOR = "operator"
    ANONYMOUS = "anonymous"


class Outcome(StrEnum):
    """How it ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    DENIED = "denied"


Detail = str | int | bool | None


@dataclass(frozen=True, slots=True)
class Origin:
    """Who asked, from where, in which request; shared by all events of one request."""

    kind: ActorKind
    actor_id: str = ""
    key_id: str = ""
    address: str = ""
    request_id: str = ""
    trace_id: str = field(default_factory=trace.trace_id)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to objects of one merchant (empty: the installation's)."""

    type: EventType
    origin: Origin
    merchant_id: str
    objects: tuple[str, ...] = ()
    outcome: Outcome = Outcome.SUCCESS
    reason: str | None = None
    details: Mapping[str, Detail] = field(default_factory=dict)

    def about(self, *objects: str) -> "Event":
        """Give the same event about other objects."""
        return replace(self, objects=objects)

    def encode(self, event_id: str) -> bytes:
        """Give the canonical JSON that is stored and hashed; ValueError beyond 32 KiB."""
        body = orjson.dumps(
            {
                "schema": SCHEMA,
                "id": event_id,
                "type": self.type,
                "merchant": self.merchant_id,
                "actor": {
                    "kind": self.origin.kind,
                    "id": self.origin.actor_id,
                    "key": self.origin.key_id,
                    "address": self.origin.address,
                },
                "request": self.origin.request_id,
                "trace": self.origin.trace_id,
                "objects": list(self.objects),
                "outcome": self.outcome,
                "reason": self.reason,
                "details": dict(self.details),
            },
            option=orjson.OPT_SORT_KEYS,
        )
        if len(body) > _MAXIMUM_BODY:
            raise ValueError("an audit event is too large")
        return body
