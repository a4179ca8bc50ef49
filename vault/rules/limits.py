"""How often something may be asked for: limits, their windows and quotas, and which operation falls under which limit.

It refuses to know counters and callers. Invariants: every operation of an API client has a limit (a test crosses the
routes); a quota holds in every stretch of time as long as its window; a client may have quotas of its own, no window
of its own. Source: controls API-4, API-5; ADR 0020.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeAlias

from vault.rules.declines import DeclineCategory

DATED: Final = date(2026, 11, 22)

Overrides: TypeAlias = Mapping[str, Mapping[str, int]]


class Window(StrEnum):
    """A stretch of time that a quota is for."""

    BURST = "burst"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        """Give its length."""
        return _SECONDS[self]


_SECONDS: Final = {Window.BURST: 10, Window.MINUTE: 60, Window.HOUR: 3_600, Window.DAY: 86_400}


class Limit(StrEnum):
    """What is counted: first requests of a client by kind, then what an address or a card tester may do."""

    STORE = "cards.store"
    PAY = "payments.pay"
    CHARGE = "payments.charge"
    MOVE = "payments.move"
    OPTIONS = "payments.options"
    CHANGE = "objects.change"
    READ = "objects.read"
    LIST = "objects.list"
    WEBHOOKS = "webhooks.manage"
    AUDIT = "audit.read"
    REFUSED = "access.refused"
    DISTINCT_CARDS = "cards.distinct"
    BUYER_CARDS = "guard.buyer_cards"
    ADDRESS_CARDS = "guard.address_cards"
    BUYER_DECLINES = "guard.buyer_declines"
    ADDRESS_DECLINES = "guard.address_declines"
    CLIENT_DECLINES = "guard.client_declines"


class WithoutCounters(StrEnum):
    """What becomes of a request while nobody can count."""

    REFUSED = "refused"
    ADMITTED = "admitted"


@dataclass(frozen=True, slots=True)
class Rule:
    """A limit's quotas by window, and what happens without counters."""

    quotas: Mapping[Window, int]
    without_counters: WithoutCounters


def _rule(without_counters: WithoutCounters, **quotas: int) -> Rule:
    return Rule({Window(name): quota for name, quota in quotas.items()}, without_counters)


_REFUSED, _ADMITTED = WithoutCounters.REFUSED, WithoutCounters.ADMITTED
# Refused without counters is what a card tester or a thief of a key would do; what undoes, ends or only looks goes on.
RULES: Final[Mapping[Limit, Rule]] = {
    Limit.STORE: _rule(_REFUSED, burst=200, minute=600, day=100_000),
    Limit.PAY: _rule(_REFUSED, burst=200, minute=600, day=200_000),
    Limit.CHARGE: _rule(_REFUSED, burst=500, minute=2_000, day=500_000),
    Limit.MOVE: _rule(_ADMITTED, burst=500, minute=2_000, day=500_000),
    Limit.OPTIONS: _rule(_ADMITTED, burst=200, minute=600, day=200_000),
    Limit.CHANGE: _rule(_ADMITTED, burst=200, minute=600, day=100_000),
    Limit.READ: _rule(_ADMITTED, burst=1_000, minute=3_000, day=1_000_000),
    Limit.LIST: _rule(_ADMITTED, burst=500, minute=1_500, day=500_000),
    Limit.WEBHOOKS: _rule(_ADMITTED, burst=30, minute=60, day=2_000),
    Limit.AUDIT: _rule(_ADMITTED, burst=50, minute=150, day=20_000),
    Limit.REFUSED: _rule(_ADMITTED, burst=30, minute=60, day=2_000),
    Limit.DISTINCT_CARDS: _rule(_REFUSED, day=20_000),
    Limit.BUYER_CARDS: _rule(_REFUSED, day=20),
    Limit.ADDRESS_CARDS: _rule(_REFUSED, day=40),
    Limit.BUYER_DECLINES: _rule(_REFUSED, hour=10),
    Limit.ADDRESS_DECLINES: _rule(_REFUSED, hour=20),
    Limit.CLIENT_DECLINES: _rule(_REFUSED, hour=3_000),
}

