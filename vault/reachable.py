"""Which network addresses webhooks may be sent to: public ones, and those that the operator allowed.

It refuses to know names and URLs: what is judged is the address of a connection, at the moment it is made, so that
neither a name that changes its mind nor an unusual spelling matters. Invariant: addresses of hosts' metadata and of
links are never reachable, whatever is allowed (controls.md WHK-4; OWASP API7:2023).
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final, TypeAlias

Network: TypeAlias = IPv4Network | IPv6Network

# Links, "this host", groups of hosts, and the metadata services of clouds that lie outside of the link's addresses.
_NEVER: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "::/128",
        "fe80::/10",
        "ff00::/8",
        "fd00:ec2::254/128",
        "fd20:ce::254/128",
    )
)
_PUBLIC_IPV6: Final = IPv6Network("2000::/3")
_TRANSLATED: Final = IPv6Network("64:ff9b::/96")
_TUNNELS: Final = (IPv6Network("2001::/32"), IPv6Network("2002::/16"))


def reachable(text: str, allowed: Sequence[Network] = ()) -> bool:
    """Tell whether a connection to this address may be made; False for what is not an address in its usual spelling."""
    try:
        address = _meant(ip_address(text))
    except ValueError:
        return False
    if any(address in network for network in _NEVER):
        return False
    return _is_public(address) or any(address in network for network in allowed)


def within(text: str, networks: Sequence[Network]) -> bool:
    """Tell whether an address is in one of these networks; False for what is not an address."""
    try:
        address = _meant(ip_address(text))
    except ValueError:
        return False
    return any(address in network for network in networks)


def _meant(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Give the IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, IPv4Address):
        return address
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global
    tunnel = any(address in network for network in _TUNNELS)
    return address in _PUBLIC_IPV6 and address.is_global and not tunnel
