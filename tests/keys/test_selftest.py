from dataclasses import replace

import pytest

from keys.errors import SelfTestFailed
from keys.selftest import KNOWN_ANSWERS, KnownAnswer, refuses_forgery, run


def test_every_primitive_gives_its_published_answer() -> None:
    """T-11."""
    run()


@pytest.mark.parametrize("known", KNOWN_ANSWERS, ids=lambda known: known.primitive)
def test_a_wrong_answer_of_any_primitive_is_named(known: KnownAnswer) -> None:
    wrong = replace(known, expected=bytes([known.expected[0] ^ 1]) + known.expected[1:])
    with pytest.raises(SelfTestFailed, match=known.primitive):
        run([*KNOWN_ANSWERS, wrong])


def test_the_forgery_check_would_notice_a_cipher_that_opens() -> None:
    genuine = next(known.expected for known in KNOWN_ANSWERS if known.primitive == "AES-256-GCM seal")
    assert refuses_forgery(genuine) != b"refused"
