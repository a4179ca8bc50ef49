"""What the vault refuses about what a payment asks for, and questions without an answer; a part of the tree of errors.

The tree is drawn in `vault.errors`. Refuses to know payments. Invariants are those of the tree: no status is chosen
where an error is raised, and every code has a heading in `docs/problems.md`.
"""

from collections.abc import Mapping, Sequence

from vault.errors import Conflict, FieldProblem, RequestInvalid, Unavailable


class CardNotAtGateway(Conflict):
    """The client SDK can only be given a card that the gateway holds."""

    code, title = "card_not_at_gateway", "The gateway does not hold this card"


class RegionExcluded(RequestInvalid):
    """Cards of this region cannot use the feature that is asked for (antom-api.md 5.2)."""

    code, title = "region_excluded", "Cards of this region cannot be used in this way"


class CardDataRequired(RequestInvalid):
    """Something was asked for that needs a card number, and the vault never sees it."""

    code, title = "card_data_required", "This needs the card's data in the request"


class SessionMandateRefused(RequestInvalid):
    """The merchant's settings do not let a session be charged under a mandate."""

    code, title = "session_mandate_refused", "Sessions are not charged under mandates here"


class InstallmentsNotOffered(RequestInvalid):
    """The gateway said lately how many installments there are for this amount, and this number is not among them."""

    code, title = "installments_not_offered", "The amount cannot be paid by this number of installments"

    def __init__(self, *, errors: Sequence[FieldProblem] = (), offered: Sequence[int] | None = None) -> None:
        """Take the refused field, and the numbers that are offered for the amount."""
        super().__init__(errors=errors)
        self.offered = offered

    @property
    def members(self) -> Mapping[str, object]:
        """Name the numbers that can be had."""
        return {} if self.offered is None else {"installmentNums": self.offered}


class GatewayUnavailable(Unavailable):
    """The gateway gave no answer that can be trusted to a question that changes nothing."""

    code, title = "gateway_unavailable", "The gateway does not answer"
