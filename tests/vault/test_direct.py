"""The route class of the hot paths: what it refuses to be declared as. What it answers is in tests/api."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Depends, Header
from pydantic import BaseModel

from vault.routes.access import CardsReader
from vault.routes.direct import DirectRoute


class Body(BaseModel):
    """Something sent."""


async def without_access() -> None:
    """Anybody may come."""


async def with_another_dependency(_caller: Annotated[object, Depends(without_access)]) -> None:
    """It is not known whose."""


async def with_two_bodies(_caller: CardsReader, one: Body, other: Body) -> None:
    """It is not known which."""
    del one, other


async def with_a_header(_caller: CardsReader, agent: Annotated[str, Header()]) -> None:
    """It would not be read."""
    del agent


@pytest.mark.parametrize("endpoint", [without_access, with_another_dependency, with_two_bodies, with_a_header])
def test_what_it_would_not_do_it_refuses_to_be(endpoint: Callable[..., Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        APIRouter(route_class=DirectRoute).post("/")(endpoint)
