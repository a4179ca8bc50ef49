"""The details that audit events may carry: a closed list of names, each with the kind of its value and its meaning.

It refuses to know types of events. Invariant: no detail is a text of a caller, or comes from a card number
(audit-log.md 3.10 B).
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from vault.audit.events import Detail


class Kind(Enum):
    """What a detail's value is, where it is not null."""

    TEXT = "text", (str,)
    NUMBER = "number", (int,)
    EITHER = "text or number", (str, int)
    FLAG = "yes or no", (bool,)

    def __init__(self, said: str, types: tuple[type, ...]) -> None:
        self.said = said
        self._types = types

    def admits(self, value: Detail) -> bool:
        """Tell whether a value is of this kind."""
        return value is None or (isinstance(value, self._types) and (not isinstance(value, bool) or self is Kind.FLAG))


class Field(NamedTuple):
    """A detail: the kind of its value, and what it says."""

    kind: Kind
    says: str


FIELDS: Final[Mapping[str, Field]] = {
    "approvers": Field(Kind.TEXT, "ids of the operators who approved"),
    "cards": Field(Kind.NUMBER, "how many cards"),
    "checkpoint": Field(Kind.TEXT, "the last checkpoint of the epoch before, without its signatures"),
    "complete": Field(Kind.FLAG, "whether nothing is left that opens what was shredded"),
    "count": Field(Kind.NUMBER, "how many calls this event stands for; absent: one"),
    "credential": Field(Kind.TEXT, "which credential of the card pays: `PAN` or `TOKEN`"),
    "currency": Field(Kind.TEXT, "ISO 4217"),
    "days": Field(Kind.NUMBER, "how many days"),
    "digest": Field(Kind.TEXT, "SHA-256 of the list of cards"),
    "evidence": Field(Kind.TEXT, "how the buyer's consent is known"),
    "examined": Field(Kind.NUMBER, "how many cards were looked at"),
    "fate": Field(Kind.TEXT, "what became of an opener of the root key"),
    "epoch": Field(Kind.NUMBER, "the epoch of the audit log; absent or null: the one that runs"),
    "format": Field(Kind.TEXT, "the form in which it was exported"),
    "from": Field(Kind.EITHER, "the state, key or bound before"),
    "gateway_result": Field(Kind.TEXT, "the gateway's result code"),
    "held": Field(Kind.NUMBER, "how many cards are kept for a reason"),
    "key_id": Field(Kind.TEXT, "the key's id"),
    "keys": Field(Kind.NUMBER, "how many keys"),
    "kind": Field(Kind.TEXT, "which kind"),
    "limit": Field(Kind.TEXT, "the limit's name"),
    "lost": Field(Kind.NUMBER, "how many entries that were signed for are not there any more"),
    "manifest": Field(Kind.TEXT, "SHA-256 of the manifest of the export that keeps them"),
    "mandates": Field(Kind.NUMBER, "how many mandates"),
    "not_before": Field(Kind.TEXT, "from when it may be tried again"),
    "not_sent": Field(Kind.FLAG, "whether nothing was sent to the gateway"),
    "number": Field(Kind.NUMBER, "the share's number in its set"),
    "operation": Field(Kind.TEXT, "the operation's name"),
    "overdue": Field(Kind.NUMBER, "how many cards are past their period"),
    "payments": Field(Kind.NUMBER, "how many payments"),
    "place": Field(Kind.TEXT, "the column"),
    "pointers": Field(Kind.TEXT, "where in the answer, as JSON pointers"),
    "process": Field(Kind.TEXT, "which process: `server` or `worker`"),
    "purged": Field(Kind.NUMBER, "how many cards were deleted"),
    "purpose": Field(Kind.TEXT, "what the key is for"),
    "recurring_type": Field(Kind.TEXT, "`SCHEDULED` or `UNSCHEDULED`"),
    "region_excluded": Field(Kind.FLAG, "whether consent of this kind is not enough in the merchant's region"),
    "retry": Field(Kind.TEXT, "whether and how it may be tried again"),
    "rows": Field(Kind.NUMBER, "how many rows"),
    "rule": Field(Kind.TEXT, "the rule that refuses it"),
    "scopes": Field(Kind.TEXT, "what the client may do"),
    "seal": Field(Kind.TEXT, "the seal's name"),
    "seconds": Field(Kind.NUMBER, "in how many seconds"),
    "shares": Field(Kind.NUMBER, "how many shares"),
    "sink": Field(Kind.TEXT, "the name of an anchor or receiver of events"),
    "source": Field(Kind.TEXT, "from which message it is known"),
    "starts": Field(Kind.TEXT, "from when the period is counted"),
    "statement": Field(Kind.TEXT, "SHA-256 of the statement that was signed"),
    "storage": Field(Kind.TEXT, "where the card is kept: `VAULT`, `GATEWAY` or `BOTH`"),
    "tables": Field(Kind.NUMBER, "how many tables"),
    "threshold": Field(Kind.NUMBER, "how many shares open it"),
    "to": Field(Kind.EITHER, "the state, key or bound after"),
    "value": Field(Kind.TEXT, "the amount in the currency's smallest unit"),
    "vaultings": Field(Kind.NUMBER, "how many cards on their way to the gateway"),
    "version": Field(Kind.EITHER, "the version of the root key, or of the rules"),
    "windows": Field(Kind.TEXT, "the windows whose quota is used up"),
}
