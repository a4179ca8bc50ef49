"""Which regions' cards the gateway's documents exclude from a feature (antom-api.md 5.2).

Refuses to know payments and merchants: it is asked about a region. Invariant: a region that is not known is excluded
from nothing.
"""

from datetime import date
from typing import Final

DATED: Final = date(2026, 11, 21)

# Regions whose cards cannot be charged while the buyer is absent (antom-api.md 5.2 and 5.3).
MIT_EXCLUDED_REGIONS: Final = frozenset({"BR", "KR", "CL", "MX", "PE"})
