"""What a sandbox can be told before it starts.

Only values and the rule that keeps a simulator out of production. Refuses to know how any of it is served.
Invariant: a configuration never changes once the sandbox runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

ENVIRONMENT = "CARDVAULT_ENVIRONMENT"


class ProductionRefused(RuntimeError):
    """A payment simulator was about to start in a production environment."""


class RegionalRule(StrEnum):
    """What happens to a feature that the card's region excludes (antom-api.md 5.2)."""

    REFUSE = "REFUSE"
    IGNORE = "IGNORE"


def utc_now() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def refuse_production(environ: Mapping[str, str]) -> None:
    """Raise `ProductionRefused` when the environment names itself production."""
    if environ.get(ENVIRONMENT, "").strip().lower() == "production":
        raise ProductionRefused(
            f"The sandbox gateway does not run with {ENVIRONMENT}=production: it approves anything."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """One sandbox; durations are seconds.

    `public_url` replaces the bound address in links to the 3DS page. `notification_scale` multiplies the resend
    intervals of antom-api.md 1.7. `risk_challenge_from` switches the risk service on: amounts from there up are
    challenged. `clock_skew` is the largest accepted distance of Request-Time, None accepts any.
    """

    host: str = "127.0.0.1"
    port: int = 0
    public_url: str | None = None
    tls: bool = False
    tls_directory: Path | None = None
    gateway_key_file: Path | None = None
    state_directory: Path | None = None
    strict: bool = False
    luhn: bool = True
    asynchronous: bool = False
    regional_rule: RegionalRule = RegionalRule.REFUSE
    risk_challenge_from: int | None = None
    stable_tokens: bool = False
    token_in_answer: bool = True
    capture_delay: float = 1.0
    refund_window_days: int = 365
    late_after: float = 2.0
    notifications: bool = True
    resend: bool = True
    notification_scale: float = 1 / 120
    notification_timeout: float = 5.0
    clock_skew: float | None = None
    clock: Callable[[], datetime] = utc_now
