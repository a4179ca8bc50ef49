import copy
import dataclasses
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from keys.sealed import KeyMaterial, Plaintext, Sealed

SECRET = "wxyz-secret-6021"


class Token(Sealed[str]):
    __slots__ = ("brand", "last_four")

    brand: str
    last_four: str

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.brand = "VISA"
        self.last_four = value[-4:]


@dataclasses.dataclass(frozen=True)
class Holder:
    name: str
    token: Token


class Model(BaseModel):
    token: Token


@pytest.fixture
def token() -> Token:
    return Token(SECRET)


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        ascii,
        lambda token: f"{token}",
        lambda token: f"{token!r:>40}".strip(),
        lambda token: f"{token:>40}",
        lambda token: "%s" % token,  # noqa: UP031 - the old operator is what is tested
        "{0}".format,
    ],
)
def test_every_conversion_to_text_gives_the_class_name_alone(show: Callable[[Token], str], token: Token) -> None:
    assert show(token) == "<Token>"


@pytest.mark.parametrize(
    "leak",
    [
        copy.copy,
        copy.deepcopy,
        hash,
        iter,
        len,
        bytes,
        int,
        vars,
        memoryview,
        json.dumps,
        orjson.dumps,
        to_json,
        TypeAdapter(object).dump_json,
        lambda token: [*token],
        lambda token: token[0],
        lambda token: "w" in token,
        lambda token: token + "",
        lambda token: token < token,  # noqa: PLR0124 - the operator is what is tested
        lambda token: {token: 1},
        lambda token: token.__getstate__(),
        lambda token: dataclasses.asdict(Holder("a", token)),
        lambda token: dataclasses.astuple(Holder("a", token)),
        lambda token: json.dumps({"token": token}),
        lambda token: json.dumps({token: 1}),
        lambda token: pickle.dump([token], io.BytesIO()),
        *[lambda token, protocol=protocol: pickle.dumps(token, protocol) for protocol in range(6)],
    ],
)
def test_every_other_way_out_raises_without_the_secret(leak: Callable[[Token], object], token: Token) -> None:
    with pytest.raises((TypeError, PydanticSerializationError)) as caught:
        leak(token)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_log_line_with_a_sealed_value_shows_the_class_name(token: Token, caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("any").warning("stored %s %r", token, {"token": token})
    assert caplog.messages == ["stored <Token> {'token': <Token>}"]


@pytest.mark.parametrize("mode", ["python", "json"])
def test_a_model_may_hold_a_sealed_value_but_no_dump_of_it_succeeds(mode: str, token: Token) -> None:
    model = Model(token=token)
    assert model.token is token
    with pytest.raises(PydanticSerializationError) as caught:
        model.model_dump(mode=mode)
    assert SECRET not in str(caught.value)


def test_a_model_with_a_sealed_value_gives_no_json(token: Token) -> None:
    with pytest.raises(PydanticSerializationError) as caught:
        Model(token=token).model_dump_json()
    assert SECRET not in str(caught.value)


def test_a_model_takes_no_plain_text_for_a_sealed_value() -> None:
    with pytest.raises(ValidationError):
        Model.model_validate({"token": "plain"})


def test_the_repr_of_a_model_shows_the_class_name(token: Token) -> None:
    assert repr(Model(token=token)) == "Model(token=<Token>)"


@pytest.mark.parametrize("name", ["brand", "last_four", "_Sealed__value", "other", "__class__", "__dict__"])
def test_nothing_can_be_assigned_after_construction(name: str, token: Token) -> None:
    with pytest.raises(AttributeError):
        setattr(token, name, "x")
    assert token.reveal() == SECRET


@pytest.mark.parametrize("name", ["brand", "_Sealed__value", "other"])
def test_nothing_can_be_deleted(name: str, token: Token) -> None:
    with pytest.raises(AttributeError):
        delattr(token, name)
    assert token.reveal() == SECRET


def test_running_the_constructor_again_changes_nothing(token: Token) -> None:
    with pytest.raises(AttributeError, match="Token is immutable"):
        token.__init__("another")  # type: ignore[misc]  # what an attacker of immutability would do
    assert token.reveal() == SECRET


def test_a_subclass_sets_its_own_slots_once_and_shows_them(token: Token) -> None:
    assert (token.brand, token.last_four) == ("VISA", "6021")


def test_a_subclass_without_slots_is_refused() -> None:
    with pytest.raises(TypeError, match="must declare __slots__"):
        type("Loose", (Sealed,), {})


def test_values_of_one_type_are_equal_when_their_content_is(token: Token) -> None:
    assert token == Token(SECRET)
    assert token != Token(SECRET + "0")


@pytest.mark.parametrize("other", [SECRET, Sealed(SECRET), Sealed(SECRET.encode()), None])
def test_a_value_of_another_type_is_never_equal(other: object, token: Token) -> None:
    assert token != other


def test_text_beyond_ascii_compares_and_comes_back() -> None:
    assert Sealed("Zoë") == Sealed("Zoë")
    assert Sealed("Zoë") != Sealed("Zoe")
    assert Sealed("Zoë").reveal() == "Zoë"


@pytest.mark.parametrize("value", [None, 4111, bytearray(b"x"), Sealed("x"), ["x"]])
def test_only_text_and_octets_are_sealed(value: object) -> None:
    with pytest.raises(TypeError, match="only text or octets"):
        Sealed(value)  # type: ignore[type-var]  # what the checker refuses, the constructor must too


def test_text_that_could_not_be_encoded_later_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="lone surrogates") as caught:
        Sealed("secret\ud800")
    assert "secret\ud800" not in str(caught.value)


def test_octets_beyond_ascii_are_sealed_as_they_are() -> None:
    assert Sealed(b"\xff\x00").reveal() == b"\xff\x00"


def test_the_generic_alias_builds_the_plain_class() -> None:
    assert Sealed[str]("x").reveal() == "x"


@pytest.mark.parametrize("value", [b"", b"k" * 31, b"k" * 33, "k" * 32, None])
def test_key_material_of_another_length_or_type_is_refused_in_silence(value: object) -> None:
    with pytest.raises(ValueError, match="exactly 32 octets") as caught:
        KeyMaterial(value)  # type: ignore[arg-type]  # hostile input
    assert "kkkk" not in str(caught.value)


def test_generated_keys_differ() -> None:
    assert len({KeyMaterial.generate().reveal() for _ in range(100)}) == 100


@given(st.binary())
def test_what_was_sealed_is_revealed(value: bytes) -> None:
    assert Plaintext(value).reveal() == value
