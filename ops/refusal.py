"""The failure of an operator's command that has been put into words already.

It refuses to know commands. Invariant: the text is for people, says what to do, and holds no secret.
"""

from typing import Final

NO_MERCHANT: Final = "no merchant has this id: see cardvault merchants list"


class Refused(Exception):
    """A command cannot be carried out; the text says why and what to do."""
