"""The gateway's own words about a call or an outcome, as they are kept and shown.

It refuses to know what they are about and what they mean. Invariant: a message is for people, nothing is decided by it.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Result:
    """The gateway's own words: code, S/F/U and a message."""

    code: str
    status: str
    message: str
