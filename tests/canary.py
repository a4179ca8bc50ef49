"""Card numbers and codes that occur in no real data, and the search for them wherever they must not be (T-36).

It refuses to know what the vault does with them, and how a search works (`ops.leaks`). Invariant: what is reported names
the place and the form, never the digits.
"""

from typing import Final

from ops.leaks import Canaries

VISA_CANARY = "4539731908466057"
SECOND_VISA_CANARY = "4916731908462703"
MASTERCARD_CANARY = "5234731908469148"
SECOND_MASTERCARD_CANARY = "2298731908465369"
AMEX_CANARY = "374173190846686"
CVV_CANARY = "097"
SECOND_CVV_CANARY = "069"
AMEX_CVV_CANARY = "0089"

CANARY_PANS = (VISA_CANARY, SECOND_VISA_CANARY, MASTERCARD_CANARY, SECOND_MASTERCARD_CANARY, AMEX_CANARY)
CANARY_CVVS = (CVV_CANARY, SECOND_CVV_CANARY, AMEX_CVV_CANARY)

CANARIES: Final = Canaries(CANARY_PANS, CANARY_CVVS)
ROW_PATTERN: Final = CANARIES.row_pattern
forms_in = CANARIES.forms_in
forms_in_text = CANARIES.forms_in_text
leaks_in_folder = CANARIES.leaks_in_folder


def assert_clean(text: bytes | str, place: str) -> None:
    """Fail without showing the text when a canary occurs in it: a body, a log, an exception, an export."""
    readable = text.decode(errors="replace") if isinstance(text, bytes) else text
    found = forms_in_text(readable) | forms_in(text)
    if found:
        raise AssertionError(f"{place} holds a canary as {', '.join(sorted(found))}")
