"""The description is whole: every route, every method, every reference; and what it says of access is what is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask, Response

from repo_server import openapi, views, wire
from repo_server.operations import Asks, Operation, operation
from repo_server.roles import Right, allows, roles_with
from tests.unit.repo_server.conftest import Service

ID = "0195e0c8-0000-7000-8000-0000000000d1"


def routes() -> list[tuple[str, str, Operation | None]]:
    """Every method and address of the application, as a client would ask for it."""
    app = Flask("routes", static_folder=None)
    views.register(app)
    return [(method, openapi.path_of(rule), declared) for method, rule, declared in openapi.operations(app)]


DECLARED = [(method, path, declared) for method, path, declared in routes() if declared is not None]


def test_every_route_declares_itself() -> None:
    assert [(method, path) for method, path, declared in routes() if declared is None] == []


def test_a_route_that_declares_nothing_is_seen() -> None:
    app, blueprint = Flask("bare", static_folder=None), Blueprint("bare", __name__)
    blueprint.add_url_rule("/bare", view_func=Response)
    app.register_blueprint(blueprint, name="bare")
    assert [(method, declared) for method, _, declared in openapi.operations(app)] == [("get", None)]


def test_it_is_served_to_anyone_and_every_reference_in_it_leads_somewhere(service: Service) -> None:
    answer = service.request("GET", "/api/v1/openapi.json")
    assert answer.status_code == 200
    served = answer.get_json()
    assert served["openapi"].startswith("3.1")
    described = {(method, path) for path, methods in served["paths"].items() for method in methods}
    assert described == {(method, path) for method, path, _ in routes()}
    references = set(re.findall(r'"\$ref":\s*"#/components/schemas/([^"]+)"', answer.get_data(as_text=True)))
    assert references
    assert references <= set(served["components"]["schemas"])
    schemes = {name for item in _operations(served) for one in item["security"] for name in one}
    assert schemes == set(served["components"]["securitySchemes"])
    names = [item["operationId"] for item in _operations(served)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(("method", "path", "declared"), DECLARED, ids=[f"{one[0]} {one[1]}" for one in DECLARED])
def test_what_is_described_is_what_is_asked(service: Service, method: str, path: str, declared: Operation) -> None:
    path = re.sub(r"\{\w+\}", ID, path)
    far = {"REMOTE_ADDR": "203.0.113.9"}
    stranger = service.request(method.upper(), path, environ_base=far)
    assert (stranger.status_code == 401) is (declared.asks is not Asks.ANYONE)
    if declared.right is None:
        return
    for role in roles_with(Right.FETCH):
        answer = service.request(method.upper(), path, key=service.key(role), environ_base=far)
        assert (answer.status_code == 403) is not allows(role, declared.right)


def test_what_anyone_may_ask() -> None:
    assert {path for _, path, declared in DECLARED if declared.asks is Asks.ANYONE} == {
        "/", "/healthz", "/readyz", "/api/v1/openapi.json", "/onboarding/pi.sh", "/onboarding/archive-keyring.gpg",
    }  # fmt: skip


def test_refusals_follow_from_what_is_declared() -> None:
    @operation("x", {204: None}, right=Right.OPERATE, body=wire.DeviceChange, query=wire.PageQuery, refusals=(409,))
    def view() -> Response:
        raise AssertionError("not called")

    declared = view.operation  # type: ignore[attr-defined] # the attribute is what is tested
    assert declared.errors(in_path=True) == [400, 401, 403, 404, 409, 413, 414, 415, 422, 429, 431, 500, 503]
    assert declared.asks is Asks.API_KEY


def test_numbers_are_bounded_in_the_description_as_they_are_in_the_types(service: Service) -> None:
    served = service.request("GET", "/api/v1/openapi.json").get_json()
    schemas = served["components"]["schemas"]
    assert schemas["StatusReport"]["properties"]["sequence"]["minimum"] == 1
    bodies = [item["requestBody"]["content"] for item in _operations(served) if "requestBody" in item]
    integers = [shape for shape in _inside(bodies, schemas) if shape.get("type") == "integer"]
    assert integers
    assert not [shape for shape in integers if not {"minimum", "maximum"} <= set(shape)]


LISTS = ["/api/v1/devices/", "/api/v1/updates/"]


@pytest.mark.parametrize("path", LISTS)
def test_a_list_that_a_client_has_already_is_not_sent_again(service: Service, path: str) -> None:
    service.register()
    service.announce("1.1.0")
    key = service.key("viewer")
    first = service.request("GET", path, key=key)
    etag = first.headers["ETag"]
    assert etag.startswith('"')
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = service.request("GET", path, key=key, headers={"If-None-Match": f'"other", {etag}'})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", etag)
    other = service.request("GET", path, key=key, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.data) == (200, first.data)
    assert service.request("GET", path, headers={"If-None-Match": etag}).status_code == 401


def test_a_list_that_has_changed_is_sent_anew(service: Service) -> None:
    service.register()
    key = service.key("viewer")
    etag = service.request("GET", "/api/v1/devices/", key=key).headers["ETag"]
    service.beat("1.0.0")
    answer = service.request("GET", "/api/v1/devices/", key=key, headers={"If-None-Match": etag})
    assert answer.status_code == 200
    assert answer.headers["ETag"] != etag


def test_every_list_says_that_it_can_be_asked_for_conditionally() -> None:
    lists = {path for _, path, declared in DECLARED if declared.conditional}
    assert {*LISTS, "/api/v1/updates/{update_id}/devices"} <= lists
    app = Flask("described", static_folder=None)
    views.register(app)
    for path in lists:
        described = openapi.document(app)["paths"][path]["get"]
        assert "304" in described["responses"]
        assert "If-None-Match" in [one["name"] for one in described["parameters"]]


def test_what_stands_under_a_field_in_the_code_describes_it(service: Service) -> None:
    served = service.request("GET", "/api/v1/openapi.json").get_json()
    device = served["components"]["schemas"]["Device"]["properties"]
    assert device["presence"]["description"] == "Null once decommissioned. Late and lost are both offline."
    listed = served["paths"]["/api/v1/devices/"]["get"]
    assert {one["name"]: one for one in listed["parameters"]}["q"]["description"].startswith("Part of the name")
    assert listed["description"].endswith("Who may ask: viewer, operator, admin.")
    inherited = served["components"]["schemas"]["NewApiKey"]["properties"]
    assert set(inherited) > set(served["components"]["schemas"]["ApiKey"]["properties"])


def test_every_part_of_the_api_has_a_name_and_words(service: Service) -> None:
    served = service.request("GET", "/api/v1/openapi.json").get_json()
    words = {tag["name"]: tag["description"] for tag in served["tags"]}
    assert {item["tags"][0] for item in _operations(served)} == set(words)
    assert all(words.values())


def test_parameters_of_a_query_are_never_null(service: Service) -> None:
    served = service.request("GET", "/api/v1/openapi.json").get_json()
    parameters = {one["name"]: one for one in served["paths"]["/api/v1/devices/"]["get"]["parameters"]}
    assert parameters["limit"]["schema"]["maximum"] == 1000
    assert parameters["online"]["schema"]["type"] == "boolean"
    assert "null" not in str(parameters)
    assert parameters["presence"]["schema"]["enum"] == ["online", "late", "lost"]
    assert "#/$defs/" not in str(served)
    assert not [name for name, one in parameters.items() if one.get("required")]


def _operations(served: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for methods in served["paths"].values() for item in methods.values()]


def _inside(shape: Any, schemas: Any) -> Iterator[dict[str, Any]]:
    """Every schema in a schema, also behind references."""
    if isinstance(shape, list):
        for one in shape:
            yield from _inside(one, schemas)
    elif isinstance(shape, dict):
        yield shape
        for name, one in shape.items():
            yield from _inside(schemas[one.rpartition("/")[2]] if name == "$ref" else one, schemas)
