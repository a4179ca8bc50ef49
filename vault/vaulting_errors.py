"""What the vault refuses about cards that are stored at the gateway without a payment; a part of the tree of errors.

The tree is drawn in `vault.errors`. Refuses to know vaultings. Invariants are those of the tree: no status is chosen
where an error is raised, and every code has a heading in `docs/problems.md`.
"""

from collections.abc import Mapping

from vault.errors import Conflict, RequestInvalid


class CardPending(Conflict):
    """The card is being stored at the gateway and waits for its buyer, or for an answer."""

    code, title = "card_pending", "The card is not stored yet"


class VaultingFailed(RequestInvalid):
    """The gateway, or the card's bank, did not let the card be stored."""

    code, title = "vaulting_failed", "The card could not be stored at the gateway"

    def __init__(self, declined: Mapping[str, object] | None = None) -> None:
        """Take `category`, `retry` and `notBefore`, as payments show them."""
        super().__init__()
        self.declined = declined

    @property
    def members(self) -> Mapping[str, object]:
        """Say why, as payments do."""
        return {} if self.declined is None else {"declined": self.declined}


class InitialVaultingUnsuitable(RequestInvalid):
    """The card was not stored by a vaulting of its own, or the mandate is for another card."""

    code, title = "initial_vaulting_unsuitable", "No mandate can rest on this card's vaulting"
