"""The card-testing guard: many cards of one buyer, address or client, or many declines, are slowed, stopped and told.

It refuses to know HTTP and where cards go. Invariants: cards count by fingerprint, so that a new id of a known card is
no card; a card that is known of somebody is never one too many; a request that waits holds no connection (ADR 0020;
controls API-5).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Final

from keys.keyring import Fingerprint, Keyring, Label
from keys.lru import Lru
from vault import metrics
from vault.auth import Caller
from vault.card import Pan
from vault.db import Database
from vault.errors import LimitsUnavailable
from vault.groups import PACE_AROUND_A_CALL, Groups
from vault.limit_errors import CardTestingSuspected
from vault.limiter import COUNTING_FAILED, PATIENCE, Limiter, Spender, network_of, without_counters
from vault.logs import alarm, get_logger
from vault.payment import Payment, Status
from vault.rules.declines import decline_for
from vault.rules.limits import SLOWEST_SECONDS, TELLING_DECLINES, Limit, policy_for
from vault.sightings import SPAN, Recall, Sightings
from vault.store import alarms, limits
from vault.store.limits import Counter, Sighting, Watched

_log = get_logger(__name__)
_WAITING: Final = 200  # requests of one process, at most, that are being slowed at the same time
_TOLD: Final = 10_000
_SUBJECT_BYTES: Final = 15
_LETTERS: Final = str.maketrans("0123456789", "ghijklmnop")  # of hexadecimal digits, so that none looks like a number


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request shows of who pays with what: the merchant's buyer, the buyer's address, a card that was typed."""

    buyer: str | None
    address: str | None = None
    pan: Pan | None = None


@dataclass(frozen=True, slots=True)
class _Finding:
    """How many cards or declines there were of somebody; `wait` in seconds where that is as many as may be."""

    counter: Counter
    span: int
    seen: int
    most: int
    wait: float | None = None

    @property
    def delay(self) -> float:
        """Give the seconds that the request waits: none up to the middle of the quota, and then more and more."""
        middle = self.most // 2
        return SLOWEST_SECONDS * max(0, self.seen - middle) / (self.most - middle)

    @property
    def alarm_id(self) -> str:
        """Name the subject in this window, so that there is one alarm for it."""
        return f"{self.counter.name}.{self.counter.subject}.{int(time.time()) // self.span}"


