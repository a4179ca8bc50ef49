"""Entries of the log as events of OCSF 1.8.0, one line of JSON each, for tools that know no other log.

It refuses to know files. Invariants: what has no attribute in OCSF is in `unmapped`; the entry itself, as it was
hashed, is in `raw_data`; the same entry gives the same line. Source: schema.ocsf.io 1.8.0, controls.md EXP-1 to EXP-3.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Final, TypeAlias

import orjson

from vault.audit.catalogue import CATALOGUE, Activity
from vault.audit.events import SCHEMA, ActorKind, Event, EventType, Origin, Outcome
from vault.audit.logged import Logged

VERSION: Final = "1.8.0"
_PRODUCT: Final = "Cardvault"
_OTHER: Final = 99
_TABLE: Final = 3
_MILLISECONDS: Final = 1000
_NEW: Final = (1, "New")
_STATUS: Final = {Outcome.SUCCESS: (1, "Success"), Outcome.FAILURE: (2, "Failure"), Outcome.DENIED: (2, "Failure")}
_INFORMATIONAL, _MEDIUM, _HIGH = (1, "Informational"), (3, "Medium"), (4, "High")
_USER_TYPES: Final = {
    ActorKind.CLIENT: (4, "Service"),
    ActorKind.GATEWAY: (4, "Service"),
    ActorKind.WORKER: (3, "System"),
    ActorKind.OPERATOR: (2, "Admin"),
    ActorKind.ANONYMOUS: (0, "Unknown"),
}
_FOREIGN: Final = "An entry that no vault has written."
_Attributes: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Class:
    """A class of events: its name, its category, and the attributes that it has beside those of all."""

    name: str
    category: tuple[int, str]
    attributes: Callable[[Event], _Attributes]


def line(logged: Logged, log_name: str) -> bytes:
    """Give an entry as one line of JSON."""
    return orjson.dumps(event(logged, log_name), option=orjson.OPT_SORT_KEYS) + b"\n"


def event(logged: Logged, log_name: str) -> _Attributes:
    """Give an entry's attributes; what no vault has written is a detection finding."""
    found = logged.event
    common = _common(logged, log_name)
    if found is None:
        info = {"uid": f"{log_name}#{logged.place}", "title": _FOREIGN}
        return common | _classified(Activity.ALARM, _HIGH, _NEW) | {"message": _FOREIGN, "finding_info": info}
    entry = CATALOGUE[found.type]
    finding = entry.activity in _FINDINGS
    calm = _INFORMATIONAL if found.outcome is Outcome.SUCCESS else _MEDIUM
    status = _NEW if finding else _STATUS[found.outcome]
    attributes = common | _classified(entry.activity, _HIGH if finding else calm, status)
    attributes |= {"message": entry.says, "status_code": found.outcome.value, "status_detail": found.reason}
    attributes["metadata"] |= _about(found) | {"uid": logged.event_id}
    attributes["unmapped"] |= {"details": dict(found.details), "objects": list(found.objects)}
    attributes["unmapped"] |= {"trace": found.origin.trace_id} if found.origin.trace_id else {}
    attributes |= _CLASSES[entry.activity.value[0]].attributes(found)
    if finding:
        attributes["finding_info"]["uid"] = logged.event_id
        attributes["unmapped"]["actor"] = _user(found.origin)
    return {name: value for name, value in attributes.items() if value is not None}


def _common(logged: Logged, log_name: str) -> _Attributes:
    return {
        "time": round(logged.at.timestamp() * _MILLISECONDS),
        "metadata": {
            "version": VERSION,
            "product": {"name": _PRODUCT, "vendor_name": _PRODUCT},
            "log_name": log_name,
            "log_version": SCHEMA,
            "sequence": logged.place,
        },
        "raw_data": logged.octets.decode(),
        "unmapped": {"leaf_hash": base64.b64encode(logged.hash).decode(), "place": logged.place},
    }


