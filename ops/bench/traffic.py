"""The requests of a measurement, as the bytes that go over the wire.

It refuses to know connections and clocks. Invariant: a stored card and a payment request id are new each time, in every
run on one installation.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from random import Random
from typing import Final
from urllib.parse import urlsplit

from ops.bench.filling import Population
from ops.bench.plan import Case
from ops.bench.shop import GatewayCall, Shop

# Made-up numbers of one prefix: ten digits at random, then the check digit.
_PREFIX: Final = "45399"
_RANDOM_DIGITS: Final = 10
_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
_PLAIN: Final = bytes.maketrans(b"0123456789", bytes(range(10)))
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_LETTERS_OF_A_RUN: Final = 12

EXPECTED: Final[Mapping[Case, int]] = {
    Case.STORE: 201,
    Case.PAY: 201,
    Case.KEPT: 201,
    Case.LIST: 200,
    Case.DIRECT: 200,
}


def requests_for(case: Case, url: str, shop: Shop, population: Population) -> Iterator[bytes]:
    """Give requests of one kind to the server at `url`, without end."""
    choice = Random(secrets.randbits(64))  # noqa: S311 - it spreads load, it guards nothing
    run = "".join(secrets.choice(_LETTERS) for _ in range(_LETTERS_OF_A_RUN))
    host = urlsplit(url).netloc
    if case is Case.DIRECT:
        return _signed(GatewayCall(shop), host, run)
    head = f"Host: {host}\r\nAuthorization: Bearer {shop.api_key}\r\n"
    return _BUILDERS[case](head, shop, population, choice, run)


def card_number(choice: Random) -> str:
    """Make a card number up; it has the right check digit."""
    return numbered_card(choice.randrange(10**_RANDOM_DIGITS))


def numbered_card(place: int) -> str:
    """Give the made-up card number of a place below 10^10."""
    digits = f"{_PREFIX}{place:0{_RANDOM_DIGITS}}".encode()
    total = sum(digits[::-2].translate(_DOUBLED)) + sum(digits[-2::-2].translate(_PLAIN))
    return f"{digits.decode()}{-total % 10}"


def _storing(head: str, _shop: Shop, _population: Population, choice: Random, run: str) -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        yield _post("/v1/cards", head, _card_body(f"new-{run}-{number}", card_number(choice)))


def _card_body(buyer: str, number: str) -> str:
    card = f'{{"cardNo":"{number}","expiryMonth":"11","expiryYear":"39"}}'
    return f'{{"referenceBuyerId":"{buyer}","storage":"VAULT","card":{card}}}'


def _paying(
    head: str, shop: Shop, _population: Population, choice: Random, run: str, route: str = "payments"
) -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        yield _post(f"/v1/cards/{choice.choice(shop.cards)}/{route}", head, payment_body(f"{run}-{number}"))


def payment_body(request_id: str) -> str:
    """Give the body of a payment with a stored card."""
    order = f'{{"referenceOrderId":"order-{request_id}","orderDescription":"One more book"}}'
    amount = '{"currency":"EUR","value":"1290"}'
    return f'{{"paymentRequestId":"{request_id}","paymentAmount":{amount},"order":{order}}}'


def _listing(head: str, _shop: Shop, population: Population, choice: Random, _run: str) -> Iterator[bytes]:
    while True:
        yield f"GET /v1/buyers/{population.buyer(choice)}/cards HTTP/1.1\r\n{head}\r\n".encode()


def _signed(call: GatewayCall, host: str, run: str) -> Iterator[bytes]:
    number = 0
    while True:
        number += 1
        body = call.body(f"{run}-{number}")
        lines = "".join(f"{name}: {value}\r\n" for name, value in call.headers(body).items())
        head = f"POST {call.path} HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        yield head.encode() + body


def _post(path: str, head: str, body: str) -> bytes:
    length = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return f"POST {path} HTTP/1.1\r\n{head}{length}{body}".encode()


_BUILDERS: Final[Mapping[Case, Callable[[str, Shop, Population, Random, str], Iterator[bytes]]]] = {
    Case.STORE: _storing,
    Case.PAY: _paying,
    Case.KEPT: partial(_paying, route="payments/kept"),
    Case.LIST: _listing,
}