class CardGuard:
    """Watches what is done with cards; without a limiter it lets everything pass."""

    def __init__(
        self,
        database: Database,
        keyring: Keyring,
        limiter: Limiter | None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._limiter = limiter
        self._sleep = sleep
        self._sightings = Sightings(database, self._was_known)
        self._looking = Groups(database, limits.look, pace=PACE_AROUND_A_CALL)
        self._waiting = 0
        self._told: Lru[tuple[str, str], bool] = Lru(_TOLD)

    async def close(self) -> None:
        """Write down what is not yet."""
        await self._sightings.close()

    async def admit(self, caller: Caller, shown: Shown, *, paying: bool = False) -> list[Fingerprint]:
        """Let a request with a card pass, perhaps after a wait; gives its fingerprints where they were needed.

        Raises `CardTestingSuspected`, `RateLimited` when the client's distinct cards of the day are used up, and
        `LimitsUnavailable`.
        """
        if self._limiter is None:
            return []
        prints = await self._keyring.fingerprints(caller.merchant_id, shown.pan) if shown.pan is not None else []
        card = prints[0].value if prints else None
        unsure = await self._cards(caller, shown, card)
        if paying or unsure:
            await self._slow(await self._watched(caller, shown, unsure, paying=paying))
        if card is not None:
            await self._budget(self._limiter, caller, Sighting(caller.merchant_id, caller.client_id, card))
        return prints

    async def _watched(
        self, caller: Caller, shown: Shown, unsure: dict[Limit, Sighting], *, paying: bool
    ) -> list[_Finding]:
        """Find out, and tell, how those stand of whom memory does not say enough; raises what stops the request."""
        try:
            async with asyncio.timeout(PATIENCE):
                findings = await self._declines(caller, shown) if paying else []
                findings += [await self._noted(caller, limit, sighting) for limit, sighting in unsure.items()]
                await self._tell(caller, findings)
        except COUNTING_FAILED as error:
            without_counters(Limit.BUYER_CARDS, error)
            raise LimitsUnavailable from None
        for finding in findings:
            if finding.wait is not None:
                metrics.count_card_testing("stopped")
                raise _suspected(finding, finding.wait)
        return findings

    async def settled(self, caller: Caller, shown: Shown, payment: Payment) -> None:
        """Count a decline that a new payment ended in; its answer goes out whether or not somebody can count."""
        if self._limiter is None or not _declined(payment):
            return
        who = replace(shown, buyer=shown.buyer or payment.buyer)
        watched = await self._decline_counters(caller, who)
        try:
            async with asyncio.timeout(PATIENCE), self._database.session() as session:
                await limits.take_each(session, watched)
        except COUNTING_FAILED:
            _log.error("limits.decline_lost", payment_id=payment.id)

    async def _declines(self, caller: Caller, shown: Shown) -> list[_Finding]:
        watched = await self._decline_counters(caller, shown)
        return [
            _Finding(each.counter, each.span, each.quota - left.slots, each.quota, None if left.slots else left.wait)
            for each, left in zip(watched, await self._looking.ask(watched), strict=True)
        ]

    async def _decline_counters(self, caller: Caller, shown: Shown) -> list[Watched]:
        subjects = await self._subjects(caller, shown, Limit.BUYER_DECLINES, Limit.ADDRESS_DECLINES)
        subjects[Limit.CLIENT_DECLINES] = caller.client_id
        return [
            Watched(Counter(caller.merchant_id, subject, limit), *_window(caller, limit))
            for limit, subject in subjects.items()
        ]

    async def _cards(self, caller: Caller, shown: Shown, card: bytes | None) -> dict[Limit, Sighting]:
        """Give the sightings by buyer and address that have to be asked about; who is new here is noted and is not."""
        if card is None:
            return {}
        unsure = {}
        subjects = await self._subjects(caller, shown, Limit.BUYER_CARDS, Limit.ADDRESS_CARDS)
        for limit, subject in subjects.items():
            sighting = Sighting(caller.merchant_id, subject, card)
            recalled = self._sightings.recall(sighting)
            if recalled is Recall.NEW_SUBJECT:
                self._sightings.note(sighting)
            elif recalled is Recall.NEW_CARD:
                unsure[limit] = sighting
        return unsure

    async def _noted(self, caller: Caller, limit: Limit, sighting: Sighting) -> _Finding:
        span, most = _window(caller, limit)
        await self._sightings.write()
        async with self._database.session() as session:
            noted = await limits.note_card(session, sighting, span, most)
        if noted.wait is None:
            self._sightings.remember(sighting)
        counter = Counter(sighting.merchant_id, sighting.subject, limit)
        # A card that was known before is no reason to wait.
        return _Finding(counter, span, 0 if noted.known else noted.seen, most, noted.wait)

    async def _budget(self, limiter: Limiter, caller: Caller, sighting: Sighting) -> None:
        """Take one of the client's distinct cards of a day, unless it had this one."""
        if self._sightings.recall(sighting) is Recall.KNOWN:
            return
        spender = Spender(caller.merchant_id, caller.client_id, caller.limits)
        standing = await limiter.take(spender, Limit.DISTINCT_CARDS)
        if standing.refusal is None:
            self._sightings.note(sighting)
        elif await self._seen(sighting):
            self._sightings.remember(sighting)
        else:
            raise standing.refusal

    async def _seen(self, sighting: Sighting) -> bool:
        """Tell whether any process has seen it; where that cannot be found out it is as good as new."""
        await self._sightings.write()
        try:
            async with asyncio.timeout(PATIENCE), self._database.session() as session:
                return await limits.seen(session, sighting, SPAN)
        except COUNTING_FAILED:
            return False

    def _was_known(self, sighting: Sighting) -> None:
        """Give the slot back that was taken for a card which another process had seen."""
        assert self._limiter is not None  # noqa: S101 - without one nothing is noted
        self._limiter.give_back(Counter(sighting.merchant_id, sighting.subject, Limit.DISTINCT_CARDS))

    async def _subjects(self, caller: Caller, shown: Shown, buyers: Limit, addresses: Limit) -> dict[Limit, str]:
        """Name buyer and address, as far as they are known, by hashes that say nothing without the merchant's key."""
        subjects: dict[Limit, str] = {}
        if shown.buyer:
            subjects[buyers] = await self._subject(caller.merchant_id, "buyer", shown.buyer)
        if shown.address and (network := network_of(shown.address)):
            subjects[addresses] = await self._subject(caller.merchant_id, "address", network)
        return subjects

    async def _subject(self, merchant_id: str, kind: str, text: str) -> str:
        digest = await self._keyring.digest(merchant_id, Label.SUBJECT, f"{kind}:{text}".encode())
        return f"{kind}_{digest.value[:_SUBJECT_BYTES].hex().translate(_LETTERS)}"

    async def _tell(self, caller: Caller, findings: list[_Finding]) -> None:
        """Raise an alarm, once for each step in each window, about whoever is slowed or stopped."""
        for finding in findings:
            if finding.wait is None and not finding.delay:
                continue
            code = "card_testing_slowed" if finding.wait is None else "card_testing_stopped"
            place = (code, caller.merchant_id + finding.alarm_id)
            if self._told.get(place):
                continue
            details = {"limit": finding.counter.name, "client": caller.client_id}
            merchant_id, alarm_id = caller.merchant_id, finding.alarm_id
            async with self._database.session() as session:
                await alarms.raise_alarm(session, caller.origin, merchant_id, code, alarm_id, details)
            self._told.put(place, True)
            alarm(_log, code, merchant_id=merchant_id, object_id=alarm_id)

    async def _slow(self, findings: list[_Finding]) -> None:
        """Let a suspicious request wait; where too many do, it is to come again."""
        slowest = max(findings, key=lambda each: each.delay, default=None)
        if slowest is None or not slowest.delay:
            return
        if self._waiting >= _WAITING:
            metrics.count_card_testing("stopped")
            raise _suspected(slowest, SLOWEST_SECONDS)
        metrics.count_card_testing("slowed")
        self._waiting += 1
        try:
            await self._sleep(slowest.delay)
        finally:
            self._waiting -= 1


def _window(caller: Caller, limit: Limit) -> tuple[int, int]:
    """Give the length and the quota of a limit that has one window."""
    policy = policy_for(limit, caller.limits)
    return policy.spans[0], policy.quotas[0]


def _suspected(finding: _Finding, wait: float) -> CardTestingSuspected:
    limit = Limit(finding.counter.name)
    return CardTestingSuspected(limit, policy_for(limit).windows, retry_after=max(1, ceil(wait)))


def _declined(payment: Payment) -> bool:
    """Tell whether a payment ended in a decline that a card tester meets."""
    if payment.status is not Status.FAIL or payment.not_sent or payment.result is None:
        return False
    return decline_for(payment.result.code).category in TELLING_DECLINES
