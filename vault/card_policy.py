"""Which card numbers an installation takes: all, the published test numbers only, or all but those (STO-7).

Refuses to know where a number came from and what happens to a refused one.
The list is data: numbers that payment service providers publish for testing. Invariant: asking about a number gives
a yes or a no, and never the number.
"""

from datetime import date
from enum import StrEnum
from typing import Final, assert_never

from vault.card import Pan

LIST_DATE: Final = date(2026, 11, 21)

_LISTED: Final = """
    4111111111111111 4242424242424242 4012888888881881 4000056655665556 4222222222222 4054695723100768
    5555555555554444 5105105105105100 5200828282828210 5123450000000008
    2223003122003222 2223000048400011 2223000000000007
    378282246310005 371449635398431
    6011111111111117 6011000990139424 6011981111111113
    3056930009020004 36227206271667 30569309025904 38520000023237 36259600000004
    3530111333300000 3566002020360505 3566111111111113
    6200000000000005 6200000000000047 6243030000000001 8171999927660000 6205500000000000004 8171999900000000021
    6555900000604105
    6759411100000008 6304000000000000 6771830999991239343 586824160825533338 5000550000000029
    6703444444444449 4871049999999910 5127880999999990
    4035501428146300 4035501000000008 4360000001000005
    5019555544445555 4687380100010006 9490220006611406 135412345678911
    5066991111111118 6362970000457013 6062828888666688 2200000000000004 9792030000000000
"""
PUBLISHED_TEST_NUMBERS: Final = frozenset(_LISTED.split())


class CardPolicy(StrEnum):
    """The values of the setting `CARDVAULT_CARD_POLICY`."""

    ANY = "any"
    TEST_ONLY = "test-only"
    LIVE_ONLY = "live-only"


def refuses(policy: CardPolicy, pan: Pan) -> bool:
    """Tell whether the policy keeps this card number out. Source: controls STO-7, list of section 7."""
    match policy:
        case CardPolicy.ANY:
            return False
        case CardPolicy.TEST_ONLY:
            return not _is_published(pan)
        case CardPolicy.LIVE_ONLY:
            return _is_published(pan)
        case _:
            assert_never(policy)


def _is_published(pan: Pan) -> bool:
    return pan.reveal() in PUBLISHED_TEST_NUMBERS
