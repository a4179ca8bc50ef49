"""What the vault refuses about what a payment asks for; a part of the tree that is drawn in `vault.errors`.

Refuses to know payments. Invariants are those of the tree: no status is chosen where an error is raised, and every
code has a heading in `docs/problems.md`.
"""

from vault.errors import RequestInvalid


class RegionExcluded(RequestInvalid):
    """Cards of this region cannot use the feature that is asked for (antom-api.md 5.2)."""

    code, title = "region_excluded", "Cards of this region cannot be used in this way"


class CardDataRequired(RequestInvalid):
    """Something was asked for that needs a card number, and the vault never sees it."""

    code, title = "card_data_required", "This needs the card's data in the request"
