"""The part of the OpenAPI document about events: a webhook for each type, with what its body holds.

It refuses to know types and fields of its own: both are `vault.routes.event_views`. Invariant: an event in a list and
the same event in a webhook are described by the same schemas (controls.md WHK-1, WHK-2).
"""

from typing import Any, Final

from pydantic.alias_generators import to_camel
from pydantic.json_schema import models_json_schema

from vault.routes.event_views import TOLD, Told
from vault.webhook import WebhookType

_SCHEMAS: Final = "#/components/schemas/"
_MODELS: Final = tuple(dict.fromkeys(told.data for told in TOLD.values()))
_SIGNATURE: Final = """\
By Standard Webhooks: `v1,` and the base64 of an HMAC-SHA256 over id, timestamp and the body's bytes as they came,
joined by full stops. Its key is what follows `whsec_` in the secret, decoded from base64. Two of them, a space between,
while a secret is being replaced; one has to fit. Compare in constant time."""
_HEADERS: Final = {
    "webhook-id": "The event's id, the same at every attempt.",
    "webhook-timestamp": "When this attempt was made, in seconds since 1970: refuse what is minutes old.",
    "webhook-signature": _SIGNATURE,
}
_RESPONSES: Final = {
    "2XX": {"description": "The event was taken; nothing of the body is read."},
    "410": {"description": "The endpoint is gone, and is disabled for good."},
    "default": {"description": "The event was not taken, and is sent again later."},
}


def describe_events(document: dict[str, Any]) -> None:
    """Add the webhooks to a document, and type the data of the events that it lists already."""
    schemas = document["components"]["schemas"]
    _, found = models_json_schema([(model, "serialization") for model in _MODELS], ref_template=_SCHEMAS + "{model}")
    schemas.update(found["$defs"])
    event = schemas["EventView"]
    event["properties"]["data"] = {"anyOf": [_named(model.__name__) for model in _MODELS]}
    for kind, told in TOLD.items():
        schemas[_event(kind)] = {
            **event,
            "title": _event(kind),
            "description": told.when,
            "properties": {
                **event["properties"],
                "type": {"type": "string", "const": kind.value},
                "data": _named(told.data.__name__),
            },
        }
    document["webhooks"] = {kind.value: {"post": _webhook(kind, told)} for kind, told in TOLD.items()}


def _webhook(kind: WebhookType, told: Told) -> dict[str, Any]:
    return {
        "tags": ["webhooks"],
        "operationId": _name(kind),
        "summary": told.when,
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": text, "schema": {"type": "string"}}
            for name, text in _HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": _named(_event(kind))}}},
        "responses": _RESPONSES,
        "security": [],
    }


def _name(kind: WebhookType) -> str:
    return to_camel(kind.value.replace(".", "_"))


def _event(kind: WebhookType) -> str:
    name = _name(kind)
    return f"{name[0].upper()}{name[1:]}Event"


def _named(schema: str) -> dict[str, str]:
    return {"$ref": _SCHEMAS + schema}
