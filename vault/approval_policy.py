"""How many others have to approve which operation: the default, and a policy file in its place.

It refuses to know who asks. Invariants: a file replaces the default as a whole, and one that names anything unknown is
refused rather than half read (controls.md KEY-4, KEY-11).
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from vault.approval import Operation

_MOST_APPROVALS: Final = 9
_MOST_OPERATORS: Final = range(2, 101)
_KEYS: Final = frozenset({"approvals", "operators"})


class PolicyInvalid(Exception):
    """The policy file cannot be used; the text says what to mend."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The approvals that operations need, none where they are not named, and how many persons may be operators."""

    approvals: Mapping[Operation, int]
    most_operators: int = 12

    def needed(self, operation: Operation) -> int:
        """Give the number of others who have to approve an operation."""
        return self.approvals.get(operation, 0)


DEFAULT: Final = Policy(
    MappingProxyType(
        {
            Operation.CLIENT_WIDEN: 1,
            Operation.OPERATOR_CREATE: 1,
            Operation.KEY_DESTROY: 1,
            Operation.SHRED: 1,
            Operation.SEAL_ADD: 1,
            Operation.SEAL_REMOVE: 1,
            Operation.SHARES_CREATE: 1,
            Operation.AUDIT_EPOCH: 1,
            Operation.AUDIT_PRUNE: 1,
        }
    )
)


def read_policy(path: Path | None) -> Policy:
    """Read the policy file, or give the default without one; raises `PolicyInvalid`."""
    if path is None:
        return DEFAULT
    try:
        return parse_policy(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise PolicyInvalid("the approval policy cannot be read: check CARDVAULT_APPROVAL_POLICY_FILE") from None


def parse_policy(text: str) -> Policy:
    """Read a policy in TOML: a table `approvals` with a number for each operation, and `operators`, their limit.

    Raises `PolicyInvalid`.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise PolicyInvalid("the approval policy is not TOML") from None
    if not _KEYS.issuperset(document):
        raise PolicyInvalid("the approval policy holds the table approvals and the number operators, nothing else")
    approvals, operators = document.get("approvals", {}), document.get("operators", DEFAULT.most_operators)
    if type(operators) is not int or operators not in _MOST_OPERATORS:
        raise PolicyInvalid("operators, in the approval policy, is a whole number from 2 to 100")
    if not isinstance(approvals, dict) or not all(_is_rule(name, number) for name, number in approvals.items()):
        known = ", ".join(sorted(Operation))
        raise PolicyInvalid(f"approvals, in the approval policy, holds numbers from 0 to 9 for some of: {known}")
    return Policy({Operation(name): number for name, number in approvals.items()}, operators)


def _is_rule(name: str, number: Any) -> bool:
    return name in set(Operation) and type(number) is int and 0 <= number <= _MOST_APPROVALS
