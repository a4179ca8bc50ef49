"""Secret values as types: what cannot be printed cannot leak by printing.

Knows nothing of what the secrets mean. Invariant: a sealed value is immutable, has no `__dict__`, and gives its content
to nothing but `reveal()`; text conversion, copying, pickling, hashing and serialisation give a placeholder or raise.
Subclasses declare `__slots__` and assign each of their slots once, in the constructor; a second assignment raises.
Python cannot wipe memory: sealing keeps a secret out of logs and copies made by accident, not out of a core dump.
"""

import hmac
import os
import re
from typing import Any, Final, Generic, NoReturn, Self, TypeVar

KEY_BYTES: Final = 32

_SURROGATES: Final = re.compile("[\ud800-\udfff]")

T = TypeVar("T", str, bytes)


class Sealed(Generic[T]):
    """One secret text or octet string behind one door."""

    __slots__ = ("__value",)

    def __init__(self, value: T) -> None:
        if not isinstance(value, (str, bytes)):
            raise TypeError("only text or octets can be sealed")
        # Encoding such text would raise later, with an exception that holds the secret.
        if not value.isascii() and not _encodable(value):
            raise ValueError("text with lone surrogates cannot be sealed")
        self.__value: T = value

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__slots__" not in cls.__dict__:
            raise TypeError(f"{cls.__name__} must declare __slots__: a __dict__ would make it mutable")

    def reveal(self) -> T:
        """Return the secret; call it inline only, so that no local variable holds the result."""
        return self.__value

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __format__(self, format_spec: str, /) -> str:
        return repr(self)

    def __setattr__(self, name: str, value: object, /) -> None:
        # Once per slot: a subclass assigns in its constructor, and nobody assigns again.
        if hasattr(self, name):
            raise AttributeError(f"{type(self).__name__} is immutable")
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str, /) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __eq__(self, other: object, /) -> bool:
        if not isinstance(other, Sealed) or type(other) is not type(self):
            return NotImplemented
        return hmac.compare_digest(_octets(self.__value), _octets(other.__value))

    def __hash__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} has no hash: an unkeyed digest of a secret is a leak")

    def __reduce_ex__(self, protocol: object, /) -> NoReturn:
        # Serves pickle, copy.copy, copy.deepcopy and, through the latter, dataclasses.asdict.
        raise TypeError(f"{type(self).__name__} cannot be copied or pickled")

    def __getstate__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} has no state to give")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _handler: object) -> dict[str, Any]:
        """Let a model hold the value (instances only) and make every dump of that model raise."""
        refuse = {"type": "function-plain", "function": _refuse_serialisation}
        return {"type": "is-instance", "cls": cls, "serialization": refuse}


def _encodable(value: str | bytes) -> bool:
    return isinstance(value, bytes) or _SURROGATES.search(value) is None


def _octets(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode()


def _refuse_serialisation(_value: object) -> NoReturn:
    raise TypeError("a sealed value cannot be serialised")


class KeyMaterial(Sealed[bytes]):
    """Exactly 256 bits of key."""

    __slots__ = ()

    def __init__(self, value: bytes) -> None:
        if type(value) is not bytes or len(value) != KEY_BYTES:
            raise ValueError("key material is exactly 32 octets")
        super().__init__(value)

    @classmethod
    def generate(cls) -> Self:
        """Return fresh key material from the operating system's generator (KEY-5)."""
        return cls(os.urandom(KEY_BYTES))


class Plaintext(Sealed[bytes]):
    """What an opened envelope gives."""

    __slots__ = ()
