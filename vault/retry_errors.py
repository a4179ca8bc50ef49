"""What the retry guard refuses; a part of the tree of errors that is drawn in `vault.errors`.

Refuses to know rules and payments. Invariants are those of the tree: no status is chosen where an error is raised, and
every code has a heading in `docs/problems.md`.
"""

from collections.abc import Mapping
from datetime import datetime

from vault.errors import Conflict


class RetryLimit(Conflict):
    """A rule of the card's network forbids another attempt with this card now (controls.md RTY-2 to RTY-8)."""

    code, title = "retry_limit", "The card must not be tried again now"

    def __init__(
        self, *, rule: str = "", version: str = "", retry: str = "NEVER", not_before: datetime | None = None
    ) -> None:
        """Take the rule's name and version, and what the merchant may do and when; None: no time is known."""
        super().__init__()
        self.rule = rule
        self.version = version
        self.retry = retry
        self.not_before = not_before

    @property
    def members(self) -> Mapping[str, object]:
        """Say what has to change, from when on only time was needed, and which rule it is."""
        if not self.rule:
            return {}
        return {"retry": self.retry, "notBefore": self.not_before, "rule": self.rule, "rulesVersion": self.version}
