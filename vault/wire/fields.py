"""The kinds of fields that requests are made of: each says once what it accepts and with which code it refuses.

It refuses to know routes and services. Invariants: an unknown field is refused; text that a person may type is scanned
for card numbers; secrets become sealed types while they are parsed; no refusal carries the value (design section 4).
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Annotated, Any, Final, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Strict,
    StringConstraints,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from vault.card import CardDataInvalid, Cvv, Pan, PinDigits
from vault.money import CURRENCIES, VALUE
from vault.pan_detector import contains_pan

T = TypeVar("T")


class Wire(BaseModel):
    """A closed, immutable JSON object in camelCase."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=False,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,
        str_max_length=4096,
        ser_json_inf_nan="null",
        defer_build=False,
    )

    def wire(self, *names: str) -> dict[str, Any]:
        """Give the object, or the named fields of it, as it goes over the wire, without what was left absent."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, include=set(names) or None)


def refusal(code: str) -> PydanticCustomError:
    """Give a validation error that says its code and nothing of the value."""
    return PydanticCustomError(code, "refused")


def _without_pan(value: str) -> str:
    if contains_pan(value):
        raise refusal("pan_in_free_text")
    return value


def _parsed(parse: Callable[[str], T], code: str) -> Callable[[object], T]:
    def validate(value: object) -> T:
        if not isinstance(value, str):
            raise refusal(code)
        try:
            return parse(value)
        except CardDataInvalid:
            raise refusal(code) from None

    return validate


def _write_only(description: str, pattern: str, example: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "type": "string",
            "writeOnly": True,
            "description": description,
            "pattern": pattern,
            "examples": [example],
        }
    )


# Text that a person may have typed: scanned for card numbers.
Text64 = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_without_pan)]
Text256 = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_without_pan)]
Text2048 = Annotated[str, StringConstraints(min_length=1, max_length=2048), AfterValidator(_without_pan)]

# Typed values (a phone number, a postal code, a code): shaped, and not scanned.
Code = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Typed = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _address(value: str) -> str:
    try:
        ip_address(value)
    except ValueError:
        raise refusal("invalid_value") from None
    return value


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refusal("invalid_type")
    return value


# Yes or no, and whole numbers, are what JSON has for them: no "true", no 1 for true, no "7"; 7.0 is 7.
Flag = Annotated[bool, Strict()]
NUMBER: Final = BeforeValidator(_number)

# A network address: nothing else of digits and dots gets through.
IpAddress = Annotated[
    str,
    StringConstraints(max_length=45),
    AfterValidator(_address),
    WithJsonSchema(
        {
            "type": "string",
            "maxLength": 45,
            "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}],
            "examples": ["203.0.113.9"],
        }
    ),
]

# A merchant's own id: no control characters, spaces or slashes, so that it can stand in a path.
MERCHANTS_ID: Final = r"^[^\x00-\x20\x7f/\\]+$"
Reference = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=MERCHANTS_ID)]
# A cursor is sent back as a list gave it.
CursorText = Annotated[str, StringConstraints(max_length=512, pattern=r"^[A-Za-z0-9_-]+$")]
Region = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
MethodRegion = Annotated[str, StringConstraints(pattern=r"^(GLOBAL|[A-Z]{2})$")]


def _currency(value: str) -> str:
    if value not in CURRENCIES:
        raise refusal("currency_invalid")
    return value


CurrencyCode = Annotated[
    str,
    AfterValidator(_currency),
    WithJsonSchema({"type": "string", "enum": sorted(CURRENCIES), "description": "A currency of ISO 4217."}),
]
Url = Annotated[
    str, StringConstraints(max_length=2048, pattern=r"^https?://[^\x00-\x20\x7f\\]+$"), AfterValidator(_without_pan)
]

CardNumberField = Annotated[
    Pan,
    BeforeValidator(_parsed(Pan.parse, "card_number_invalid")),
    _write_only(
        "The card number, with its check digit. It is never given back.",
        "^[0-9](?:[ -]?[0-9]){11,18}$",
        "4111111111111111",
    ),
]
PinDigitsField = Annotated[
    PinDigits,
    BeforeValidator(_parsed(PinDigits.parse, "pin_digits_invalid")),
    _write_only("First two digits of the card's password (Korean cards). Never stored.", "^[0-9]{2}$", "12"),
]
CvvField = Annotated[
    Cvv,
    BeforeValidator(_parsed(Cvv.parse, "cvv_invalid")),
    _write_only(
        "The card verification value, as long as the card's brand has it. It lives for this one request.",
        "^[0-9]{3,4}$",
        "737",
    ),
]


def _two_digits(value: object) -> str:
    if not isinstance(value, str) or re.fullmatch(r"[0-9]{2}", value) is None:
        raise refusal("expiry_invalid")
    return value


ExpiryMonth = Annotated[
    str,
    BeforeValidator(_two_digits),
    WithJsonSchema({"type": "string", "pattern": "^(0[1-9]|1[0-2])$", "examples": ["03"]}),
]
ExpiryYear = Annotated[
    str,
    BeforeValidator(_two_digits),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^[0-9]{2}$",
            "description": "The last two digits of a year that is at most twenty years away.",
            "examples": ["39"],
        }
    ),
]


def _moment(value: object) -> object:
    if not isinstance(value, str):
        raise refusal("invalid_type")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise refusal("invalid_value") from None
    if moment.tzinfo is None:
        raise refusal("invalid_value")
    return moment


_CLOCKS_DIFFER: Final = timedelta(minutes=5)


def _past(moment: datetime) -> datetime:
    if moment > datetime.now(UTC) + _CLOCKS_DIFFER:
        raise refusal("invalid_value")
    return moment


def _date_time(example: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "format": "date-time", "examples": [example]})


Moment = Annotated[datetime, BeforeValidator(_moment), _date_time("2026-01-31T12:00:00Z")]
PastMoment = Annotated[datetime, BeforeValidator(_moment), AfterValidator(_past), _date_time("2026-01-31T12:00:00Z")]
LaterMoment = Annotated[datetime, BeforeValidator(_moment), _date_time("2036-12-31T23:59:59Z")]


def _amount_text(value: str) -> str:
    if VALUE.fullmatch(value) is None:
        raise refusal("amount_invalid")
    return value


AmountText = Annotated[
    str,
    AfterValidator(_amount_text),
    WithJsonSchema({"type": "string", "pattern": f"^{VALUE.pattern}$", "examples": ["2590"]}),
]


def _scanned(value: dict[str, Any]) -> dict[str, Any]:
    for key, entry in value.items():
        _without_pan(key)
        if isinstance(entry, str):
            _without_pan(entry)
        elif isinstance(entry, int) and not isinstance(entry, bool):
            _without_pan(str(entry))
    return value


_MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=40)]
_MetadataNumber = Annotated[int, NUMBER, WithJsonSchema({"type": "integer", "format": "int64"})]
_MetadataValue = Annotated[str, StringConstraints(max_length=500)] | Flag | _MetadataNumber
Metadata = Annotated[dict[_MetadataKey, _MetadataValue], AfterValidator(_scanned)]
