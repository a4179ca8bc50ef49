"""Limits that all processes share: slots are taken from the database in small leases and spent in memory.

It refuses to know requests and routes. Invariants: nothing is spent that was not granted, and nothing after the slice
of time that it was granted for; while nobody can count, the limit's rule says what happens (controls API-5; ADR 0020).
"""

import asyncio
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address, ip_network
from math import ceil, inf
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from keys.lru import Lru
from vault.db import Database, Session, StatementFailed
from vault.errors import DatabaseUnavailable, LimitsUnavailable, VaultError
from vault.limit_errors import RateLimited
from vault.logs import get_logger
from vault.rules.limits import RULES, Limit, Overrides, Policy, WithoutCounters, policy_for
from vault.store import limits
from vault.store.limits import Counter, Granted, Wanted

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

COUNTING_FAILED: Final = (DatabaseUnavailable, StatementFailed, TimeoutError)
PATIENCE: Final = 3.0

_log = get_logger(__name__)
_LEASES: Final = 20_000
_PART: Final = 50  # of a quota, at most, in one process's hands
_ASK_AGAIN: Final = 1.0
_IPV6_PREFIX: Final = 64  # what one subscriber has
_NOTHING_YET: Final = Granted(1, (), (), (), 0.0)


class Spender(NamedTuple):
    """Who spends slots: a client of a merchant with its own quotas, or an address."""

    merchant_id: str
    subject: str
    overrides: Overrides = MappingProxyType({})