# By the name of the operation, which is the name of the route's function.
OPERATIONS: Final[Mapping[str, Limit]] = {
    name: limit
    for limit, names in (
        (Limit.STORE, "store_card open_vaulting_session"),
        (Limit.PAY, "pay pay_with_card open_payment_session"),
        (Limit.CHARGE, "charge_mandate"),
        (Limit.MOVE, "capture_payment refund_payment cancel_payment"),
        (Limit.OPTIONS, "consult"),
        (Limit.CHANGE, "update_card delete_card erase_buyer record_mandate end_mandate"),
        (Limit.READ, "get_card get_payment get_refund get_mandate get_vaulting get_webhook_endpoint"),
        (Limit.LIST, "list_buyer_cards list_payments list_card_mandates list_events"),
        (Limit.LIST, "list_webhook_endpoints list_webhook_deliveries"),
        (Limit.WEBHOOKS, "create_webhook_endpoint delete_webhook_endpoint send_test_webhook"),
        (Limit.WEBHOOKS, "rotate_webhook_secret redeliver_event"),
        (Limit.AUDIT, "list_audit_events get_audit_checkpoint get_audit_proof"),
    )
    for name in names.split()
}

# Declines that a tester of stolen or guessed cards meets, not those that only the merchant or the gateway can mend.
TELLING_DECLINES: Final = frozenset({
    DeclineCategory.INSUFFICIENT_FUNDS,
    DeclineCategory.ISSUER_DECLINED,
    DeclineCategory.CARD_DATA_INVALID,
    DeclineCategory.CARD_EXPIRED,
    DeclineCategory.CARD_UNUSABLE,
    DeclineCategory.FRAUD,
    DeclineCategory.AUTHENTICATION_REQUIRED,
    DeclineCategory.AUTHENTICATION_FAILED,
    DeclineCategory.LIMIT,
    DeclineCategory.UNKNOWN,
})  # fmt: skip
# From the middle of a guard's quota on requests wait, the longer the less is left of it, and never longer than this.
SLOWEST_SECONDS: Final = 5.0

_QUOTA: Final = re.compile(r"[1-9][0-9]{0,8}")


class OverrideInvalid(ValueError):
    """A quota for one client cannot be read; the text says what one looks like."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A limit as it holds for one client."""

    limit: Limit
    windows: tuple[Window, ...]
    quotas: tuple[int, ...]

    @property
    def spans(self) -> tuple[int, ...]:
        """Give the windows' lengths in seconds."""
        return tuple(window.seconds for window in self.windows)

    @property
    def advertised(self) -> str:
        """Give the value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers)."""
        each = zip(self.windows, self.quotas, strict=True)
        return ", ".join(f'"{window}";q={quota};w={window.seconds}' for window, quota in each)


def policy_for(limit: Limit, overrides: Overrides = MappingProxyType({})) -> Policy:
    """Give a limit with the quotas that a client has of its own."""
    own = overrides.get(limit, {})
    quotas = {window: own.get(window, quota) for window, quota in RULES[limit].quotas.items()}
    return Policy(limit, tuple(quotas), tuple(quotas.values()))


def read_override(text: str) -> tuple[Limit, Window, int]:
    """Read `cards.store:burst=500`; raises `OverrideInvalid`, also for a window that the limit does not have."""
    name, _, rest = text.partition(":")
    window, _, quota = rest.partition("=")
    known = {limit.value: limit for limit in RULES if limit is not Limit.REFUSED}
    if name not in known:
        raise OverrideInvalid(f"a limit is written as cards.store:burst=500; limits are: {', '.join(sorted(known))}")
    windows = {each.value: each for each in RULES[known[name]].quotas}
    if window not in windows:
        raise OverrideInvalid(f"{name} has the windows {', '.join(windows)}: {name}:{next(iter(windows))}=500")
    if not _QUOTA.fullmatch(quota):
        raise OverrideInvalid("a quota is a whole number from 1 to 999999999")
    return known[name], windows[window], int(quota)
