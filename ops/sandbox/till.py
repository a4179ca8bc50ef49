"""Moves money on authorisations: captures it, gives it back, and tells the merchant.

Refuses to know which captures and refunds are allowed. Invariants: a capture or refund is settled once; its
notification waits for the answer, unless told to come first.
"""

from __future__ import annotations

from ops.sandbox.book import Book, Payment, PaymentStatus
from ops.sandbox.config import SandboxConfig
from ops.sandbox.identifiers import capture_request_id, gateway_id
from ops.sandbox.ledger import Movement, MovementKind, MovementStatus, Order, Row
from ops.sandbox.messages import movement_notification
from ops.sandbox.notifier import Notifier, Sends, notice
from ops.sandbox.results import Code
from ops.sandbox.scenarios import Scenario
from ops.sandbox.timers import Timers


class Till:
    """The captures and refunds of one sandbox."""

    def __init__(self, config: SandboxConfig, book: Book, notifier: Notifier, timers: Timers) -> None:
        self._config = config
        self._book = book
        self._notifier = notifier
        self._timers = timers

    def move(self, payment: Payment, row: Row, order: Order, scenario: Scenario) -> Movement:
        """Capture or refund, now or later; what follows is held back until `release`."""
        now = self._config.clock()
        client_id = payment.intake.client_id
        movement = Movement(order, gateway_id(now), client_id, row.payment_id, row.payment_request_id, scenario, now)
        row.movements.append(movement)
        self._book.add_movement(movement)
        if scenario.late_success:
            self._timers.later(self._config.late_after, lambda: self._settle(movement))
        else:
            self._settle(movement)
        return movement

    def capture_all(self, payment: Payment) -> None:
        """Capture an authorisation as the gateway does by itself, unless it was voided meanwhile."""
        if payment.status is not PaymentStatus.SUCCESS or payment.row is None:
            return
        request = payment.intake.request
        order = Order(MovementKind.CAPTURE, capture_request_id(), request.amount, request.notify_url)
        capture = self.move(payment, payment.row, order, Scenario(notifying=payment.intake.scenario.notifying))
        self.release(capture)

    def _settle(self, movement: Movement) -> None:
        declined = movement.scenario.decline
        movement.status = MovementStatus.SUCCESS if declined is None else MovementStatus.FAIL
        movement.code = declined or Code.SUCCESS
        movement.time = self._config.clock()
        self._follow(movement)

    def release(self, movement: Movement) -> Sends:
        """Let go of what waited for the answer; return the notifications that this started."""
        movement.held = False
        return self._follow(movement)

    def _follow(self, movement: Movement) -> Sends:
        """Notify of an outcome, once there is one and the answer has gone out."""
        url = movement.order.notify_url
        if movement.held or movement.status is MovementStatus.PROCESSING or url is None:
            return ()
        item = notice(movement.client_id, url, movement_notification(movement))
        return self._notifier.announce(item, movement.scenario.notifying)
