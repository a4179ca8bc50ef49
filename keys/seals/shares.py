"""Custodians' shares: a key split by SLIP-39, so that k of n people together have it and fewer have nothing.

Refuses to know people and files. Invariants: a share is a secret and is never repeated in an error, not even a word of
it; what was split is recombined before a share leaves this module; what k shares make counts only when it has the check
value on record, because SLIP-39 gives some key for every passphrase (KEY-2, KEY-11).
"""

import hashlib
import hmac
from collections.abc import Sequence
from typing import Final, Self

from shamir_mnemonic import MnemonicError, combine_mnemonics, generate_mnemonics
from shamir_mnemonic import Share as Decoded
from shamir_mnemonic.wordlist import WORD_INDEX_MAP

from keys.envelope import Cipher
from keys.errors import ShareMistyped, ShareRepeated, SharesDisagree, SharesTooFew, ShareUnknown
from keys.fingerprint import mac, subkey
from keys.sealed import KeyMaterial, Sealed
from keys.seals.seal import SHARES_PREFIX, EnvelopeSeal

WORDS: Final = 33
FEWEST: Final = 2
MOST: Final = 16

_CHECK_INFO: Final = "cardvault/shares/v1/check"
_CHECK_MESSAGE: Final = b"cardvault share set check value"
_CHECK_BYTES: Final = 16
_DIGEST_LABEL: Final = b"cardvault/shares/v1/digest"


class ShareWords(Sealed[str]):
    """One share as its 33 words; spaces, line ends and capitals do not matter.

    ShareMistyped says which word is not one of the list, or that together they are no share.
    """

    __slots__ = ("identifier", "number", "threshold")
    identifier: int
    number: int
    threshold: int

    def __init__(self, value: str) -> None:
        super().__init__(" ".join(value.lower().split()))
        _check_words(self)
        try:
            decoded = Decoded.from_mnemonic(self.reveal())
        except MnemonicError:
            raise ShareMistyped("the words do not belong together: one is wrong, or two changed places") from None
        if decoded.group_count != 1:
            raise ShareMistyped("the words are a share of another kind of set")
        self.identifier = decoded.identifier
        self.number = decoded.index + 1
        self.threshold = decoded.member_threshold

    def digest(self, set_id: bytes) -> bytes:
        """Return 32 octets by which a set knows this share; its 256 random bits keep them from telling anything."""
        return hashlib.sha256(_DIGEST_LABEL + set_id + self.reveal().encode()).digest()


class SharesSeal(EnvelopeSeal):
    """The key that a set of shares makes, as the seal that it is."""

    __slots__ = ()
    kind = SHARES_PREFIX.rstrip(":")

    @classmethod
    def around(cls, set_id: bytes, key: KeyMaterial) -> Self:
        """Make the seal of a set; `set_id` is 16 octets."""
        return cls(Cipher(set_id, key))


def split(key: KeyMaterial, threshold: int, count: int) -> list[ShareWords]:
    """Return `count` shares of which any `threshold` make the key; ValueError outside 2 of 2 to 16 of 16."""
    if not FEWEST <= threshold <= count <= MOST:
        raise ValueError("a set has 2 to 16 shares, and it takes at least 2 and at most all of them")
    mnemonics = generate_mnemonics(1, [(threshold, count)], key.reveal(), iteration_exponent=0)[0]
    shares = [ShareWords(mnemonic) for mnemonic in mnemonics]
    for start in range(count):
        combine([shares[(start + place) % count] for place in range(threshold)], check_value(key))
    return shares


def combine(shares: Sequence[ShareWords], expected: bytes) -> KeyMaterial:
    """Return the key that the shares make, of the given check value; more than it takes do no harm.

    ShareRepeated, ShareUnknown for one of another set, SharesTooFew, SharesDisagree.
    """
    require_one_set(shares)
    threshold = shares[0].threshold if shares else FEWEST
    if len(shares) < threshold:
        raise SharesTooFew(f"it takes {threshold} different shares, there are {len(shares)}")
    try:
        key = KeyMaterial(combine_mnemonics([share.reveal() for share in shares[:threshold]]))
    except (MnemonicError, ValueError):
        raise SharesDisagree("the shares do not belong together") from None
    if not hmac.compare_digest(check_value(key), expected):
        raise SharesDisagree("the shares make another key than the one on record")
    return key


def require_one_set(shares: Sequence[ShareWords]) -> None:
    """Raise ShareUnknown for a share of another set than the first one's, ShareRepeated for one that is there twice."""
    for place, share in enumerate(shares):
        if (share.identifier, share.threshold) != (shares[0].identifier, shares[0].threshold):
            raise ShareUnknown(f"share {share.number} belongs to another set than the ones before it")
        if share.number in {earlier.number for earlier in shares[:place]}:
            raise ShareRepeated(f"share {share.number} was given twice")


def check_value(key: KeyMaterial) -> bytes:
    """Return 16 octets that identify a set's key without giving it away (KEY-12)."""
    return mac(subkey(key, _CHECK_INFO), _CHECK_MESSAGE)[:_CHECK_BYTES]


def _check_words(share: ShareWords) -> None:
    known = list(map(WORD_INDEX_MAP.__contains__, share.reveal().split()))
    if False in known:
        raise ShareMistyped(f"word {known.index(False) + 1} is not in the list of words")
    if len(known) != WORDS:
        raise ShareMistyped(f"a share has {WORDS} words, this has {len(known)}")
