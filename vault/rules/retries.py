"""When a card may be tried again after declines: dated rules of the schemes, and the one function that applies them.

Refuses to know payments, rows and whose card it is: it is told what was tried with one number and what is wanted now.
Invariants: an attempt whose outcome is open counts like a decline; of several rules that forbid an attempt the one that
lasts longest is named; the rules are data, those of an operator's file or of `retries.json` (controls.md RTY-2 to
RTY-8).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar, Final, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from vault.attempt import Attempt, Kept, Tried
from vault.rules.declines import DeclineCategory, Retry, decline_for
from vault.rules.scheme_declines import STRICTNESS, Network, Words
from vault.settings import SettingsInvalid

DATED: Final = date(2026, 11, 22)

_OWN_RULES: Final = Path(__file__).with_name("retries.json")
_NEVER_OVER: Final = datetime.max.replace(tzinfo=UTC)
_OVER: Final = datetime.min.replace(tzinfo=UTC)
# Where these are the whole reason, nobody asked the network.
_NOT_AT_THE_NETWORK: Final = frozenset({
    DeclineCategory.AUTHENTICATION_FAILED,
    DeclineCategory.CONFIGURATION,
    DeclineCategory.NOT_SENT,
    DeclineCategory.ORDER_CLOSED,
    DeclineCategory.REQUEST_INVALID,
})  # fmt: skip


class Same(StrEnum):
    """What two attempts with one number have in common for a rule that is not about all of them."""

    AMOUNT = "amount"
    INITIATOR = "initiator"
    AGREEMENT = "agreement"
    EXPIRY = "expiry"


_LENGTHS: Final = list(Kept)
_UNKNOWN_KEY: Final = "unexpected_keyword_argument"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an attempt must not go out: the rule and the version it is from; `not_before` None means no known time."""

    rule: str
    version: str
    retry: Retry
    not_before: datetime | None


