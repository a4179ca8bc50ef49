import inspect
import re

import pytest

from keys import errors
from keys.errors import CannotOpen, KeyExhausted, KeysError, KeyUnavailable, KeyUnknown, PlaintextTooLarge


def test_the_drawn_tree_names_every_error_and_no_other() -> None:
    drawn = set(re.findall(r"[├└]── (\w+)", errors.__doc__ or "")) | {"KeysError"}
    public = {name for name, _ in inspect.getmembers(errors, inspect.isclass) if not name.startswith("_")}
    assert drawn == public - {"ClassVar"}


def test_every_error_is_under_one_root() -> None:
    classes = [each for _, each in inspect.getmembers(errors, inspect.isclass) if each.__module__ == errors.__name__]
    assert all(issubclass(each, KeysError) for each in classes)


@pytest.mark.parametrize("kind", [CannotOpen, PlaintextTooLarge, KeyUnknown, KeyUnavailable, KeyExhausted])
def test_errors_near_secrets_have_room_for_nothing_but_their_fixed_text(kind: type[KeysError]) -> None:
    with pytest.raises(TypeError):
        kind("4000123412341234")
    assert str(kind()) == kind.message  # type: ignore[attr-defined]  # a class attribute of these five only
