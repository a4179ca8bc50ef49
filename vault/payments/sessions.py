"""Payment sessions: a payment that is written before its buyer pays, and what opens it in a client SDK.

It refuses to know HTTP and SQL. Invariants: a session is a payment under the same request id, written ahead like every
other; what opens it is sealed, and gone once the payment has an outcome or is to be cancelled (docs/adr on sessions).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from vault.asking_errors import CardNotAtGateway, SessionMandateRefused
from vault.auth import Caller
from vault.directory import Account
from vault.errors import CardExpired, FieldCode, FieldProblem, Overloaded, RequestInvalid
from vault.gateway.limits import Deadline
from vault.gateway.messages import PayCall
from vault.gateway.session_messages import SessionCall
from vault.mandate import Charge
from vault.opening import Opener
from vault.payment import Channel, Credential, Status
from vault.payments.charging import Charging, Wanted
from vault.payments.drafting import Asked
from vault.payments.service import REPEATS, check_usable, new_instrument
from vault.payments.writing_ahead import Paid, Prepared, Tools, WriteAhead, credential_of
from vault.store.drafts import USUALLY_OPEN
from vault.store.waiting import WITH_PAYMENTS
from vault.stored_card import CardStatus, SecretKind
from vault.wire.sessions import SessionRequest

_LONGEST: Final = timedelta(hours=1)  # antom-api.md 2.7


@dataclass(frozen=True, slots=True)
class Opened:
    """A session's payment, and what opens the session, as long as there is something to open."""

    paid: Paid
    session: dict[str, Any] | None


class PaymentSessions:
    """The service behind `/v1/payment-sessions`."""

    def __init__(self, tools: Tools, charging: Charging) -> None:
        self._tools = tools
        self._charging = charging
        self._ahead = WriteAhead(tools)
        self._opener = Opener(tools.database, tools.keyring)

    async def open(self, caller: Caller, request: SessionRequest, body: dict[str, object]) -> Opened:
        """Open a session, or give the one that was opened under this id.

        Raises what payments with cards and charges raise, `CardNotAtGateway` and `SessionMandateRefused`.
        """
        account, asked = await self._ahead.asked(caller, request, "payment-sessions", body)
        known = await self._ahead.replayed(asked, request.payment_request_id)
        if known is not None:
            return await self._opened(caller, known)
        _check_times(request, datetime.now(UTC))
        deadline = Deadline.after(self._tools.sender_seconds)
        for _ in range(REPEATS):
            prepared = await self._prepare(account, asked, request, deadline)
            draft = prepared.draft._replace(
                channel=Channel.SESSION,
                expires_at=_expiry(request),
                open_seconds=_LONGEST.total_seconds() + USUALLY_OPEN,
            )
            call = SessionCall(prepared.call, request)
            paid = await self._ahead.write_and_send(asked, draft, (account, call, deadline), prepared.begin)
            if paid is not None:
                return await self._opened(caller, paid)
        raise Overloaded

    async def _prepare(self, account: Account, asked: Asked, request: SessionRequest, deadline: Deadline) -> Prepared:
        if request.mandate_id is not None:
            if not account.merchant.settings.session_mandates:
                raise SessionMandateRefused(errors=[FieldProblem("/mandateId", FieldCode.INVALID_VALUE)])
            alone = {"is_3ds_authentication": False, "enable_authentication_upgrade": False}
            charge = Charge(request.payment_amount.amount, None)
            wanted = Wanted(account, asked, request.model_copy(update=alone), charge, deadline)
            return await self._charging.prepare(request.mandate_id, wanted)
        if request.card_id is not None:
            return await self._with_card(account, asked, request, request.card_id)
        instrument = new_instrument(self._tools.policy, request)
        await self._tools.preconditions.check(asked.merchant, request)
        draft = await self._tools.drafter.new_card(asked, request, instrument, Channel.SESSION)
        notify_url = self._ahead.notify_url(account)
        settings = account.merchant.settings
        return Prepared(draft, PayCall(request, instrument, settings, notify_url, request.buyer_id, request.choice))

    async def _with_card(self, account: Account, asked: Asked, request: SessionRequest, card_id: str) -> Prepared:
        card = await self._tools.cards.get(asked.caller, card_id)
        check_usable(card, request)
        if card.status is CardStatus.EXPIRED:
            raise CardExpired
        credential = credential_of(card)
        if credential is not Credential.TOKEN and request.mpi_data is None:
            raise CardNotAtGateway
        await self._tools.preconditions.check(account.merchant, request, card)
        instrument = await self._ahead.instrument(asked.caller, card, credential)
        draft = await self._tools.drafter.stored_card(asked, request, card, instrument, mandate_id=None)
        settings, notify_url = account.merchant.settings, self._ahead.notify_url(account)
        return Prepared(draft, PayCall(request, instrument, settings, notify_url, card.buyer, draft.choice))

    async def _opened(self, caller: Caller, paid: Paid) -> Opened:
        payment = paid.payment
        if payment.status is not Status.PROCESSING:
            return Opened(paid, None)
        async with self._tools.database.session() as session:
            waiting = await WITH_PAYMENTS.secrets(session, payment.merchant_id, payment.id)
        if SecretKind.SESSION not in waiting:
            return Opened(paid, None)
        location = WITH_PAYMENTS.location(payment.merchant_id, payment.id, SecretKind.SESSION)
        opened = await self._opener.open(waiting[SecretKind.SESSION], location, caller.origin)
        return Opened(paid, orjson.loads(opened.reveal()))


def _check_times(request: SessionRequest, now: datetime) -> None:
    """Refuse a session that is over already or lasts longer than the gateway keeps one (antom-api.md 2.7)."""
    wanted = request.payment_session_expiry_time
    if wanted is not None and not now < wanted <= now + _LONGEST:
        raise RequestInvalid(errors=[FieldProblem("/paymentSessionExpiryTime", FieldCode.INVALID_VALUE)])


def _expiry(request: SessionRequest) -> datetime | None:
    """Give the time by which a payment begun in the session has ended too, where the request says when it ends."""
    ends = request.payment_session_expiry_time
    if request.payment_expiry_time is not None or ends is None:
        return request.payment_expiry_time
    return ends + timedelta(seconds=USUALLY_OPEN)
