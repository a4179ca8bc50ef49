"""The published rules of OCSF 1.8.0 for the classes that exports use, applied to one event.

It refuses to know the product: what it goes by is `ocsf_1_8_0.json`, which was taken from the published schema.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

_SCHEMA: Final[dict[str, Any]] = json.loads((Path(__file__).parent / "ocsf_1_8_0.json").read_text())
_TEXTS: Final = {"string_t", "username_t", "hostname_t", "resource_uid_t", "url_t", "email_t"}
_NUMBERS: Final = {"integer_t": 31, "port_t": 16, "long_t": 63, "timestamp_t": 63}
_IP: Final = re.compile(r"(\d{1,3}\.){3}\d{1,3}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")
# What an enumerated number is called in words; of the others the word is the name without its end.
_WORDS: Final = {"activity_id": "activity_name"}


def faults(event: dict[str, Any]) -> list[str]:
    """Give what is wrong with an event, nothing for a valid one."""
    of_class = _SCHEMA["classes"].get(str(event.get("class_uid")))
    return ["class_uid: not a class"] if of_class is None else [*_of_class(event, of_class), *_of(event, of_class, "")]


def _of_class(event: dict[str, Any], of_class: dict[str, Any]) -> Iterator[str]:
    expected = {
        "class_name": of_class["name"],
        "category_uid": of_class["category_uid"],
        "category_name": of_class["category_name"],
        "type_uid": event["class_uid"] * 100 + event["activity_id"],
        "type_name": f"{of_class['name']}: {event['activity_name']}",
    }
    yield from (f"{name}: does not fit the class" for name, value in expected.items() if event.get(name) != value)
    if event["metadata"]["version"] != _SCHEMA["version"]:
        yield "metadata.version: another version"


def _of(value: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
    attributes = schema["attributes"]
    if not isinstance(value, dict):
        yield f"{path}: not an object"
        return
    yield from (f"{path}{name}: unknown" for name in value.keys() - attributes.keys())
    required = {name for name, rule in attributes.items() if rule.get("required")}
    yield from (f"{path}{name}: missing" for name in required - value.keys())
    if schema["at_least_one"] and not value.keys() & set(schema["at_least_one"]):
        yield f"{path}: none of {schema['at_least_one']}"
    for name in value.keys() & attributes.keys():
        yield from _attribute(value, name, attributes[name], path)


def _attribute(holder: dict[str, Any], name: str, rule: dict[str, Any], path: str) -> Iterator[str]:
    value = holder[name]
    if rule.get("array") and not isinstance(value, list):
        yield f"{path}{name}: not an array"
        return
    for each in value if rule.get("array") else [value]:
        yield from _single(each, rule["type"], f"{path}{name}")
    if "enum" in rule and path + name not in {"class_uid", "category_uid"}:
        yield from _enumerated(holder, name, rule["enum"], path)


def _single(value: Any, kind: str, path: str) -> Iterator[str]:
    if kind in _SCHEMA["objects"]:
        yield from _of(value, _SCHEMA["objects"][kind], f"{path}.")
    elif not _fits(value, kind):
        yield f"{path}: not of type {kind}"


def _fits(value: Any, kind: str) -> bool:
    if kind in _NUMBERS:
        return type(value) is int and abs(value) < 2 ** _NUMBERS[kind]
    if kind in {"object", "boolean_t"}:
        return type(value) is (dict if kind == "object" else bool)
    if kind == "ip_t":
        return isinstance(value, str) and _IP.fullmatch(value) is not None
    return kind in _TEXTS and isinstance(value, str)


def _enumerated(holder: dict[str, Any], name: str, enum: dict[str, str], path: str) -> Iterator[str]:
    number, word = str(holder[name]), holder.get(_WORDS.get(name, name.removesuffix("_id")))
    if number not in enum:
        yield f"{path}{name}: not one of the published values"
    elif number == "99" and not word:
        yield f"{path}{name}: Other is to be named"
    elif number != "99" and word is not None and word != enum[number]:
        yield f"{path}{name}: the word is not the number's"
