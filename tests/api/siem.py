"""A receiver of syslog in tests: does with each connection as it is told, and keeps the messages it has read.

It refuses to use the product's framing: messages are taken apart by RFC 6587 section 3.4.1.
"""

import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias

_MESSAGE = re.compile(
    rb"<(?P<pri>\d{1,3})>1 (?P<at>\S+) (?P<host>[!-~]{1,255}) cardvault - (?P<kind>[!-~]{1,32}) "
    rb'\[origin software="cardvault"\]\[meta sequenceId="(?P<number>\d+)"\] \xef\xbb\xbf(?P<text>.*)',
    re.DOTALL,
)
Behaviour: TypeAlias = Callable[["Siem", socket.socket], None]


@dataclass(frozen=True, slots=True)
class Heard:
    """A message, taken apart."""

    priority: int
    kind: str
    number: int
    text: dict[str, Any]


@dataclass(slots=True)
class Siem:
    """What was heard, and how connections are treated from now on."""

    behaviour: Behaviour
    port: int = 0
    read: list[bytes] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def heard(self) -> list[Heard]:
        """All messages that were read to their end, of every connection."""
        return [_heard(each) for octets in self.read for each in _messages(octets)]

    @property
    def places(self) -> list[int]:
        """The places of all events, in the order in which they came."""
        return [each.text["place"] for each in self.heard if "place" in each.text]


def _messages(octets: bytes) -> Iterator[bytes]:
    while octets:
        length, _, rest = octets.partition(b" ")
        if len(rest) < int(length or b"0"):
            return
        yield rest[: int(length)]
        octets = rest[int(length) :]


def _heard(message: bytes) -> Heard:
    parts = _MESSAGE.fullmatch(message)
    assert parts, message
    return Heard(int(parts["pri"]), parts["kind"].decode(), int(parts["number"]), json.loads(parts["text"]))


def orderly(siem: Siem, connection: socket.socket, *, chunk: int = 65_536) -> None:
    """Read to the end and close."""
    siem.read.append(b"")
    while octets := connection.recv(chunk):
        siem.read[-1] += octets
    if isinstance(connection, ssl.SSLSocket):
        connection.unwrap()


def slow(siem: Siem, connection: socket.socket) -> None:
    """Read to the end, little by little."""
    orderly(siem, connection, chunk=300)


def talkative(siem: Siem, connection: socket.socket) -> None:
    """Read to the end, and say something that nobody asked for."""
    orderly(siem, connection)
    connection.sendall(b"thank you\n")


def half(siem: Siem, connection: socket.socket) -> None:
    """Read a part and cut the connection."""
    siem.read.append(connection.recv(700))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def deaf(_siem: Siem, connection: socket.socket) -> None:
    """Cut the connection without reading."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hanging(siem: Siem, _connection: socket.socket) -> None:
    """Neither read nor close."""
    siem.ended.wait(10)


def forgetful(siem: Siem, connection: socket.socket) -> None:
    """Read everything, and never say so."""
    while connection.recv(65_536):
        pass
    siem.ended.wait(10)


@contextmanager
def receiving(behaviour: Behaviour = orderly, tls: ssl.SSLContext | None = None) -> Iterator[Siem]:
    """Listen on a free port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        siem = Siem(behaviour, listener.getsockname()[1])
        thread = threading.Thread(target=_serve, args=(siem, listener, tls))
        thread.start()
        try:
            yield siem
        finally:
            siem.ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(siem: Siem, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
    with suppress(OSError):
        while True:
            plain, _ = listener.accept()
            with plain, suppress(OSError):
                if tls is None:
                    siem.behaviour(siem, plain)
                else:
                    with tls.wrap_socket(plain, server_side=True) as connection:
                        siem.behaviour(siem, connection)
