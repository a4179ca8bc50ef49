"""The address of a seal: what the setting CARDVAULT_SEAL and operators' commands name.

Refuses to know whether anything is there. Invariants: an address holds no secret, only where one lies (a PIN in it is
refused); what is refused is not repeated in the message.
"""

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

from keys.errors import SealAddressInvalid

Network: TypeAlias = IPv4Network | IPv6Network

_SEPARATOR: Final = re.compile(r"[\s,]+(?=(?:local|pkcs11|awskms|transit):)")
_ARN: Final = re.compile(r"arn:aws[a-z-]*:kms:(?P<region>[a-z0-9-]+):[0-9]{12}:key/[A-Za-z0-9-]+")
_LOCAL: Final = "has to be local: and the absolute path of the keystore file, local:/path/to/keystore"
_PKCS11: Final = (
    "has to be pkcs11:token=LABEL;object=KEY?module-path=/path/to/module.so&pin-source=file:/path/to/pin, "
    "with no PIN in it"
)
_AWSKMS: Final = "has to be awskms: and a key's full ARN, awskms:arn:aws:kms:REGION:ACCOUNT:key/ID; aliases can move"
_ENDPOINT: Final = "has an endpoint that is neither https nor http on this machine"
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """A keystore file and the file with its passphrase; None: the installation's usual one."""

    path: Path
    passphrase_file: Path | None = None

    def __str__(self) -> str:
        return f"local:{self.path}"


@dataclass(frozen=True, slots=True)
class Pkcs11Address:
    """A key in a PKCS#11 token (RFC 7512): the vendor's module, the labels of token and key, the file with the PIN."""

    module: Path
    token: str
    label: str
    pin_file: Path

    def __str__(self) -> str:
        return f"pkcs11:token={self.token};object={self.label}"


@dataclass(frozen=True, slots=True)
class AwsKmsAddress:
    """A key of AWS KMS by its ARN; `endpoint` only where it is not the region's own.

    With `networks` nothing is said to an address outside of them, whatever the endpoint's name leads to (NET-2).
    """

    arn: str
    region: str
    endpoint: str | None = None
    networks: tuple[Network, ...] = ()

    def __str__(self) -> str:
        return f"awskms:{self.arn}"


SealAddress: TypeAlias = LocalAddress | Pkcs11Address | AwsKmsAddress


def addresses(text: str) -> tuple[SealAddress, ...]:
    """Read one address or several, separated by blanks or commas; SealAddressInvalid also for one named twice."""
    found = tuple(address(each) for each in _SEPARATOR.split(text.strip()))
    if len({str(each) for each in found}) < len(found):
        raise SealAddressInvalid("names a seal twice")
    return found


def address(uri: str) -> SealAddress:
    """Read one address; SealAddressInvalid says what is expected instead."""
    scheme, _, rest = uri.partition(":")
    main, _, query = rest.partition("?")
    match scheme:
        case "local":
            return _local(main, _pairs(query, _LOCAL))
        case "pkcs11":
            return _pkcs11(main, _pairs(query, _PKCS11))
        case "awskms":
            return _awskms(main, _pairs(query, _AWSKMS))
        case "transit":
            raise SealAddressInvalid("names a seal that this version does not have; use local, pkcs11 or awskms")
        case _:
            raise SealAddressInvalid(f"{_LOCAL}; or pkcs11:… or awskms:…")


def _pairs(query: str, mend: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, strict_parsing=bool(query))
    except ValueError:
        raise SealAddressInvalid(mend) from None
    if len(dict(pairs)) < len(pairs):
        raise SealAddressInvalid(mend)
    return dict(pairs)


def _local(path: str, query: dict[str, str]) -> LocalAddress:
    passphrase = query.pop("passphrase-file", None)
    if query or not _absolute(path, *([] if passphrase is None else [passphrase])):
        raise SealAddressInvalid(_LOCAL)
    return LocalAddress(Path(path), None if passphrase is None else Path(passphrase))


def _pkcs11(attributes: str, query: dict[str, str]) -> Pkcs11Address:
    named = dict(each.partition("=")[::2] for each in attributes.split(";"))
    module, source = query.get("module-path", ""), query.get("pin-source", "").removeprefix("file:")
    exact = named.keys() == {"token", "object"} and query.keys() == {"module-path", "pin-source"}
    if not exact or not all(named.values()) or not _absolute(module, source):
        raise SealAddressInvalid(_PKCS11)
    return Pkcs11Address(Path(module), unquote(named["token"]), unquote(named["object"]), Path(source))


def _awskms(arn: str, query: dict[str, str]) -> AwsKmsAddress:
    endpoint = query.pop("endpoint", None)
    match = _ARN.fullmatch(arn)
    if match is None or query:
        raise SealAddressInvalid(_AWSKMS)
    if endpoint is not None and not _trustworthy(endpoint):
        raise SealAddressInvalid(_ENDPOINT)
    return AwsKmsAddress(arn, match["region"], endpoint)


def _trustworthy(endpoint: str) -> bool:
    try:
        parts = urlsplit(endpoint)
    except ValueError:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


def _absolute(*paths: str) -> bool:
    return all(Path(path).is_absolute() and path.isprintable() for path in paths)
