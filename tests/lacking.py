"""What a machine may lack: tests that need it say so and are left out, but not in CI."""

import os

import pytest


def need(present: object, why: str) -> None:
    """Leave the test out where something is not there; in CI it has to be."""
    if not present:
        assert "CI" not in os.environ, why
        pytest.skip(why)