class _Lease:
    """Slots in this process's hands, with how the limit stood when they were given."""

    __slots__ = (
        "_advertised",
        "_asked_at",
        "_granted",
        "_left",
        "_policy",
        "_size",
        "_told",
        "_told_until",
        "_until",
        "asking",
        "failing_until",
    )

    def __init__(self) -> None:
        self.asking = asyncio.Lock()
        self.failing_until = 0.0
        self._advertised = (b"ratelimit-policy", b"")
        self._told = b""
        self._policy: Policy
        self._granted = _NOTHING_YET
        self._asked_at = self._until = self._told_until = 0.0
        self._left, self._size = 0, 1

    def spend(self, now: float) -> bool:
        """Take a slot, if one is at hand and still good."""
        if self._left > 0 and now < self._until:
            self._left -= 1
            return True
        return False

    def give_back(self, now: float) -> None:
        """Take back a slot that was not needed; one from an earlier time stays spent."""
        if now < self._until:
            self._left += 1

    def refused(self, now: float) -> bool:
        """Tell whether there was nothing left a moment ago."""
        return not self._granted.slots and now < self._until

    def wanted(self, policy: Policy, now: float) -> Wanted:
        """Ask for twice as many as were used up in time, for half where half was not, up to a part of the quota."""
        if self._left > self._size // 2:
            self._size //= 2
        elif not self._left and now < self._until:
            self._size *= 2
        self._size = max(1, min(self._size, min(policy.quotas) // _PART))
        return Wanted(policy.spans, policy.quotas, self._size, self._left, self._granted.slices)

    def fill(self, policy: Policy, granted: Granted, asked_at: float) -> None:
        """Take what was granted; it is good until the slice ends that ran when it was asked for, by the own clock."""
        self._policy, self._advertised = policy, (b"ratelimit-policy", policy.advertised.encode())
        self._granted, self._asked_at, self._told_until = granted, asked_at, 0.0
        self._left = granted.slots
        lasts = granted.fresh if granted.slots else min(_ASK_AGAIN, max(granted.waits))
        self._until = asked_at + lasts

    def waits(self, now: float) -> list[int]:
        """Give for each window the whole seconds until it has a slot more."""
        passed = now - self._asked_at
        return [max(0, ceil(wait - passed)) for wait in self._granted.waits]

    def headers(self, now: float) -> Headers:
        """Give what the answer says of the limit (controls API-4)."""
        if now >= self._told_until:
            self._tell(now)
        left = self._left
        return self._advertised, (b"ratelimit", self._told % tuple([each + left for each in self._granted.remaining]))

    def _tell(self, now: float) -> None:
        """Write down what the headers say, but for the slots, until one of the waits is a second less."""
        waits = self.waits(now)
        each = zip(self._policy.windows, waits, strict=True)
        self._told = ", ".join([f'"{window}";r=%d;t={wait}' for window, wait in each]).encode()
        running = [granted - wait for granted, wait in zip(self._granted.waits, waits, strict=True) if wait]
        self._told_until = self._asked_at + 1 + min(running, default=inf)

    def refusal(self, now: float) -> RateLimited:
        """Give the error of a request for which there is no slot."""
        each = zip(self._policy.windows, self._granted.remaining, self.waits(now), strict=True)
        violated = [(window, wait) for window, left, wait in each if left == 0]
        names, seconds = [window for window, _ in violated], max(wait for _, wait in violated)
        return RateLimited(self._policy.limit, names, retry_after=max(1, seconds))


class Standing(NamedTuple):
    """How a spender stands after asking: the refusal where there is one, and what the answer's headers say."""

    refusal: VaultError | None
    lease: _Lease | None = None
    at: float = 0.0

    @property
    def headers(self) -> Headers:
        """Give the headers of an answer that is given now; none while nobody can count."""
        return self.lease.headers(self.at) if self.lease else ()


class Limiter:
    """The leases of one process."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._leases: Lru[Counter, _Lease] = Lru(_LEASES)

    async def take(self, spender: Spender, limit: Limit) -> Standing:
        """Take one slot of a limit."""
        place = Counter(spender.merchant_id, spender.subject, limit)
        lease = self._leases.get(place)
        if lease is None:
            lease = _Lease()
            self._leases.put(place, lease)
        now = self._clock()
        if lease.spend(now):
            return Standing(None, lease, now)
        async with lease.asking:
            return await self._ask(place, lease, spender)

    def give_back(self, place: Counter) -> None:
        """Give a slot back that turned out not to be needed."""
        lease = self._leases.get(place)
        if lease is not None:
            lease.give_back(self._clock())

    async def _ask(self, place: Counter, lease: _Lease, spender: Spender) -> Standing:
        """Take a slot, of a new lease if there is none by now."""
        now = self._clock()
        if lease.spend(now):
            return Standing(None, lease, now)
        if lease.refused(now):
            return Standing(lease.refusal(now), lease, now)
        limit = Limit(place.name)
        if now < lease.failing_until:
            return Standing(without_counters(limit))
        try:
            async with asyncio.timeout(PATIENCE), self._database.session() as session:
                refusal = await self._renewed(session, place, lease, spender)
        except COUNTING_FAILED as error:
            lease.failing_until = self._clock() + _ASK_AGAIN
            return Standing(without_counters(limit, error))
        return Standing(refusal, lease, self._clock())

    async def _renewed(self, session: Session, place: Counter, lease: _Lease, spender: Spender) -> RateLimited | None:
        """Take a slot of a new lease; gives the refusal where there is none."""
        policy = policy_for(Limit(place.name), spender.overrides)
        while not lease.spend(now := self._clock()):
            lease.fill(policy, await limits.take(session, place, lease.wanted(policy, now)), now)
            if lease.refused(now):
                return lease.refusal(self._clock())
        return None


def without_counters(limit: Limit, error: Exception | None = None) -> VaultError | None:
    """Say, and log, what happens under a limit while nobody can count."""
    rule = RULES[limit].without_counters
    sqlstate = error.sqlstate if isinstance(error, StatementFailed) else None
    _log.error("limits.unavailable", operation=limit.value, outcome=rule.value, sqlstate=sqlstate)
    return LimitsUnavailable() if rule is WithoutCounters.REFUSED else None


def network_of(address: str) -> str:
    """Give what an address is counted as: itself, of IPv6 its /64, of what is none the empty text."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return ""
    if isinstance(parsed, IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ip_network((parsed.packed, _IPV6_PREFIX), strict=False))
    return str(parsed)
