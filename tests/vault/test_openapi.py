"""The OpenAPI document as a client generator would read it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from tests.installation import settings_for
from tests.vault.test_settings import DEVELOPMENT
from tests.vault.web import captured
from vault.app import create_app, from_environment
from vault.auth import Scope
from vault.errors import VaultError
from vault.openapi_examples import EXAMPLES
from vault.problems import error_classes
from vault.webhook import WebhookType
from vault.wire.fields import Wire

OPEN = {"/healthz", "/readyz", "/v1/gateway/notifications/{merchantId}"}
# What a merchant asks and decides by; the rest of an order is in the gateway's plain vocabulary, the audit log in its guide.
EXPLAINED = {
    *("AmountField", "CardField", "ConsentField", "ImportedField", "OrderField", "Problem"),
    *("CardView", "NewCardView", "PaymentView", "CaptureView", "RefundView", "NextActionView", "DeclinedView"),
    *("MandateView", "ConsentView", "EvidenceView", "NewEndpointView", "RotatedSecretView"),
    *("EventView", "DeliveryView", "AttemptView"),
    *("PaymentEventData", "CaptureEventData", "RefundEventData", "CardEventData", "MandateEndedData"),
}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app(settings_for(Path("/nowhere"), "postgresql://nobody@127.0.0.1/none")).openapi()


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(path, operation) for path, item in document["paths"].items() for operation in item.values()]


def every(root: type[Wire]) -> Iterator[type[Wire]]:
    """Give a class and all that are made of it."""
    yield root
    for child in root.__subclasses__():
        yield from every(child)


def test_it_is_openapi_3_1_and_made_once() -> None:
    app = create_app(settings_for(Path("/nowhere"), "postgresql://nobody@127.0.0.1/none"))
    assert app.openapi()["openapi"].startswith("3.1")
    assert app.openapi() is app.openapi()


def test_a_servers_process_makes_it_from_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in DEVELOPMENT.items():
        monkeypatch.setenv(name, value)
    with captured():
        assert from_environment().openapi()["openapi"].startswith("3.1")


def test_every_route_is_in_the_document(document: dict[str, Any]) -> None:
    app = create_app(settings_for(Path("/nowhere"), "postgresql://nobody@127.0.0.1/none"))
    routes = {entry.path for entry in iter_route_contexts(app.routes) if isinstance(entry.original_route, APIRoute)}
    assert routes == set(document["paths"]) | {"/metrics"}


def test_every_operation_has_a_short_name_of_its_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and "_" not in name for name in names)


def test_every_operation_says_its_scopes_or_is_open(document: dict[str, Any]) -> None:
    for path, operation in operations(document):
        if path in OPEN:
            assert "security" not in operation
        else:
            [(scheme, scopes)] = operation["security"][0].items()
            assert scheme == "ApiKey"
            assert {Scope(scope) for scope in scopes}


def test_every_operation_answers_errors_with_problem_documents(document: dict[str, Any]) -> None:
    for _, operation in operations(document):
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Problem"}
        assert "422" not in operation["responses"]
    assert "application/problem+json" in document["components"]["responses"]["Problem"]["content"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_the_problem_lists_every_code(document: dict[str, Any]) -> None:
    listed = document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert set(listed) == {error.code for error in error_classes(VaultError)}


def test_secret_fields_are_write_only_and_appear_in_no_answer(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["CardField"]["properties"]["cardNo"]["writeOnly"] is True
    for name, schema in schemas.items():
        if name.endswith(("View", "Page")):
            assert not {"cardNo", "cvv", "cardToken"} & set(schema["properties"])


def test_every_reference_resolves(document: dict[str, Any]) -> None:
    def references(node: object) -> list[str]:
        if isinstance(node, dict):
            own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
            return own + [one for value in node.values() for one in references(value)]
        return [one for value in node for one in references(value)] if isinstance(node, list) else []

    for reference in references(document):
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_every_event_is_a_webhook_with_a_closed_type_of_data(document: dict[str, Any]) -> None:
    assert set(document["webhooks"]) == set(WebhookType)
    schemas = document["components"]["schemas"]
    listed = [choice["$ref"] for choice in schemas["EventView"]["properties"]["data"]["anyOf"]]
    for kind, item in document["webhooks"].items():
        body = item["post"]["requestBody"]["content"]["application/json"]["schema"]
        event = schemas[body["$ref"].rpartition("/")[2]]
        assert event["properties"]["type"]["const"] == kind
        assert event["properties"]["data"]["$ref"] in listed
        data = schemas[event["properties"]["data"]["$ref"].rpartition("/")[2]]
        assert data["additionalProperties"] is False
        assert set(data["required"]) == set(data["properties"])


def test_what_merchants_ask_and_decide_by_is_explained_field_by_field(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    assert set(schemas) >= EXPLAINED
    silent = [
        f"{name}.{field}"
        for name, schema in schemas.items()
        if name in EXPLAINED or name.endswith("Request")
        for field, shape in schema.get("properties", {}).items()
        if "description" not in shape and not any("description" in choice for choice in shape.get("anyOf", ()))
    ]
    assert silent == []


def test_every_parameter_but_ids_of_ours_is_explained(document: dict[str, Any]) -> None:
    parameters = [one for _, operation in operations(document) for one in operation.get("parameters", ())]
    silent = {one["name"] for one in parameters if one["in"] != "header" and "description" not in one}
    assert all(name.endswith("Id") and not name.startswith("reference") for name in silent)


def test_nothing_that_only_the_source_can_explain_is_referred_to(document: dict[str, Any]) -> None:
    assert not re.search(r"antom-api|controls\.md|design section", str(document))


def test_every_example_is_a_request_that_is_understood(document: dict[str, Any]) -> None:
    models = {model.__name__: model for model in every(Wire)}
    shown = {}
    for _, operation in operations(document):
        body = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        for example in body.get("examples", {}).values():
            shown[operation["operationId"], example["summary"]] = example["value"]
            models[body["schema"]["$ref"].rpartition("/")[2]].model_validate(example["value"])
    assert shown == {(name, summary): body for name, some in EXAMPLES.items() for summary, body in some.items()}
