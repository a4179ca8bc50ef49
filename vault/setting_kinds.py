"""What single settings may be: URLs, seals, networks, lists of seconds; each says how to mend what it refuses.

Refuses to know which setting it is asked about. Invariant: a refusal is a fixed text and repeats no value.
"""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final, LiteralString, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import SecretStr
from pydantic_core import PydanticCustomError

from keys.errors import SealAddressInvalid
from keys.seals.address import addresses

Network: TypeAlias = IPv4Network | IPv6Network

_SYSLOG_PORTS: Final = {"syslog+tcp": 514, "syslog+tls": 6514}
_FILE: Final = "file:"
_SECRET_FILE_LIMIT: Final = 65_536
_LONGEST_PAUSE: Final = 7 * 86_400.0
_MOST_PAUSES: Final = 100


def refusal(mend: LiteralString) -> PydanticCustomError:
    """Make the error whose text reaches the operator; `mend` is a literal of this module."""
    return PydanticCustomError("setting", mend)


def secret_in(path: Path) -> str:
    """Read a file that holds a secret alone, and leave the last newline away."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_SECRET_FILE_LIMIT + 1)
    except (OSError, ValueError):
        raise refusal("the file cannot be read; check its path and its permissions") from None
    if not text.strip() or len(text) > _SECRET_FILE_LIMIT:
        raise refusal("the file is empty or too long; it has to hold the value alone")
    return text.rstrip("\r\n")


def _split(text: str) -> SplitResult:
    """Take a URL apart, also one with several hosts; one that cannot be is refused without repeating it."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise refusal("holds characters that a URL cannot have")
    try:
        parts = urlsplit(text)
        _ = [urlsplit(f"//{host}").port for host in parts.netloc.rpartition("@")[2].split(",")]
    except ValueError:
        raise refusal("is not a URL") from None
    return parts


def database_url(url: SecretStr) -> SecretStr:
    """Check a PostgreSQL URL, of one host or several, and give it with the plain `postgresql` scheme."""
    text = url.get_secret_value()
    parts = _split(text)
    if parts.scheme not in {"postgresql", "postgresql+asyncpg"}:
        raise refusal("has to start with postgresql:// or postgresql+asyncpg://")
    if not (parts.hostname or "host=" in parts.query) or len(parts.path) < len("/x"):
        raise refusal("needs a host and a database: postgresql://user:password@host:5432/database")
    return SecretStr("postgresql" + text[text.index("://") :])


def web_url(url: str) -> str:
    """Check an http or https URL and give it without a slash at its end."""
    parts = _split(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "," in parts.netloc:
        raise refusal("has to be a full URL such as https://host.example")
    if parts.username is not None or parts.query or parts.fragment:
        raise refusal("must not hold a user, a query or a fragment")
    return url.rstrip("/")


def gateway_url(url: str) -> str:
    """Check the address of the gateway, or of a collector; the paths below it are ours to add."""
    address = web_url(url)
    if urlsplit(address).path:
        raise refusal("must end after the host: the paths are added by the vault")
    return address


def seals(text: str) -> str:
    """Check one address of a seal or several; which kinds there are, `keys.seals.address` says."""
    try:
        addresses(text)
    except SealAddressInvalid as error:
        raise PydanticCustomError("setting", "{mend}", {"mend": str(error)}) from None
    return text


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """A receiver of syslog; `str` gives its URL, without anything secret in it."""

    host: str
    port: int
    tls: bool

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"syslog+{'tls' if self.tls else 'tcp'}://{host}:{self.port}"


def _addresses(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")]


def _syslog(text: str) -> SyslogAddress:
    """Read the address of one receiver of syslog."""
    parts = _split(text)
    if parts.scheme not in _SYSLOG_PORTS or not parts.hostname or parts.username is not None:
        raise refusal("has to be syslog+tls://host:6514 or syslog+tcp://host:514, separated by commas")
    if parts.path or parts.query or parts.fragment:
        raise refusal("must end after the port of a receiver of syslog")
    return SyslogAddress(parts.hostname, parts.port or _SYSLOG_PORTS[parts.scheme], parts.scheme.endswith("tls"))


def syslogs(text: str | None) -> tuple[SyslogAddress, ...]:
    """Read receivers of syslog, separated by commas; what is no receiver's address is left out."""
    return tuple(_syslog(each) for each in _addresses(text or "") if each.partition(":")[0] in _SYSLOG_PORTS)


def anchor_file(text: str) -> Path | None:
    """Give the file among anchors."""
    files = [each for each in _addresses(text) if each.partition(":")[0] not in _SYSLOG_PORTS]
    return Path(files[0].removeprefix(_FILE)) if files else None


def anchors(text: str) -> str:
    """Check anchors: a file, named by its absolute path, and receivers of syslog."""
    files = 0
    for each in _addresses(text):
        if each.startswith("syslog"):
            _syslog(each)
        elif not Path(each.removeprefix(_FILE)).is_absolute():
            raise refusal("has to be file: and the absolute path of a file outside the database, file:/path/to/a/file")
        else:
            files += 1
    if files > 1:
        raise refusal("has to name one file at the most: each worker compares the log with it")
    return text


def streams(text: str) -> str:
    """Check receivers of syslog."""
    for each in _addresses(text):
        _syslog(each)
    return text


def networks(text: object) -> object:
    """Read a comma-separated list of CIDR blocks; a block that holds every address would trust everybody."""
    if not isinstance(text, str):
        return text
    try:
        networks = tuple(ip_network(item.strip()) for item in text.split(",") if item.strip())
    except ValueError:
        raise refusal("has to be CIDR blocks separated by commas, such as 10.0.0.0/8,192.0.2.7/32") from None
    if any(network.prefixlen == 0 for network in networks):
        raise refusal("must not hold a block of all addresses: everybody would then be trusted")
    return networks


def pauses(text: object) -> object:
    """Read a comma-separated list of seconds."""
    if not isinstance(text, str):
        return text
    try:
        seconds = tuple(float(item) for item in text.split(","))
    except ValueError:
        seconds = ()
    if not 0 < len(seconds) <= _MOST_PAUSES or not all(0 < each <= _LONGEST_PAUSE for each in seconds):
        raise refusal("has to be 1 to 100 numbers of seconds separated by commas, such as 5,300,1800")
    return seconds


def is_loopback(url: str) -> bool:
    """Tell whether a URL's host is this machine, by name or by address."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
