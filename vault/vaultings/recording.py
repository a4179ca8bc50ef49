"""Recording evidence about a vaulting: one transaction that judges it and writes the card and all else that follows.

It refuses to know the wire. Invariants: a card appears together with the outcome that it rests on, or not at all; what
was sealed for it, or to open its session, is gone with any outcome; nothing is written without an event.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from keys.keyring import Envelope, Keyring, Location, Purpose
from vault.audit.events import Event, EventType, Origin
from vault.card import CardToken
from vault.db import Database, Transaction
from vault.errors import Overloaded
from vault.keeping import Keepable, Keeper, KeepingPlan, PlanOutdated
from vault.logs import alarm, get_logger
from vault.payment import Source
from vault.shown_card import face_at_gateway
from vault.store import alarms, audit, cards, token_deletions, vaultings
from vault.store.cards import CardChange
from vault.store.inquiries import ABOUT_VAULTINGS
from vault.store.waiting import WITH_VAULTINGS
from vault.stored_card import SecretKind
from vault.vaulting import Ending, Vaulting, VaultingSeen, VaultingStatus, Verdict, judge

_log = get_logger(__name__)
_REPEATS: Final = 6
_ALARMING: Final = {Verdict.CONTRADICTION: "vaulting_contradiction", Verdict.UNBOUND: "answer_mismatch"}


class VaultingRecorder:
    """Writes what evidence does to vaultings."""

    def __init__(self, database: Database, keyring: Keyring, *, first_inquiry_seconds: float) -> None:
        self._database = database
        self._keyring = keyring
        self._keeper = Keeper(database, keyring)
        self._first_inquiry = first_inquiry_seconds

    async def record(self, vaulting: Vaulting, seen: VaultingSeen, origin: Origin) -> Vaulting:
        """Judge evidence against the vaulting as it stands now, write what follows, and give the vaulting."""
        for _ in range(_REPEATS):
            keepable = _keepable(vaulting, seen)
            plan = await self._keeper.plan(keepable, origin) if keepable else None
            leftover = await self._leftover(vaulting, seen)
            opening = await self._keeper.sealed_opening(WITH_VAULTINGS, *_owner(vaulting), seen.session)
            try:
                async with self._database.transaction() as transaction:
                    before = await vaultings.lock(transaction, *_owner(vaulting))
                    after = await self._write(transaction, before, seen, plan, origin)
                    await self._put_opening(transaction, after, opening, origin)
                    await self._put_leftover(transaction, before, seen, leftover)
            except PlanOutdated:
                async with self._database.session() as session:
                    vaulting = await vaultings.find(session, *_owner(vaulting)) or vaulting
                continue
            return after
        raise Overloaded

    async def _leftover(self, vaulting: Vaulting, seen: VaultingSeen) -> Envelope | None:
        """Seal a token that came when nobody wanted it any more, to have it deleted."""
        token = _unwanted(vaulting, seen)
        if token is None:
            return None
        return await self._keyring.seal(Purpose.CARD, token.reveal().encode(), _leftover_location(vaulting))

    async def _put_leftover(
        self, transaction: Transaction, vaulting: Vaulting, seen: VaultingSeen, leftover: Envelope | None
    ) -> None:
        if _unwanted(vaulting, seen) is None:
            return
        if leftover is None or not await token_deletions.put(transaction, _leftover_location(vaulting), leftover):
            self._keyring.forget_merchant(vaulting.merchant_id)
            raise PlanOutdated

    async def _put_opening(
        self, transaction: Transaction, vaulting: Vaulting, opening: dict[SecretKind, Envelope], origin: Origin
    ) -> None:
        if not opening or vaulting.status is not VaultingStatus.PROCESSING:
            return
        await self._keeper.put_opening(transaction, WITH_VAULTINGS, _owner(vaulting), opening)
        event = Event(EventType.VAULTING_SESSION_OPENED, origin, vaulting.merchant_id, (vaulting.id,))
        await audit.append(transaction, event)

    async def _write(
        self, transaction: Transaction, before: Vaulting, seen: VaultingSeen, plan: KeepingPlan | None, origin: Origin
    ) -> Vaulting:
        verdict = judge(before, seen)
        after = _advanced(before, seen, verdict)
        if after.status is VaultingStatus.SUCCESS and not before.status.final:
            after = await self._keep(transaction, after, plan, origin)
        if after.status.final and not before.status.final:
            await WITH_VAULTINGS.drop(transaction, after.merchant_id, [after.id])
        if after != before:
            await vaultings.save(transaction, after)
            await audit.append(transaction, _change_event(before, after, seen, origin))
        if verdict in _ALARMING:
            await _raise_alarm(transaction, before, seen, verdict, origin)
        if after.status.final:
            await ABOUT_VAULTINGS.drop(transaction, after.merchant_id, after.id)
        elif after.status is not before.status and seen.source is not Source.INQUIRY:
            await ABOUT_VAULTINGS.schedule(transaction, after.merchant_id, after.id, self._first_inquiry)
        return await vaultings.lock(transaction, before.merchant_id, before.id)

    async def _keep(
        self, transaction: Transaction, vaulting: Vaulting, plan: KeepingPlan | None, origin: Origin
    ) -> Vaulting:
        assert plan is not None  # noqa: S101 - what succeeds now did not look otherwise when it was planned
        if vaulting.is_default:
            await cards.lock_buyer(transaction, vaulting.merchant_id, plan.keepable.buyer)
        await self._keeper.keep(transaction, plan, origin)
        if vaulting.is_default:
            card = await cards.find(transaction, vaulting.merchant_id, plan.card_id)
            assert card is not None  # noqa: S101 - it was kept just now
            await cards.update(transaction, card, CardChange(is_default=True))
        return replace(vaulting, card_id=plan.card_id)


def _owner(vaulting: Vaulting) -> tuple[str, str]:
    return vaulting.merchant_id, vaulting.id


def _unwanted(vaulting: Vaulting, seen: VaultingSeen) -> CardToken | None:
    """Give the token of a card that nobody keeps, the first time: it was deleted or given up before it was there."""
    stored = seen.status is VaultingStatus.SUCCESS and seen.bound
    known = vaulting.result is not None and vaulting.result.status == "S"
    return seen.token if stored and vaulting.ending is not None and not known else None


def _leftover_location(vaulting: Vaulting) -> Location:
    return Location(vaulting.merchant_id, "token_deletion", vaulting.id, SecretKind.TOKEN)


def _keepable(vaulting: Vaulting, seen: VaultingSeen) -> Keepable | None:
    """Give the card that evidence completes the storing of; None where it does not, or nobody waits for it."""
    if judge(vaulting, seen) is not Verdict.ADVANCE or seen.status is not VaultingStatus.SUCCESS:
        return None
    face = vaulting.face or face_at_gateway(seen.info or {})
    assert face is not None  # noqa: S101 - without it, nothing is read as a success
    assert vaulting.buyer is not None  # noqa: S101 - with its buyer's name, an open vaulting loses its purpose and ends
    info = {**(seen.info or {}), **vaulting.result_info}
    return Keepable(
        vaulting.merchant_id,
        vaulting.id,
        WITH_VAULTINGS,
        vaulting.buyer,
        face,
        None,
        seen.token,
        _text(info, "networkTransactionId"),
        info,
        consent=vaulting.consent,
        metadata=vaulting.metadata,
        choice=vaulting.choice,
        reserved_id=vaulting.pending_card_id,
    )


def _text(info: Mapping[str, object], name: str) -> str | None:
    value = info.get(name)
    return value if isinstance(value, str) else None


def _advanced(vaulting: Vaulting, seen: VaultingSeen, verdict: Verdict) -> Vaulting:
    """Give the vaulting as it stands after the evidence was judged; the card is dealt with elsewhere."""
    match verdict:
        case Verdict.ADVANCE:
            informed = _informed(replace(vaulting, result=seen.result or vaulting.result), seen)
            status = seen.status or vaulting.status
            action = informed.next_action if status is VaultingStatus.PROCESSING else None
            return replace(informed, status=status, ending=seen.ending, next_action=action)
        case Verdict.ENRICH:
            return _informed(vaulting, seen)
        case Verdict.IGNORE if _unwanted(vaulting, seen) is not None:
            return replace(vaulting, result=seen.result)
        case Verdict.UNBOUND if vaulting.status is VaultingStatus.CREATED:
            return replace(vaulting, status=VaultingStatus.UNKNOWN)
        case _:
            return vaulting


def _informed(vaulting: Vaulting, seen: VaultingSeen) -> Vaulting:
    """Fill in what was not known."""
    action = vaulting.next_action if vaulting.status.final else seen.next_action or vaulting.next_action
    return replace(
        vaulting,
        result=vaulting.result or seen.result,
        result_info={**(seen.info or {}), **vaulting.result_info},
        next_action=action,
        redirected=vaulting.redirected or action is not None,
    )


def _change_event(before: Vaulting, after: Vaulting, seen: VaultingSeen, origin: Origin) -> Event:
    details = {
        "from": before.status.value,
        "to": after.status.value,
        "source": seen.source.value,
        "gateway_result": after.result.code if after.result else None,
        "not_sent": after.ending is Ending.NOT_SENT,
    }
    named = (after.id, after.card_id) if after.card_id else (after.id,)
    return Event(EventType.VAULTING_CHANGED, origin, after.merchant_id, named, details=details)


async def _raise_alarm(
    transaction: Transaction, vaulting: Vaulting, seen: VaultingSeen, verdict: Verdict, origin: Origin
) -> None:
    code = _ALARMING[verdict]
    details = {
        "standing": vaulting.status.value,
        "claimed": seen.status.value if seen.status else None,
        "source": seen.source.value,
        "result": seen.result.code if seen.result else None,
    }
    if await alarms.raise_alarm(transaction, origin, vaulting.merchant_id, code, vaulting.id, details):
        alarm(_log, code, vaulting_id=vaulting.id, merchant_id=vaulting.merchant_id)
