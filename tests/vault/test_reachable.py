"""Which addresses webhooks may go to (WHK-4): public ones; nothing that only looks public; never a host's metadata."""

from ipaddress import ip_network

import pytest

from vault.reachable import reachable, within

PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "203.0.113.9",
    "240.0.0.1",
    "::1",
    "fc00::1",
    "fec0::1",
    "2001:db8::1",
    "5f00::1",
    "100::1",
    "::ffff:10.1.2.3",
    "::10.1.2.3",
    "64:ff9b::10.1.2.3",
    "64:ff9b:1::1",
    "2002:0808:0808::1",
    "2001:0:808:808::1",
]
NEVER = [
    "0.0.0.0",
    "169.254.169.254",
    "255.255.255.255",
    "224.0.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::169.254.169.254",
]
NO_ADDRESS = ["", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "shop.example", "127.0.0.1/8", " 8.8.8.8"]
EVERYTHING = [ip_network(each) for each in ("0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1")]


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"])
def test_public_addresses_are_reachable(address: str) -> None:
    assert reachable(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_others_are_reachable_where_they_are_allowed_alone(address: str) -> None:
    assert not reachable(address)
    assert not reachable(address, [ip_network("192.0.2.0/24")])
    assert reachable(address, EVERYTHING)


@pytest.mark.parametrize("address", [*NEVER, *NO_ADDRESS])
def test_some_are_never_reachable(address: str) -> None:
    assert not reachable(address, EVERYTHING)


@pytest.mark.parametrize(
    ("text", "inside"), [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.1.2.3", False), ("gateway.example", False)]
)
def test_an_address_is_within_networks_in_every_spelling(text: str, *, inside: bool) -> None:
    assert within(text, [ip_network("10.0.0.0/8")]) is inside