_STRICT: Final = ConfigDict(extra="forbid", hide_input_in_errors=True)
_Name: TypeAlias = Annotated[str, Field(pattern=r"^[a-z0-9_]{1,48}$")]
_Code: TypeAlias = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,32}$")]
_Hours: TypeAlias = Annotated[int, Field(ge=1, le=8_784)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """So many attempts with one number within so many hours, of those that have `same` in common."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: _Name
    networks: Annotated[frozenset[Network], Field(min_length=1)]
    count: Annotated[int, Field(ge=1, le=1_000)]
    hours: _Hours
    same: frozenset[Same] = frozenset()
    retry: ClassVar[Retry] = Retry.LATER

    def until(self, attempt: Attempt, tried: Sequence[Tried], now: datetime) -> datetime:
        """Give when there is a place for an attempt; nobody knows that while attempts are open."""
        if attempt.network not in self.networks:
            return _OVER
        window = timedelta(hours=self.hours)
        ends = sorted(_end(each, window) for each in tried if _alike(self.same, attempt, each))
        taken = [end for end in ends if end > now]
        return taken[-self.count] if len(taken) >= self.count else _OVER


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """No attempt for so many hours after a decline with one of the codes, of those that have `same` in common.

    Without `hours` for good. `absent`: only charges without the buyer, and only until the buyer pays with the card.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: _Name
    networks: frozenset[Network] = frozenset()
    refusals: frozenset[_Code] = frozenset()
    advice: frozenset[_Code] = frozenset()
    hours: _Hours | None = None
    same: frozenset[Same] = frozenset()
    absent: bool = False
    retry: Retry

    def follows(self, decline: Tried) -> bool:
        """Tell whether a decline has this block."""
        said = decline.refusal_code in self.refusals or decline.advice_code in self.advice
        return said and (not self.networks or decline.network in self.networks)

    def until(self, attempt: Attempt, tried: Sequence[Tried], _now: datetime) -> datetime:
        """Give the end of the block for an attempt."""
        if self.absent and attempt.mandate_id is None:
            return _OVER
        window = None if self.hours is None else timedelta(hours=self.hours)
        blocking = (each for each in tried if self.follows(each) and _alike(self.same, attempt, each))
        return max((_end(each, window) for each in blocking), default=_OVER)

    @property
    def kept(self) -> Kept:
        """Say how long a decline with this block is needed."""
        if self.hours is None:
            return Kept.CARD
        return Kept.BUYER if self.absent else Kept.WINDOW


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSet:
    """Rules that are in force from a date on, until a later set takes their place."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,48}$")]
    effective: date
    source: Annotated[str, Field(min_length=1, max_length=1_000)]
    limits: tuple[Limit, ...] = ()
    blocks: tuple[Block, ...] = ()

    @property
    def rules(self) -> tuple[Limit | Block, ...]:
        """Give all of them."""
        return *self.limits, *self.blocks

    def judge(self, attempt: Attempt, tried: Sequence[Tried], now: datetime) -> Refusal | None:
        """Give the strictest rule that forbids an attempt, or None where it may go out."""
        ends = ((rule, rule.until(attempt, tried, now)) for rule in self.rules)
        forbidding = [(rule, end) for rule, end in ends if end > now]
        if not forbidding:
            return None
        rule, end = max(forbidding, key=lambda each: (STRICTNESS.index(each[0].retry), each[1]))
        return Refusal(rule.name, self.version, rule.retry, None if end == _NEVER_OVER else end)

    def kept(self, decline: Tried) -> Kept | None:
        """Say how long a decline is needed; None for one that no rule is about."""
        blocks = [block.kept for block in self.blocks if block.follows(decline)]
        counted = any(decline.network in limit.networks for limit in self.limits)
        return max(blocks, key=_LENGTHS.index, default=Kept.WINDOW if counted else None)


@dataclass(frozen=True, slots=True)
class RetryRules:
    """Rule sets in the order of their dates."""

    sets: tuple[RuleSet, ...]

    def at(self, now: datetime) -> RuleSet:
        """Give the set that is in force."""
        return [each for each in self.sets if each.effective <= now.astimezone(UTC).date()][-1]

    def kept(self, decline: Tried) -> Kept | None:
        """Say how long a decline is needed by any of the sets."""
        kept = (each.kept(decline) for each in self.sets)
        return max((each for each in kept if each is not None), key=_LENGTHS.index, default=None)

    @property
    def longest(self) -> timedelta:
        """Give the longest time for which any rule looks back, but for those that hold for good."""
        hours = (rule.hours for each in self.sets for rule in each.rules)
        return timedelta(hours=max((each for each in hours if each is not None), default=0))


_RULE_SETS: Final = TypeAdapter(Annotated[tuple[RuleSet, ...], Field(min_length=1, max_length=100)])


def load_rules(path: Path | None, today: date) -> RetryRules:
    """Read the rules of a file, or the vault's own; raises `SettingsInvalid`."""
    try:
        sets = _RULE_SETS.validate_json((path or _OWN_RULES).read_bytes())
    except OSError:
        raise _unusable("the file cannot be read; check its path and its permissions") from None
    except ValidationError as error:
        raise _unusable(_complaint(error)) from None
    for each in sets:
        if len({rule.name for rule in each.rules}) < len(each.rules):
            raise _unusable("two rules of one set have the same name; give each its own")
    if len({each.effective for each in sets}) < len(sets):
        raise _unusable("two sets are in force from the same date; give each its own")
    if all(each.effective > today for each in sets):
        raise _unusable("no set is in force yet; add one whose date has come")
    return RetryRules(tuple(sorted(sets, key=lambda each: each.effective)))


def _unusable(complaint: str) -> SettingsInvalid:
    return SettingsInvalid([f"CARDVAULT_RETRY_RULES_FILE: {complaint}"])


def _complaint(error: ValidationError) -> str:
    fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
    steps = [str(step) for step in (fault["loc"][:-1] if fault["type"] == _UNKNOWN_KEY else fault["loc"])]
    return f"the file is not acceptable at /{'/'.join(steps)} ({fault['type']}); see docs/operations.md"


def counts(words: Words) -> bool:
    """Tell whether a decline is an attempt in the eyes of the network; in doubt it is."""
    if words.refusal_code is not None or words.advice_code is not None:
        return True
    return decline_for(words.result_code).category not in _NOT_AT_THE_NETWORK


_FACTS: Final[Mapping[Same, Callable[[Attempt], object]]] = {
    Same.AMOUNT: lambda attempt: attempt.amount,
    Same.INITIATOR: lambda attempt: attempt.mandate_id is None,
    Same.AGREEMENT: lambda attempt: attempt.mandate_id,
    Same.EXPIRY: lambda attempt: attempt.expiry,
}


def _end(tried: Tried, window: timedelta | None) -> datetime:
    if tried.declined_at is None or window is None:
        return _NEVER_OVER
    return tried.declined_at + window


def _alike(same: frozenset[Same], attempt: Attempt, other: Attempt) -> bool:
    return all(_FACTS[each](attempt) == _FACTS[each](other) for each in same)
