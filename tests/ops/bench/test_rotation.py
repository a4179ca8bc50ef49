"""The rotation that is held to account, with few cards, real processes and one of them killed (KEY-7, T-14)."""

import json
import logging

import pytest
from click.testing import CliRunner

from ops.bench import rotation


def test_cards_are_moved_while_payments_run_and_a_worker_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "_PACED", 100)
    monkeypatch.setattr(rotation, "_ROUNDS", 1)
    arguments = ["--cards", "1500", "--deaths", "1", "--seconds", "0.2", "--connections", "2"]
    result = CliRunner().invoke(rotation.main, arguments)
    logging.getLogger().handlers.clear()
    assert result.exit_code == 0, result.output[-2000:]
    said = json.loads(result.stdout)
    assert (said["cards"], said["workersKilled"], said["paymentsFailed"]) == (1500, 1, 0)
    assert (said["rowsUnderOldKeys"], said["cardsThatOpenToTheirNumber"]) == (0, 1500)
    assert said["paymentsMade"] > 0
