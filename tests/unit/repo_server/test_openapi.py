"""The description is whole: every route, every method, every reference."""

from __future__ import annotations

import re
from typing import Any

import pytest

from repo_server import openapi
from repo_server.roles import Right, allows, roles_with
from tests.unit.repo_server.conftest import Service


def routes(service: Service) -> set[tuple[str, str]]:
    found = set()
    for rule in service.app.url_map.iter_rules():
        if rule.rule.startswith("/api/v1/"):
            path = re.sub(r"<uuid:(\w+)>", r"{\1}", rule.rule)
            found |= {(method.lower(), path) for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}
    return found


def test_every_route_is_described_and_nothing_else(service: Service) -> None:
    described = {(method, path) for path, methods in openapi.document()["paths"].items() for method in methods}
    assert described == routes(service)


def test_it_is_served_to_anyone_and_every_reference_in_it_leads_somewhere(service: Service) -> None:
    answer = service.request("GET", "/api/v1/openapi.json")
    assert answer.status_code == 200
    served = answer.get_json()
    assert served["openapi"].startswith("3.1")
    references = set(re.findall(r'"\$ref":\s*"#/components/schemas/([^"]+)"', answer.get_data(as_text=True)))
    assert references
    assert references <= set(served["components"]["schemas"])
    schemes = {name for item in _operations(served) for one in item["security"] for name in one}
    assert schemes == set(served["components"]["securitySchemes"])
    names = [item["operationId"] for item in _operations(served)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("operation", openapi.OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_the_right_that_is_described_is_the_right_that_is_asked(service: Service, operation: openapi.Operation) -> None:
    path = "/api/v1" + re.sub(r"\{\w+\}", "0195e0c8-0000-7000-8000-0000000000d1", operation.path)
    stranger = service.request(operation.method.upper(), path)
    assert (stranger.status_code == 401) is bool(operation.asks)
    if operation.right is None:
        return
    for role in roles_with(Right.FETCH):
        answer = service.request(operation.method.upper(), path, key=service.key(role))
        assert (answer.status_code == 403) is not allows(role, operation.right)


def _operations(served: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for methods in served["paths"].values() for item in methods.values()]
