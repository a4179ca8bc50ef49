"""The PKCS#11 seal: an AES-256 key inside a hardware token (HSM) wraps the root key.

Refuses to know where wraps are stored. Invariants: the token's key never leaves it, and one that could is refused
(KEY-2); each operation logs in, works and logs out, one at a time in a process, because a second session at once is
more than some modules take; a wrap is an ordinary envelope whose cipher happens to be in the token.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass, Session
from pkcs11 import exceptions as failures

from keys.envelope import KEY_ID_BYTES, TAG_BYTES, Cipher
from keys.errors import (
    CannotOpen,
    SealFileInaccessible,
    SealKeyExists,
    SealKeyMissing,
    SealKeyUnfit,
    SealRefused,
    SealUnreachable,
)
from keys.sealed import KEY_BYTES
from keys.seals.address import Pkcs11Address
from keys.seals.seal import EnvelopeSeal

_ONE_AT_A_TIME: Final = threading.Lock()
_REFUSALS: Final = (failures.PinIncorrect, failures.PinInvalid, failures.PinLenRange, failures.PinLocked)
_BITS: Final = 8


class Pkcs11Seal(EnvelopeSeal):
    """A key in a token."""

    __slots__ = ()
    kind = "pkcs11"


def load(address: Pkcs11Address) -> Pkcs11Seal:
    """Find the key and check that it cannot leave; SealUnreachable, SealRefused, SealKeyMissing or SealKeyUnfit."""
    with _session(address) as session:
        key_id = _fit(_key(session, address))
    return Pkcs11Seal(Cipher(key_id, _TokenCipher(address)))


def create(address: Pkcs11Address) -> Pkcs11Seal:
    """Make the key in the token; SealKeyExists where there is one, SealUnreachable or SealRefused."""
    with _session(address, writing=True) as session:
        if _keys(session, address):
            raise SealKeyExists(f"the token has a key of this name already: {address}")
        session.generate_key(
            KeyType.AES,
            KEY_BYTES * _BITS,
            id=os.urandom(KEY_ID_BYTES),
            label=address.label,
            store=True,
            template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
        )
    return load(address)


def destroy(address: Pkcs11Address) -> None:
    """Destroy every key of this name in the token; SealUnreachable or SealRefused."""
    with _session(address, writing=True) as session:
        for key in _keys(session, address):
            key.destroy()


class _TokenCipher:
    """AES-256-GCM in the token."""

    __slots__ = ("_address",)

    def __init__(self, address: Pkcs11Address) -> None:
        self._address = address

    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """Return ciphertext and tag."""
        with _session(self._address) as session:
            sealed: bytes = _key(session, self._address).encrypt(
                data, mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(nonce, associated_data)
            )
        return sealed

    def decrypt(self, nonce: bytes, data: bytes, associated_data: bytes) -> bytes:
        """Return the plaintext; CannotOpen for what the token does not decrypt."""
        with _session(self._address) as session:
            key = _key(session, self._address)
            try:
                opened: bytes = key.decrypt(
                    data, mechanism=Mechanism.AES_GCM, mechanism_param=_parameters(nonce, associated_data)
                )
            except failures.PKCS11Error:
                # Tokens do not agree on how a tag that does not fit is reported; some say "general error".
                raise CannotOpen from None
        return opened


def _parameters(nonce: bytes, associated_data: bytes) -> GCMParams:
    return GCMParams(nonce, associated_data, TAG_BYTES * _BITS)


@contextmanager
def _session(address: Pkcs11Address, *, writing: bool = False) -> Iterator[Session]:
    try:
        pin = address.pin_file.read_text().rstrip("\r\n")
    except OSError as error:
        raise SealFileInaccessible(f"cannot read the PIN ({error.strerror}): {address.pin_file}") from None
    with _ONE_AT_A_TIME:
        try:
            token = pkcs11.lib(str(address.module)).get_token(token_label=address.token)
            with token.open(rw=writing, user_pin=pin) as session:
                yield session
        except _REFUSALS:
            raise SealRefused(f"the token refuses the PIN: {address}") from None
        except failures.NoSuchToken:
            _start_again(address)
            raise SealUnreachable(f"there is no such token in the module: {address}") from None
        except failures.PKCS11Error as error:
            _start_again(address)
            raise SealUnreachable(f"the token does not work ({type(error).__name__}): {address}") from None


def _start_again(address: Pkcs11Address) -> None:
    """Have the module look for its tokens anew: some go on failing once a token was away, until they are told to."""
    with suppress(failures.PKCS11Error):
        pkcs11.lib(str(address.module)).reinitialize()


def _key(session: Session, address: Pkcs11Address) -> Any:
    found = _keys(session, address)
    if not found:
        raise SealKeyMissing(f"the token has no such key: {address}")
    if len(found) > 1:
        raise SealKeyUnfit(f"the token has several keys of this name: {address}")
    return found[0]


def _keys(session: Session, address: Pkcs11Address) -> list[Any]:
    return list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: address.label}))


def _fit(key: Any) -> bytes:
    """Return the key's id; SealKeyUnfit unless it is AES-256, has an id of 16 octets and can never leave the token."""
    kept = key[Attribute.SENSITIVE] and key[Attribute.NEVER_EXTRACTABLE]
    key_id: bytes = key[Attribute.ID]
    strong = key.key_type is KeyType.AES and key[Attribute.VALUE_LEN] == KEY_BYTES
    if not (kept and strong and len(key_id) == KEY_ID_BYTES):
        raise SealKeyUnfit("the token's key is not AES-256, has no id of 16 octets, or can leave the token")
    return key_id
