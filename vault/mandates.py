"""Mandates: record a buyer's consent with its evidence, show it, end it.

It refuses to know HTTP, SQL and charges. Invariants: no mandate without evidence that the buyer authenticated for this
card and a network transaction id; the same card, initial payment and type is one active mandate; what is recorded is
never changed, only ended (design sections 3 and 4; controls.md COF-1, COF-3, COF-5, SCA-2).
"""

from dataclasses import dataclass

from vault.audit.events import Event, EventType
from vault.auth import Caller
from vault.card_intake import check_references, consent_evidence
from vault.db import Transaction
from vault.directory import Account
from vault.errors import (
    CardDeleted,
    CardDisabled,
    FieldCode,
    FieldProblem,
    NotFound,
    RequestInvalid,
)
from vault.ids import Prefix, new_id
from vault.mandate import Evidence, EvidenceKind, Limits, Mandate, MandateStatus, evidence_of
from vault.mandate_errors import (
    AuthenticationEvidenceMissing,
    InitialPaymentUnsuitable,
    NetworkTransactionIdMissing,
)
from vault.payment import Kind, Payment, Status
from vault.payments.preconditions import check_region
from vault.payments.writing_ahead import Tools
from vault.rules.regions import Feature
from vault.store import audit, cards, mandates, payments
from vault.store.cards import Page
from vault.store.mandates import NewMandate
from vault.stored_card import CardStatus, StoredCard
from vault.vaulting import Vaulting
from vault.vaulting_errors import InitialVaultingUnsuitable
from vault.vaultings.asking import Vaultings
from vault.wire.mandates import ImportedField, MandateRequest

_INITIAL = "/initialPaymentId"
_VAULTING = "/vaultingCardId"


@dataclass(frozen=True, slots=True)
class Recorded:
    """A mandate, and whether it is new."""

    mandate: Mandate
    created: bool


@dataclass(frozen=True, slots=True)
class _Basis:
    """What a mandate rests on."""

    evidence: Evidence
    network_transaction_id: str
    region: str | None


