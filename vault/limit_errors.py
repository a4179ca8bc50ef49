"""What the vault refuses because it was asked too often; part of the tree that `vault.errors` draws.

It refuses to know counters. Invariant as there: no status is chosen where an error is raised.
"""

from collections.abc import Mapping, Sequence

from vault.errors import VaultError


class TooManyRequests(VaultError):
    """The group of limits that were reached; raised only as one of its subclasses (RFC 6585)."""

    status, retryable, default_retry_after = 429, True, 1

    def __init__(self, limit: str = "", windows: Sequence[str] = (), *, retry_after: int | None = None) -> None:
        """Take the name of the limit, the windows whose quota is used up, and seconds to wait."""
        super().__init__(retry_after=retry_after)
        self.limit = limit
        self.windows = tuple(windows)

    @property
    def members(self) -> Mapping[str, object]:
        """Say which limit, and which of its windows (controls.md API-5)."""
        return {"limit": self.limit, "violatedPolicies": list(self.windows)} if self.limit else {}


class RateLimited(TooManyRequests):
    """The client asked for more of this kind than it may."""

    code, title = "rate_limited", "Too many requests"


class CardTestingSuspected(TooManyRequests):
    """What a buyer, an address or a client does looks like somebody trying out card numbers."""

    code, title = "card_testing_suspected", "This looks like card testing"
