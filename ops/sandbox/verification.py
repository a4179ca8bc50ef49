"""The letters with which an issuer answers for the address and the CVV it was sent, and what asks for each of them.

Only data and two questions about it. Refuses to know cards and payments. Invariant: every letter that is asked for in
these ways is documented in docs/sandbox.md; of a CVV nothing but its letter goes on.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

MATCH = "M"
FULL_MATCH = "Y"
STREET_ONLY = "A"
NOT_CHECKED = "U"
# A first address line such as `AVS N` asks for that letter.
MAGIC_LINE = re.compile(r"AVS ([A-Z])")
MAGIC_POSTCODES: Mapping[str, str] = {
    "00001": "A",
    "00002": "Z",
    "00003": "N",
    "00004": "U",
    "00005": "R",
    "00006": "S",
}
# The last three digits count, so that they fit four-digit codes too.
MAGIC_CVVS: Mapping[str, str] = {"901": "N", "902": "P", "903": "S", "904": "U"}


def cvv_letter(cvv: str) -> str:
    """Return the issuer's letter for a CVV."""
    return MAGIC_CVVS.get(cvv[-3:], MATCH)


def address_letter(line: str | None, postcode: str | None) -> str:
    """Return the issuer's letter for an address: a match, unless it asks for something else or has no postal code."""
    asked = MAGIC_LINE.fullmatch(line or "")
    if asked is not None:
        return asked[1]
    return STREET_ONLY if postcode is None else MAGIC_POSTCODES.get(postcode, FULL_MATCH)
