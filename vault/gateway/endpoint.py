"""Which server is the gateway, and what makes its certificate good enough.

Refuses to know what is said to it. Invariant: over TLS the chain, the host name and the dates are always verified;
there is no switch for it (NET-2).
"""

import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vault.reachable import Network, within


def origin(gateway_url: str, *, allow_plain_http: bool) -> str:
    """Reduce a gateway URL to scheme, host and port; raises ValueError, quoting nothing, for anything that has more."""
    parts = urlsplit(gateway_url)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username is not None:
        raise ValueError("the gateway URL must look like https://host, without credentials")
    if parts.path.rstrip("/") or parts.query or parts.fragment:
        raise ValueError("the gateway URL must end after the host: paths are signed and belong to the operations")
    if parts.scheme == "http" and not allow_plain_http:
        raise ValueError("the gateway URL must start with https: outside development")
    return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True, slots=True)
class Connections:
    """How many there may be at once, and to addresses in which networks; to any without one (NET-2)."""

    most: int = 100
    networks: Sequence[Network] = ()


class OutsideNetworks(OSError):
    """The gateway's name leads to an address outside of the networks that it may be in."""


def socket_within(networks: Sequence[Network]) -> Callable[[tuple[Any, ...]], socket.socket] | None:
    """Make what opens sockets to addresses in these networks only, whatever a name says; None where any will do."""

    def opened(address: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, place = address
        if not within(place[0], networks):
            raise OutsideNetworks("the address is outside of the gateway's networks")
        return socket.socket(family, kind, protocol)

    return opened if networks else None


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Trust the system's roots and those in `ca_file` (PEM); raises OSError for an unusable file."""
    # Not ssl.create_default_context: with SSLKEYLOGFILE in the environment it writes the session keys to a file.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if ca_file is not None:
        context.load_verify_locations(cafile=ca_file)
    return context
