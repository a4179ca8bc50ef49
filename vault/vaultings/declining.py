"""How a vaulting that failed reads: in the categories of payments, with what has to change before another try.

It refuses to know rows and HTTP. Invariant: a failure without words of the gateway has a reading, too.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from vault.rules.declines import NOT_SENT, Decline
from vault.rules.scheme_declines import Words, read_decline
from vault.vaulting import Ending, Vaulting, VaultingStatus

_OF_ENDINGS: Final[Mapping[Ending, str]] = {
    Ending.NOT_SENT: NOT_SENT,
    Ending.EXPIRED: "ORDER_IS_CLOSED",
    Ending.ABANDONED: "ORDER_IS_CANCELED",
}


def not_before(vaulting: Vaulting, reading: Decline) -> datetime | None:
    """Say from when on there may be another try, where only time helps and the scheme has said how much."""
    return vaulting.updated_at + reading.wait if reading.wait else None


def reading_of(vaulting: Vaulting) -> Decline | None:
    """Read why a vaulting failed; None for one that did not."""
    if vaulting.status is not VaultingStatus.FAIL:
        return None
    info, said = vaulting.result_info, vaulting.result.code if vaulting.result else ""
    return read_decline(
        Words(
            said if vaulting.ending is None else _OF_ENDINGS[vaulting.ending],
            info.get("cardBrand", vaulting.face.brand if vaulting.face else None),
            info.get("refusalCodeRaw"),
            info.get("merchantAdviceCode"),
        )
    )
