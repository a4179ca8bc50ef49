import logging
from collections.abc import Iterator
from typing import Any

import pytest

from tests.canary import assert_clean


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """Both event loops: the server runs on uvloop where there is one."""
    return "asyncio", {"use_uvloop": request.param}


@pytest.fixture(autouse=True)
def the_canary_stays_out_of_the_logs(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """T-36: fail any test in whose log records, at any level, the card number occurs."""
    caplog.set_level(logging.DEBUG)
    yield
    assert_clean("\n".join(f"{record.getMessage()} {vars(record)!r}" for record in caplog.get_records("call")), "a log")
