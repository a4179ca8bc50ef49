"""The OpenAPI document: what FastAPI derives from the routes, plus what it cannot know about ours.

It refuses to invent: scopes come from the routes' own `Access`, codes from the error tree. Invariant: every operation
says which scopes it needs and that its errors are problem documents (controls.md API-1, API-7).
"""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

from vault.errors import FieldCode, VaultError
from vault.openapi_examples import show_examples
from vault.openapi_webhooks import describe_events
from vault.openapi_words import describe
from vault.problems import MEDIA_TYPE, error_classes
from vault.routes.access import Access
from vault.rules.declines import Retry

_PROBLEM: Final = "#/components/responses/Problem"
_HEADERS: Final = {
    "X-Request-Id": {"description": "The id of the request, as sent or made.", "schema": {"type": "string"}}
}
_LATER: Final = {"Retry-After": {"description": "Seconds to wait before the next try.", "schema": {"type": "integer"}}}
_LIMITS: Final = {
    name: {"description": description, "schema": {"type": "string"}}
    for name, description in (
        ("RateLimit-Policy", "The quotas (`q`) of the limit that the request falls under, by window (`w` seconds)."),
        ("RateLimit", "What is left of each (`r`), and the seconds until more is (`t`)."),
    )
}
_CREATED: Final = {
    "Location": {"description": "The path of the object.", "schema": {"type": "string", "format": "uri-reference"}}
}
_REPLAYED: Final = {
    "Idempotent-Replayed": {
        "description": "`true` when this request only found what an earlier one had made.",
        "schema": {"type": "string", "enum": ["true"]},
    }
}
_RETRY: Final = {
    "retry": {
        "type": "string",
        "enum": list(Retry),
        "description": "With `retry_limit`: what has to change before another attempt with this card.",
    },
    "notBefore": {
        "type": ["string", "null"],
        "format": "date-time",
        "description": "With `retry_limit`: when the rule is over; null where no time is known.",
    },
    "rule": {"type": "string", "description": "With `retry_limit`: the name of the rule."},
    "rulesVersion": {"type": "string", "description": "With `retry_limit`: the version of the rules."},
}
_REPLAYABLE: Final = ("PaymentView", "CaptureView", "RefundView")


def install(app: FastAPI) -> None:
    """Let the application answer with the completed document, made once."""
    app.openapi = lambda: app.openapi_schema or _made(app)  # type: ignore[method-assign] # the framework's way to do it


def _made(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    components = document.setdefault("components", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        components.get("schemas", {}).pop(unused, None)
    components.setdefault("schemas", {})["Problem"] = _problem_schema()
    describe_events(document)
    components["responses"] = {
        "Problem": {
            "description": "The request was refused or failed; `code` says why.",
            "headers": _HEADERS | _LATER,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        },
        "TooManyRequests": {
            "description": "A limit was reached; `limit` and `violatedPolicies` say which.",
            "headers": _HEADERS | _LATER | _LIMITS,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        },
    }
    for entry in iter_route_contexts(app.routes):
        if isinstance(entry.original_route, APIRoute) and entry.original_route.include_in_schema:
            for method in entry.original_route.methods or ():
                _complete(document["paths"][entry.path_format][method.lower()], entry.original_route)
    describe(document)
    show_examples(document)
    app.openapi_schema = document
    return document


def _complete(operation: dict[str, Any], route: APIRoute) -> None:
    responses = operation["responses"]
    responses.pop("422", None)
    made = _CREATED if "201" in responses else {}
    scopes = sorted(scope for dependency in route.dependant.dependencies for scope in _scopes_of(dependency.call))
    limits = _LIMITS if scopes else {}
    for answer in responses.values():
        replayed = _REPLAYED if made and any(name in str(answer) for name in _REPLAYABLE) else {}
        answer["headers"] = _HEADERS | made | replayed | limits
    responses["default"] = {"$ref": _PROBLEM}
    if scopes:
        responses["429"] = {"$ref": "#/components/responses/TooManyRequests"}
        operation["security"] = [{"ApiKey": scopes}]
        operation["description"] = f"{operation.get('description', '')}\n\nScope: `{'`, `'.join(scopes)}`."


def _scopes_of(call: object) -> frozenset[str]:
    return frozenset(scope.value for scope in call.scopes) if isinstance(call, Access) else frozenset()


def _problem_schema() -> dict[str, Any]:
    text, codes = {"type": "string"}, sorted({error.code for error in error_classes(VaultError)})
    field = {
        "type": "object",
        "required": ["pointer", "code"],
        "properties": {"pointer": text, "code": {"type": "string", "enum": sorted(FieldCode)}},
    }
    return {
        "type": "object",
        "description": "An error (RFC 9457). It never repeats what was sent.",
        "required": ["type", "title", "status", "code", "detail", "instance", "requestId", "retryable"],
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": text,
            "status": {"type": "integer"},
            "code": {"type": "string", "enum": codes},
            "detail": text,
            "instance": {"type": "string", "format": "uri"},
            "requestId": text,
            "retryable": {"type": "boolean", "description": "The identical request may be sent again."},
            "errors": {"type": "array", "items": field},
            "limit": {"type": "string", "description": "With status 429: the limit that was reached."},
            "violatedPolicies": {
                "type": "array",
                "items": text,
                "description": "With status 429: the limit's windows whose quota is used up.",
            },
            "installmentNums": {
                "type": "array",
                "items": {"type": "integer"},
                "description": "With `installments_not_offered`: the numbers that are offered for the amount.",
            },
            **_RETRY,
            "declined": {
                "type": "object",
                "properties": {"category": text, "retry": text, "notBefore": {"type": ["string", "null"]}},
                "description": "With `vaulting_failed`: why, and what has to change, in the words of payments.",
            },
        },
    }
