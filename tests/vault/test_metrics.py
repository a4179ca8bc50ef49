"""Counting: in one process, and together with others that may be gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vault import metrics

_COUNTER = """
import os
from vault import metrics
metrics.count_request("GET", "/v1/cards/{cardId}", 200, 0.02)
metrics.show_pool(busy=3)
"""


def test_what_is_counted_is_told() -> None:
    metrics.count_request("GET", "/told", 200, 0.02)
    text = metrics.text_of_processes().decode()
    assert 'cardvault_http_requests_total{method="GET",route="/told",status="200"} 1.0' in text
    assert 'cardvault_http_request_seconds_bucket{le="0.025",route="/told"} 1.0' in text


def test_processes_that_share_a_folder_tell_their_sum_and_the_dead_hold_no_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = os.environ | {metrics.FOLDER: str(tmp_path)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", _COUNTER], env=environment, check=True)
    monkeypatch.setenv(metrics.FOLDER, str(tmp_path))
    text = metrics.text_of_processes().decode()
    assert 'cardvault_http_requests_total{method="GET",route="/v1/cards/{cardId}",status="200"} 2.0' in text
    assert "cardvault_pool_connections{" not in text


@pytest.mark.parametrize(("error", "stays"), [(None, True), (PermissionError, True), (ProcessLookupError, False)])
def test_gauges_of_the_living_stay_whoever_may_see_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[OSError] | None, *, stays: bool
) -> None:
    def signalled(_pid: int, _number: int) -> None:
        if error is not None:
            raise error

    file = tmp_path / "gauge_livesum_1234567.db"
    file.touch()
    monkeypatch.setattr(os, "kill", signalled)
    metrics._forget_gauges_of_the_dead(tmp_path)
    assert file.exists() is stays
