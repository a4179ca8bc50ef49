"""Syslog (RFC 5424) over TCP and TLS (RFC 6587, RFC 5425), such that what was taken over is known.

It refuses to know what is told and how far one is. Invariants: messages are counted octets, so that nothing in one can
begin another; a delivery has succeeded when the receiver, told that no more comes, has read to that end and closed its
side in order, which over TLS is its own close_notify (RFC 5425 section 4.4). Source: controls.md EXP-5, EXP-7.
"""

import socket
import ssl
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Final

from vault.setting_kinds import SyslogAddress

_LOG_AUDIT: Final = 13
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_LONGEST_HOST: Final = 255
_LONGEST_ID: Final = 32
_NUMBERS: Final = 2**31 - 1
_BOM: Final = b"\xef\xbb\xbf"
_READ: Final = 4096


class Severity(IntEnum):
    """How loud a message is (RFC 5424 section 6.2.1)."""

    ALERT = 1
    WARNING = 4
    NOTICE = 5


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `kind` becomes the MSGID, `number` the sequence id, by which a receiver finds gaps."""

    severity: Severity
    at: datetime
    kind: str
    number: int
    text: bytes


def encoded(message: Message, host: str) -> bytes:
    """Give a message's octets; `host` is the name of this machine."""
    header = " ".join(
        (
            f"<{_LOG_AUDIT * 8 + message.severity}>1",
            message.at.astimezone(UTC).strftime(_TIME),
            _printable(host, _LONGEST_HOST),
            "cardvault",
            "-",
            _printable(message.kind, _LONGEST_ID),
            f'[origin software="cardvault"][meta sequenceId="{message.number % _NUMBERS + 1}"] ',
        )
    )
    return header.encode() + _BOM + message.text


def _printable(text: str, longest: int) -> str:
    """Give the printable ASCII of a name, or the sign for none."""
    return "".join(char for char in text if "!" <= char <= "~")[:longest] or "-"


def deliver(address: SyslogAddress, tls: ssl.SSLContext, messages: Sequence[bytes], *, patience: float) -> None:
    """Send messages and wait until the receiver has read all of them; raises OSError whatever goes wrong.

    `patience` is in seconds, for connecting, for sending, and for the end each.
    """
    octets = b"".join(b"%d %b" % (len(each), each) for each in messages)
    with ExitStack() as stack:
        plain = stack.enter_context(socket.create_connection((address.host, address.port), timeout=patience))
        if address.tls:
            connection = stack.enter_context(tls.wrap_socket(plain, server_hostname=address.host))
            connection.sendall(octets)
            connection.unwrap()
        else:
            plain.sendall(octets)
            plain.shutdown(socket.SHUT_WR)
            while plain.recv(_READ):
                pass