def _classified(activity: Activity, severity: tuple[int, str], status: tuple[int, str]) -> _Attributes:
    class_uid, activity_id, name = activity.value
    of_class = _CLASSES[class_uid]
    return {
        "activity_id": activity_id,
        "activity_name": name,
        "category_uid": of_class.category[0],
        "category_name": of_class.category[1],
        "class_uid": class_uid,
        "class_name": of_class.name,
        "type_uid": class_uid * 100 + activity_id,
        "type_name": f"{of_class.name}: {name}",
        "severity_id": severity[0],
        "severity": severity[1],
        "status_id": status[0],
        "status": status[1],
    }


def _about(found: Event) -> _Attributes:
    """Give what the metadata say of an event."""
    named = {"tenant_uid": found.merchant_id, "correlation_uid": found.origin.request_id, "event_code": found.type}
    return {name: str(value) for name, value in named.items() if value}


def _user(origin: Origin) -> _Attributes:
    type_id, kind = _USER_TYPES[origin.kind]
    named = {"uid": origin.actor_id, "uid_alt": origin.key_id}
    present = {name: value for name, value in named.items() if value}
    return {"name": origin.actor_id or origin.kind.value, "type_id": type_id, "type": kind} | present


def _who(found: Event) -> _Attributes:
    """Give who did it, and from where: an address, or a part of the vault."""
    return {"actor": {"user": _user(found.origin)}, "src_endpoint": _source(found.origin)}


def _source(origin: Origin) -> _Attributes:
    try:
        return {"ip": str(ip_address(origin.address))}
    except ValueError:
        return {"svc_name": f"{_PRODUCT} {origin.kind.value}"}


def _family(kind: EventType) -> str:
    return kind.value.partition(".")[0]


def _resources(found: Event) -> list[_Attributes]:
    return [{"uid": each, "type": _family(found.type)} for each in found.objects]


def _named(found: Event) -> str:
    """Name what an event is about: an object, or else a key or a seal of the details, or else its family."""
    details: Mapping[str, Any] = found.details
    known = (*found.objects[:1], details.get("key_id"), details.get("seal"), details.get("to"), _family(found.type))
    return str(next(each for each in known if each))


def _api_activity(found: Event) -> _Attributes:
    api: _Attributes = {"operation": found.details.get("operation") or found.type.value}
    if found.origin.request_id:
        api["request"] = {"uid": found.origin.request_id}
    return _who(found) | {"api": api, "resources": _resources(found)}


def _datastore_activity(found: Event) -> _Attributes:
    name = str(found.details.get("place") or _family(found.type))
    return _who(found) | {"table": {"name": name}, "type_id": _TABLE, "type": "Table"}


def _account_change(found: Event) -> _Attributes:
    return _who(found) | {"user": {"uid": _named(found), "type_id": 2, "type": "Admin"}}


def _entity_management(found: Event) -> _Attributes:
    return _who(found) | {"entity": {"uid": _named(found), "type_id": _OTHER, "type": _family(found.type)}}


def _application_lifecycle(found: Event) -> _Attributes:
    return {"app": {"name": _PRODUCT, "vendor_name": _PRODUCT, "feature": {"name": found.origin.actor_id or "vault"}}}


def _finding(found: Event) -> _Attributes:
    info = {"title": CATALOGUE[found.type].says, "types": [found.reason or found.type.value]}
    return {"finding_info": info, "resources": _resources(found), "is_alert": True}


_APPLICATION, _IAM, _OF_FINDINGS = (6, "Application Activity"), (3, "Identity & Access Management"), (2, "Findings")
_CLASSES: Final = {
    6003: _Class("API Activity", _APPLICATION, _api_activity),
    6005: _Class("Datastore Activity", _APPLICATION, _datastore_activity),
    6002: _Class("Application Lifecycle", _APPLICATION, _application_lifecycle),
    3001: _Class("Account Change", _IAM, _account_change),
    3004: _Class("Entity Management", _IAM, _entity_management),
    2004: _Class("Detection Finding", _OF_FINDINGS, _finding),
    2006: _Class("Data Security Finding", _OF_FINDINGS, _finding),
}
_FINDINGS: Final = (Activity.ALARM, Activity.CARD_NUMBER_FOUND)
