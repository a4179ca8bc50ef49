"""Captures and refunds: bounded under a lock on their payment, written before the call, sent once.

It refuses to know HTTP, SQL and what the outcome is; that is recorded as evidence about the payment. Invariants: one
request id is one movement and one call; a request refused before anything was sent leaves nothing behind; nothing is
refused for what the vault may merely not have heard of before the gateway was asked (design sections 3 and 4).
"""

import hmac
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from keys.keyring import Fingerprint
from vault.audit.events import Event, EventType, Origin
from vault.auth import Caller
from vault.card_intake import check_references
from vault.directory import Account
from vault.errors import IdempotencyConflict, InProgress, NotFound
from vault.gateway.limits import Deadline
from vault.gateway.messages import movement_body
from vault.money import Amount
from vault.movement import Movement, MovementKind
from vault.movement_errors import NotCaptured, PaymentNotCapturable, PaymentNotRefundable, RefundAmountExceeded
from vault.payment import Payment, Status
from vault.payments.bounds import check_capture, check_last, check_refund, owed_back
from vault.payments.drafting import Asked
from vault.payments.settling import fresh_id
from vault.payments.transitions import capture_status, changed
from vault.payments.writing_ahead import Tools, WriteAhead
from vault.store import movements, payments
from vault.store.movements import MovementDraft
from vault.wire.movements import MovementRequest, RefundRequest

_CREATED: Final = {MovementKind.CAPTURE: EventType.CAPTURE_CREATED, MovementKind.REFUND: EventType.REFUND_CREATED}
_CHECKS: Final = {MovementKind.CAPTURE: check_capture, MovementKind.REFUND: check_refund}
# Refusals that an inquiry may show to be wrong.
_DOUBTFUL: Final = (NotCaptured, RefundAmountExceeded, PaymentNotCapturable, PaymentNotRefundable)


@dataclass(frozen=True, slots=True)
class Moved:
    """A capture or refund as it stands, and whether this request only found it."""

    movement: Movement
    replayed: bool


@dataclass(frozen=True, slots=True)
class _Call:
    """A movement that is to be made: for whom, what is sent, and how it is written down."""

    account: Account
    request: MovementRequest
    draft: MovementDraft
    origin: Origin


