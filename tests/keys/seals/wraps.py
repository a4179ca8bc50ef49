"""What every seal is held to, whatever kind it is."""

import pytest

from keys.errors import CannotOpen, RootKeyMismatch
from keys.rootkey import RootKey
from keys.seals.seal import Seal
from tests.keys.rows import ENVIRONMENT


def opened(seal: Seal, blob: bytes, root: RootKey, **changes: object) -> RootKey:
    """Open a wrap as what it is recorded to be, or with changes to that."""
    expected = {"key_id": root.key_id, "version": 1, "environment": ENVIRONMENT, "check_value": root.check_value()}
    return seal.unwrap_root(blob, **{**expected, **changes})  # type: ignore[arg-type]  # mixed


def require_a_good_seal(seal: Seal, foreign: Seal, root: RootKey) -> None:
    """T-1, T-2, T-3, KEY-12, KEY-14: a wrap opens where it belongs, and an altered or moved one nowhere."""
    blob = seal.wrap_root(root, ENVIRONMENT)
    assert opened(seal, blob, root) == root
    assert seal.wrap_root(root, ENVIRONMENT) != blob
    middle = len(blob) // 2
    altered = [blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :] for at in (0, 20, middle, len(blob) - 1)]
    for bad in (b"", blob[:-1], blob + b"\x00", *altered, foreign.wrap_root(root, ENVIRONMENT)):
        with pytest.raises(CannotOpen):
            opened(seal, bad, root)
    for change in ({"key_id": bytes(16)}, {"version": 2}, {"environment": "production"}):
        with pytest.raises(CannotOpen):
            opened(seal, blob, root, **change)
    with pytest.raises(RootKeyMismatch):
        opened(seal, blob, root, check_value=bytes(16))
