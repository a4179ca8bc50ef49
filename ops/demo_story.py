"""What the demo's steps share: the playground, a buyer with two cards that exist nowhere else, and what was remembered.

It refuses to know the steps. Invariants: card numbers are made at random for one run and are shown masked only; an
answer that holds one of them, or a code, is a failure.
"""

import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ops.leaks import Canaries
from ops.local_http import Answer, Call, call
from ops.playground import Playground
from vault.brands import luhn_ok

_PATIENCE: Final = 20.0
_POLL: Final = 0.1
_MIDDLE_DIGITS: Final = 8
_VISA: Final = "4539"
_MASTERCARD: Final = "5234"


class StepFailed(Exception):
    """A step of the demo did not hold; the text says what was expected."""


@dataclass(frozen=True, slots=True)
class DemoCard:
    """A card of this run."""

    number: str = field(repr=False)
    cvv: str = field(repr=False)

    @property
    def last_four(self) -> str:
        """What may be shown."""
        return self.number[-4:]

    def as_typed(self, *, with_cvv: bool) -> dict[str, Any]:
        """Give it as a checkout sends it."""
        typed: dict[str, Any] = {
            "cardNo": self.number,
            "expiryMonth": "11",
            "expiryYear": "39",
            "cardholderName": {"firstName": "Ada", "lastName": "Byron"},
        }
        return typed | ({"cvv": self.cvv} if with_cvv else {})


def new_cards() -> tuple[DemoCard, DemoCard]:
    """Make two cards with check digits that share their middle, which makes searching for both quick."""
    middle = "".join(str(secrets.randbelow(10)) for _ in range(_MIDDLE_DIGITS))
    numbers = [_with_check_digit(f"{prefix}{middle}{secrets.randbelow(900) + 100}") for prefix in (_VISA, _MASTERCARD)]
    first, second = (DemoCard(number, f"0{secrets.randbelow(90) + 10}") for number in numbers)
    return first, second


def _with_check_digit(digits: str) -> str:
    return next(digits + str(last) for last in range(10) if luhn_ok(digits + str(last)))


def expect(holds: object, expected: str) -> None:
    """Raise `StepFailed` unless something holds."""
    if not holds:
        raise StepFailed(expected)


class Story:
    """The demo's state; each step adds to it."""

    def __init__(self, playground: Playground) -> None:
        self.playground = playground
        self.state = playground.state
        self.first, self.second = new_cards()
        self.canaries = Canaries([self.first.number, self.second.number], [self.first.cvv, self.second.cvv])
        self.buyer = f"buyer-{secrets.token_hex(3)}"
        self.cards: dict[str, Mapping[str, Any]] = {}
        self.payments: dict[str, Mapping[str, Any]] = {}
        self.responses = 0

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Call the vault as the merchant's application; an answer with a canary in it raises `StepFailed`."""
        headers = {"Authorization": f"Bearer {self.state['apiKey']}"}
        answer = call(self.state["baseUrl"], Call(method, path, body, headers=headers))
        self.responses += 1
        shown = answer.text + "\n" + "\n".join(answer.headers.values())
        expect(not self.canaries.forms_in_text(shown), "no answer of the vault holds card data")
        return answer

    def sandbox(self, method: str, path: str, body: Any = None) -> Any:
        """Call the gateway simulator's control."""
        return call(self.state["sandboxUrl"], Call(method, path, body)).json

    def pay(self, name: str, path: str, amount: str, **fields: Any) -> Mapping[str, Any]:
        """Make a payment of this buyer and remember it under a name."""
        answer = self.ask("POST", path, self._request(name, amount) | fields)
        expect(answer.status in {201, 202}, f"the payment is accepted, not {answer.status}: {_problem(answer)}")
        self.payments[name] = answer.json
        return self.payments[name]

    def refused(self, name: str, path: str, amount: str) -> str:
        """Try a payment that has to be refused without reaching the gateway, and give the code."""
        answer = self.ask("POST", path, self._request(name, amount))
        expect(answer.status in {409, 422}, f"the payment is refused, not {answer.status}")
        expect(not self.sent(name, "pay"), "the gateway never hears of it")
        return str(answer.json["code"])

    def _request(self, name: str, amount: str) -> dict[str, Any]:
        return {
            "paymentRequestId": self.request_id(name),
            "paymentAmount": {"currency": "EUR", "value": amount},
            "order": {
                "referenceOrderId": f"order-{self.request_id(name)}",
                "orderDescription": "Notes on the Analytical Engine",
                "buyer": {"referenceBuyerId": self.buyer},
            },
        }

    def request_id(self, name: str) -> str:
        """Give the payment request id of a payment of this run."""
        return f"{name}-{self.buyer}"

    def settled(self, name: str) -> Mapping[str, Any]:
        """Wait until a payment is final, and give it."""
        path = f"/v1/payments/{self.payments[name]['paymentId']}"

        def final() -> bool:
            self.payments[name] = self.ask("GET", path).json
            return self.payments[name]["paymentStatus"] in {"SUCCESS", "FAIL", "CANCELLED"}

        wait_for(final, "the payment becomes final")
        return self.payments[name]

    def arm(self, name: str, scenario: str) -> None:
        """Tell the simulator how to treat the payment of this name."""
        self.sandbox("POST", "/_sandbox/scenarios", {"paymentRequestId": self.request_id(name), "scenario": scenario})

    def ledger(self, name: str) -> list[dict[str, Any]]:
        """Give the simulator's authorisation decisions on a payment."""
        rows: list[dict[str, Any]] = self.sandbox("GET", "/_sandbox/ledger")
        return [row for row in rows if row["paymentRequestId"] == self.request_id(name)]

    def sent(self, name: str, operation: str) -> list[str]:
        """Give what the vault sent to the gateway for a payment, as text."""
        rows = self.sandbox("GET", f"/_sandbox/requests?paymentRequestId={self.request_id(name)}")
        return [json.dumps(row["body"]) for row in rows if row["operation"] == operation]


def wait_for(holds: Callable[[], bool], expected: str) -> None:
    """Wait until something holds, and raise `StepFailed` when it takes too long."""
    deadline = time.monotonic() + _PATIENCE
    while not holds():
        expect(time.monotonic() < deadline, expected)
        time.sleep(_POLL)


def _problem(answer: Answer) -> str:
    try:
        body = answer.json
    except ValueError:
        return "no JSON"
    pointers = " ".join(f"{each['pointer']} {each['code']}" for each in body.get("errors", []))
    return f"{body.get('code', '?')} {pointers}".strip()