class Moving:
    """The service behind `/v1/payments/{paymentId}/captures` and `/refunds`."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._ahead = WriteAhead(tools)

    async def move(self, caller: Caller, payment_id: str, request: MovementRequest, body: dict[str, object]) -> Moved:
        """Capture or refund an amount of a payment.

        Raises what `check_capture`, `check_last` and `check_refund` raise, `NotFound`, `IdempotencyConflict`,
        `InProgress`.
        """
        async with self._tools.database.session() as session:
            payment = await payments.find(session, caller.merchant_id, payment_id)
        if payment is None:
            raise NotFound
        account = await self._tools.directory.account(caller.merchant_id, caller.origin)
        word = request.kind.word
        check_references(account.merchant, [(f"/{word}RequestId", request.request_id)])
        asked = Asked(caller, account.merchant, f"payments/{payment_id}/{word}s", body)
        known = await self._replayed(asked, request)
        if known is not None:
            return known
        digest = await self._tools.drafter.digest(asked)
        draft = self._draft(request, request.amount.amount, caller.client_id, digest)
        moved = await self._attempt(payment, _Call(account, request, draft, caller.origin))
        if moved is None:
            moved = await self._replayed(asked, request)
        assert moved is not None  # noqa: S101 - its request id was taken, and movements are never deleted
        return moved

    async def find_refund(self, caller: Caller, refund_id: str) -> Movement:
        """Give a refund; raises `NotFound`, also for another merchant's."""
        async with self._tools.database.session() as session:
            refund = await movements.find(session, caller.merchant_id, MovementKind.REFUND, refund_id)
        if refund is None:
            raise NotFound
        return refund

    async def give_back(self, account: Account, payment: Payment, origin: Origin) -> None:
        """Refund what was captured of an authorisation that came too late to be wanted and too late to be voided."""
        amount = Amount.of_minor(payment.amount.currency, owed_back(payment))
        number = len(payment.of(MovementKind.REFUND)) + 1
        request = RefundRequest.model_validate(
            {
                "refundRequestId": f"{payment.id}.late.{number}",
                "refundAmount": {"currency": amount.currency, "value": amount.value},
            }
        )
        draft = self._draft(request, amount, None, None)
        with suppress(RefundAmountExceeded):  # somebody else has refunded it meanwhile
            await self._attempt(payment, _Call(account, request, draft, origin))

    def _draft(
        self,
        request: MovementRequest,
        amount: Amount,
        client_id: str | None,
        digest: Fingerprint | None,
    ) -> MovementDraft:
        return MovementDraft(
            fresh_id(request.kind),
            request.kind,
            request.request_id,
            client_id,
            amount,
            request.is_last,
            digest.value if digest else None,
            digest.key_id if digest else None,
            self._tools.sender_seconds,
        )

    async def _replayed(self, asked: Asked, request: MovementRequest) -> Moved | None:
        """Give what was made under a request id, if anything; raises for another request or one under way."""
        merchant_id = asked.caller.merchant_id
        async with self._tools.database.session() as session:
            movement = await movements.find_by_request(session, merchant_id, request.kind, request.request_id)
        if movement is None:
            return None
        digest = await self._tools.drafter.digest(asked, movement.digest_key_id)
        if not hmac.compare_digest(digest.value, movement.digest or b""):
            raise IdempotencyConflict
        if movement.under_way:
            raise InProgress
        return Moved(movement, replayed=True)

    async def _attempt(self, payment: Payment, call: _Call) -> Moved | None:
        """Write, send and record, asking the gateway before refusing in doubt; None when the request id is taken."""
        try:
            begun = await self._begin(payment, call)
        except _DOUBTFUL:
            evidence = await self._tools.sender.inquire(call.account, payment) if _in_doubt(payment) else None
            if evidence is None:
                raise
            await self._tools.recorder.record(payment, evidence, call.origin)
            begun = await self._begin(payment, call)
        return None if begun is None else Moved(await self._send(*begun, call), replayed=False)

    async def _begin(self, payment: Payment, call: _Call) -> tuple[Payment, Deadline] | None:
        """Check and write in one transaction; gives the payment with the movement, and until when it may be sent."""
        draft, deadline = call.draft, Deadline.after(self._tools.sender_seconds)
        async with self._tools.database.transaction() as transaction:
            held = await payments.lock(transaction, payment.merchant_id, payment.id)
            if held.movement(draft.kind, draft.request_id) is not None:
                return None
            _CHECKS[draft.kind](held, draft.amount)
            if draft.is_last:
                check_last(held)
            details = {"currency": draft.amount.currency, "value": draft.amount.value}
            named = (draft.id, held.id)
            event = Event(_CREATED[draft.kind], call.origin, held.merchant_id, named, details=details)
            movement = await movements.begin(transaction, held, draft, event)
            if movement is None:
                return None
            begun = held._replace(movements=(*held.movements, movement))
            begun = begun._replace(capture_status=capture_status(begun))
            if changed(held, begun):
                await payments.save(transaction, begun)
        return begun, deadline

    async def _send(self, payment: Payment, deadline: Deadline, call: _Call) -> Movement:
        body = movement_body(payment, call.request, self._ahead.notify_url(call.account))
        movement = _own(payment, call.draft)
        evidence = await self._tools.sender.move(call.account, payment, movement, body, deadline)
        return _own(await self._tools.recorder.record(payment, evidence, call.origin), call.draft)


def _own(payment: Payment, draft: MovementDraft) -> Movement:
    movement = payment.movement(draft.kind, draft.request_id)
    assert movement is not None  # noqa: S101 - it was written, and movements are never deleted
    return movement


def _in_doubt(payment: Payment) -> bool:
    """Tell whether the gateway may know more than the vault: of the payment itself, or of a capture of it."""
    if payment.status in {Status.FAIL, Status.CANCELLED}:
        return False
    return payment.moved(MovementKind.CAPTURE) < payment.amount.minor