class Mandates:
    """The service behind `/v1/mandates` and `/v1/cards/{cardId}/mandates`."""

    def __init__(self, tools: Tools, vaultings: Vaultings) -> None:
        self._tools = tools
        self._vaultings = vaultings

    async def record(self, caller: Caller, request: MandateRequest) -> Recorded:
        """Record a mandate; the same one again is the same one, as it was recorded first.

        Raises `InitialPaymentUnsuitable`, `InitialVaultingUnsuitable`, `AuthenticationEvidenceMissing`,
        `NetworkTransactionIdMissing`, `MandateRegionRefused`, `RequestInvalid`, and what cards and payments raise.
        """
        account = await self._tools.directory.account(caller.merchant_id, caller.origin)
        check_references(account.merchant, request.references())
        card = await self._tools.cards.get(caller, request.card_id)
        if card.status is CardStatus.DISABLED:
            raise CardDisabled
        limits = _limits(request, card)
        basis = await self._basis(caller, account, card, request)
        excluded = check_region(account.merchant, Feature.MANDATE, basis.region, _INITIAL)
        new = NewMandate(
            caller.merchant_id,
            new_id(Prefix.MANDATE),
            card.id,
            card.buyer or "",
            request.initial_payment_id,
            request.recurring_type,
            limits,
            basis.network_transaction_id,
            basis.region,
            basis.evidence,
            consent_evidence(request.consent),
            request.reference,
        )
        return await self._keep(caller, new, excluded=excluded)

    async def _basis(self, caller: Caller, account: Account, card: StoredCard, request: MandateRequest) -> _Basis:
        if request.imported is not None:
            return _imported(request.imported)
        initial: Payment | Vaulting
        if request.vaulting_card_id is not None:
            pointer, initial = _VAULTING, await self._stored_by(caller, account, card, request)
        else:
            pointer, initial = _INITIAL, await self._initial(caller, card, request.initial_payment_id or "")
        evidence = evidence_of(initial, assume=account.merchant.settings.assume_authentication)
        if evidence is None:
            raise AuthenticationEvidenceMissing(errors=[FieldProblem(pointer, FieldCode.INVALID_VALUE)])
        if isinstance(initial, Payment) and initial.network_transaction_id is None:
            initial = await self._asked_again(caller, account, initial)
        if initial.network_transaction_id is None:
            raise NetworkTransactionIdMissing(errors=[FieldProblem(pointer, FieldCode.INVALID_VALUE)])
        return _Basis(evidence, initial.network_transaction_id, initial.result_info.get("paymentMethodRegion"))

    async def _stored_by(self, caller: Caller, account: Account, card: StoredCard, request: MandateRequest) -> Vaulting:
        vaulting = await self._vaultings.of_card(caller, account, card.id)
        if vaulting is None or request.vaulting_card_id not in {card.id, vaulting.pending_card_id}:
            raise InitialVaultingUnsuitable(errors=[FieldProblem(_VAULTING, FieldCode.INVALID_VALUE)])
        return vaulting

    async def _initial(self, caller: Caller, card: StoredCard, payment_id: str) -> Payment:
        async with self._tools.database.session() as session:
            payment = await payments.find(session, caller.merchant_id, payment_id)
        if payment is None:
            raise NotFound
        made = payment.status is Status.SUCCESS and payment.kind is not Kind.MERCHANT_INITIATED
        if not made or payment.card_id != card.id:
            raise InitialPaymentUnsuitable(errors=[FieldProblem(_INITIAL, FieldCode.INVALID_VALUE)])
        return payment

    async def _asked_again(self, caller: Caller, account: Account, payment: Payment) -> Payment:
        """Inquire once for what the gateway did not tell."""
        evidence = await self._tools.sender.inquire(account, payment)
        if evidence is None:
            return payment
        return await self._tools.recorder.record(payment, evidence, caller.origin)

    async def _keep(self, caller: Caller, new: NewMandate, *, excluded: bool) -> Recorded:
        async with self._tools.database.transaction() as transaction:
            card = await cards.find(transaction, new.merchant_id, new.card_id, lock=True)
            if card is None or card.stored_status is CardStatus.DELETED:
                raise CardDeleted
            same = await mandates.find_same(transaction, new)
            if same is not None and same.status is MandateStatus.ACTIVE:
                return Recorded(same, created=False)
            if same is not None:
                await mandates.expire(transaction, same)
                await _write(transaction, caller, EventType.MANDATE_EXPIRED, same)
            await mandates.insert(transaction, new)
            mandate = await mandates.lock(transaction, new.merchant_id, new.id)
            await _write(transaction, caller, EventType.MANDATE_RECORDED, mandate, excluded=excluded)
        return Recorded(mandate, created=True)

    async def get(self, caller: Caller, mandate_id: str) -> Mandate:
        """Give a mandate; raises `NotFound`, also for another merchant's."""
        async with self._tools.database.session() as session:
            mandate = await mandates.find(session, caller.merchant_id, mandate_id)
        if mandate is None:
            raise NotFound
        return mandate

    async def of_card(self, caller: Caller, card_id: str, page: Page) -> list[Mandate]:
        """Give a card's mandates, newest first, ended ones included; raises `NotFound` and `CardDeleted`."""
        await self._tools.cards.get(caller, card_id)
        async with self._tools.database.session() as session:
            return await mandates.of_card(session, caller.merchant_id, card_id, page)

    async def end(self, caller: Caller, mandate_id: str) -> None:
        """End a mandate for good: no charge is written after this returns. Ending it again changes nothing."""
        await self.get(caller, mandate_id)
        async with self._tools.database.transaction() as transaction:
            mandate = await mandates.lock(transaction, caller.merchant_id, mandate_id)
            if mandate.stored_status is MandateStatus.ENDED:
                return
            await mandates.end(transaction, mandate.merchant_id, mandate.id)
            await _write(transaction, caller, EventType.MANDATE_ENDED, mandate)


async def _write(
    transaction: Transaction, caller: Caller, kind: EventType, mandate: Mandate, *, excluded: bool = False
) -> None:
    named = (mandate.id, mandate.card_id, mandate.initial_payment_id)
    details = {
        "recurring_type": mandate.recurring_type.value,
        "evidence": mandate.evidence.kind.value,
        "region_excluded": excluded,
    }
    objects = tuple(each for each in named if each is not None)
    await audit.append(transaction, Event(kind, caller.origin, caller.merchant_id, objects, details=details))


def _limits(request: MandateRequest, card: StoredCard) -> Limits:
    """Give the limits; raises `RequestInvalid` for a window that is over or empty."""
    cap = None if request.max_amount is None else request.max_amount.amount
    start, until = request.valid_from, request.valid_until
    if until is not None and until <= max(card.read_at, start or card.read_at):
        raise RequestInvalid(errors=[FieldProblem("/validUntil", FieldCode.INVALID_VALUE)])
    return Limits(cap, start, until, request.minimum_interval_days)


def _imported(imported: ImportedField) -> _Basis:
    evidence = Evidence(EvidenceKind.IMPORTED, imported.authenticated_at)
    return _Basis(evidence, imported.network_transaction_id, None)
