"""The retry guard: no charge that would break a rule of the card's network is sent, and declines are remembered.

It refuses to know the rules and SQL. Invariants: what was tried is judged and the new attempt is written under one
lock, so that two processes cannot both take the last place; an attempt holds its place until its outcome is known; a
refusal leaves nothing but its audit event (controls.md RTY-2 to RTY-8).
"""

from dataclasses import replace
from datetime import timedelta
from typing import assert_never

from keys.keyring import Fingerprint, Keyring, Label
from vault.attempt import Attempt, Tried
from vault.audit.events import Event, EventType, Origin, Outcome
from vault.db import Database, Transaction
from vault.gateway.messages import Instrument, NewCardInstrument, PageInstrument, SealedInstrument, TokenInstrument
from vault.groups import PACE_AROUND_A_CALL, Groups
from vault.payment import Payment, Status
from vault.payments.teaching import words_of
from vault.retry_errors import RetryLimit
from vault.rules.retries import RetryRules, counts
from vault.rules.scheme_declines import Words, network_of
from vault.store import attempts, audit, drafts, payments
from vault.store.drafts import Begun, Draft, ReadyDraft
from vault.stored_card import CardFace


class RetryGuard:
    """Keeps to the rules of the networks; without rules it lets everything pass and remembers nothing."""

    def __init__(self, database: Database, keyring: Keyring, rules: RetryRules | None) -> None:
        self._database = database
        self._keyring = keyring
        self._rules = rules
        self._beginning = Groups(database, drafts.begin, pace=PACE_AROUND_A_CALL)

    async def prints(
        self, merchant_id: str, instrument: Instrument, face: CardFace | None = None
    ) -> tuple[Fingerprint, ...]:
        """Give every keyed hash by which a charged number is known, under all live versions of the key.

        That of the gateway's token where only the gateway sees the number, and none for a page that takes any card.
        """
        if self._rules is None:
            return ()
        match instrument:
            case NewCardInstrument(card=card):
                found = await self._keyring.fingerprints(merchant_id, card.card_no)
            case SealedInstrument(pan=pan):
                found = await self._keyring.fingerprints(merchant_id, pan)
            case TokenInstrument(token=token):
                found = await self._keyring.digests(merchant_id, Label.TOKEN, token.reveal().encode())
            case PageInstrument():
                found = []
            case _ as unreachable:
                assert_never(unreachable)
        if face is not None and face.fingerprint is not None and face.fingerprint_key_id is not None:
            found = [*found, Fingerprint(face.fingerprint_key_id, face.fingerprint)]
        return tuple(dict.fromkeys(found))

    async def begin_alone(self, draft: Draft, event: Event) -> Begun | None:
        """Write a draft in a transaction of its own; None when its request id is taken. Raises `RetryLimit`."""
        begun = await self._beginning.ask(drafts.ready(draft, event))
        if begun.untried:
            return begun
        async with self._database.transaction() as transaction:
            await self.claim(transaction, draft)
            if await payments.find_by_request(transaction, draft.merchant_id, draft.request_id) is not None:
                return None
            return await self.begin(transaction, draft, event)

    async def claim(self, transaction: Transaction, draft: Draft) -> None:
        """Keep others from charging the draft's number until the transaction ends."""
        if draft.prints:
            await attempts.claim(transaction, draft.merchant_id, draft.prints)

    async def begin(self, transaction: Transaction, draft: Draft, event: Event) -> Begun:
        """Judge a draft whose number is claimed, and write it. Raises `RetryLimit`."""
        if self._rules is None or not draft.prints:
            return await _written(transaction, drafts.ready(draft, event))
        history = await attempts.history(transaction, draft.merchant_id, draft.prints)
        wanted = Attempt(draft.amount, draft.network, draft.mandate_id, draft.expiry)
        refusal = self._rules.at(history.read_at).judge(wanted, history.tried, history.read_at)
        if refusal is not None:
            raise RetryLimit(
                rule=refusal.rule, version=refusal.version, retry=refusal.retry.value, not_before=refusal.not_before
            )
        return await _written(transaction, drafts.ready(draft, event, history.place))

    async def record_refusal(self, draft: Draft, refusal: RetryLimit, origin: Origin) -> None:
        """Write the event of a charge that was not sent."""
        named = (draft.card_id, draft.mandate_id)
        event = Event(
            EventType.PAYMENT_REFUSED,
            origin,
            draft.merchant_id,
            tuple(each for each in named if each is not None),
            Outcome.DENIED,
            RetryLimit.code,
            {
                "kind": draft.kind.value,
                "rule": refusal.rule,
                "version": refusal.version,
                "retry": refusal.retry,
                "not_before": refusal.not_before.isoformat() if refusal.not_before else None,
            },
        )
        async with self._database.session() as session:
            await audit.append(session, event)

    async def learn(self, transaction: Transaction, before: Payment, payment: Payment) -> None:
        """Take over what became of a payment: its place is free again, or a decline is remembered."""
        known = before.status is payment.status and words_of(before) == words_of(payment)
        if known or not payment.status.final:
            return
        tried = await attempts.find(transaction, payment.merchant_id, payment.id)
        if tried is None:
            return
        if payment.status is Status.SUCCESS:
            await attempts.release(transaction, payment.merchant_id, payment.id)
            return
        decline = _declined(tried, words_of(payment)) if payment.status is Status.FAIL else None
        kept = self._rules.kept(decline) if self._rules and decline else None
        if decline is None or kept is None:
            await attempts.drop(transaction, payment.merchant_id, payment.id)
        else:
            await attempts.decline(transaction, payment.merchant_id, payment.id, decline, kept)

    async def purge(self) -> bool:
        """Delete what no rule looks at any more; tells whether there may be more."""
        longest = self._rules.longest if self._rules else timedelta(0)
        async with self._database.session() as session:
            return await attempts.purge(session, longest)


async def _written(transaction: Transaction, ready: ReadyDraft) -> Begun:
    [begun] = await drafts.begin(transaction, [ready])
    return begun


def _declined(tried: Tried, words: Words) -> Tried | None:
    """Give the attempt with what was said about its decline; None where no network has seen it."""
    if not counts(words):
        return None
    network = network_of(words.brand) or tried.network
    return replace(tried, network=network, refusal_code=words.refusal_code, advice_code=words.advice_code)
