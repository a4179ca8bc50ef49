from pathlib import Path

import pytest

from vault.approval import Operation
from vault.approval_policy import DEFAULT, Policy, PolicyInvalid, parse_policy, read_policy


@pytest.mark.parametrize(
    "text",
    [
        "[approvals",
        "approval = {}",
        "[approvals]\n'keys.destory' = 1",
        "[approvals]\n'keys.destroy' = -1",
        "[approvals]\n'keys.destroy' = 10",
        "[approvals]\n'keys.destroy' = true",
        "[approvals]\n'keys.destroy' = 1.0",
        "[approvals]\n'keys.destroy' = '1'",
        "[approvals]\nkeys.destroy = 1",
        "approvals = 1",
        "operators = 1",
        "operators = 101",
        "operators = true",
        "operators = '3'",
    ],
)
def test_a_policy_that_is_not_understood_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(PolicyInvalid):
        parse_policy(text)


def test_an_empty_policy_asks_for_nothing() -> None:
    assert parse_policy("") == Policy({})
    assert not any(parse_policy("").needed(operation) for operation in Operation)


def test_a_policy_replaces_the_default_as_a_whole() -> None:
    policy = parse_policy("operators = 5\n[approvals]\n'keys.destroy' = 2\n'clients.widen' = 0")
    assert (policy.most_operators, policy.needed(Operation.KEY_DESTROY)) == (5, 2)
    assert policy.needed(Operation.OPERATOR_CREATE) == 0


def test_by_default_what_destroys_or_widens_needs_somebody_else() -> None:
    assert read_policy(None) is DEFAULT
    assert {operation for operation in Operation if not DEFAULT.needed(operation)} == {Operation.OPERATOR_REVOKE}


def test_a_policy_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    with pytest.raises(PolicyInvalid, match="CARDVAULT_APPROVAL_POLICY_FILE"):
        read_policy(path)
    path.write_bytes(b"\xff")
    with pytest.raises(PolicyInvalid, match="CARDVAULT_APPROVAL_POLICY_FILE"):
        read_policy(path)
    path.write_text("[approvals]\n'operators.revoke' = 1")
    assert read_policy(path).needed(Operation.OPERATOR_REVOKE) == 1
