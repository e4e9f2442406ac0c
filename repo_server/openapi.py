"""The OpenAPI 3.1 description of every endpoint, generated from what the views declare: see ``operations``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from repo_server.described import Described
from repo_server.errors import kind_of
from repo_server.operations import NOT_MODIFIED, Asks, Content, Operation, declared_by
from repo_server.roles import roles_with
from repo_server.session_cookie import CSRF_HEADER, NAME, NAME_WITHOUT_TLS
from repo_server.version import VERSION

_REF = "#/components/schemas/{model}"
_ARGUMENT = re.compile(r"<(?:(\w+):)?(\w+)>")
_CONVERTERS: dict[str, dict[str, Any]] = {
    "uuid": {"type": "string", "format": "uuid"},
    "path": {"type": "string", "minLength": 1, "description": "May hold slashes."},
    "int": {"type": "integer", "minimum": 0},
}
_ERROR = {
    "type": "object",
    "additionalProperties": False,
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "additionalProperties": False,
            "required": ["kind", "message"],
            "properties": {
                "kind": {"type": "string", "description": "For programs: the same for a status, whatever the message."},
                "message": {"type": "string", "description": "For people: what is wrong, and what to do next."},
            },
        }
    },
}
_SECURITY_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "`repo-server api-key create`"},
    "DeviceToken": {"type": "http", "scheme": "bearer", "description": "The device's own token"},
    "DeviceBasic": {"type": "http", "scheme": "basic", "description": "The device's id and its token, for apt"},
    "EnrollmentBasic": {
        "type": "http",
        "scheme": "basic",
        "description": "The user `enroll` and an enrollment token: lists, and the packages that a Pi needs first",
    },
    "EnrollmentToken": {"type": "http", "scheme": "bearer", "description": "`repo-server enroll-token create`"},
    "Session": {"type": "apiKey", "in": "cookie", "name": NAME, "description": "From `POST /api/v1/session`"},
    "CsrfToken": {
        "type": "apiKey",
        "in": "header",
        "name": CSRF_HEADER,
        "description": "The session's csrf_token; the browser must not say that another origin asks.",
    },
}
_SECURITY: dict[Asks, list[dict[str, list[str]]]] = {
    Asks.ANYONE: [],
    Asks.API_KEY: [{"ApiKey": []}, {"Session": []}],
    Asks.KEY_ITSELF: [{"ApiKey": []}],
    Asks.SESSION: [{"Session": []}],
    Asks.DEVICE: [{"DeviceToken": []}],
    Asks.ENROLLMENT: [{"EnrollmentToken": []}],
    Asks.REPOSITORY: [{"DeviceBasic": []}, {"EnrollmentBasic": []}, {"ApiKey": []}],
    Asks.LOOPBACK: [{}, {"ApiKey": []}, {"Session": []}],
}
_CALLERS = {
    Asks.ANYONE: "anyone",
    Asks.KEY_ITSELF: "an API key of any role; no session",
    Asks.SESSION: "a session",
    Asks.DEVICE: "the device in the address",
    Asks.ENROLLMENT: "a new device, with an enrollment token",
    Asks.REPOSITORY: "a device, an API key of any role, or, for what a new Pi needs first, an enrollment token",
    Asks.LOOPBACK: "programs on the server's own machine; everybody else: ",
}
_ANSWER_HEADERS = {
    "ETag": "Of the whole answer; send it back as If-None-Match.",
    "WWW-Authenticate": "Which credentials are asked for.",
    "Retry-After": "Seconds.",
    "Set-Cookie": "The session, or nothing in its place.",
}


def operations(app: Flask) -> Iterator[tuple[str, Rule, Operation | None]]:
    """Every method and route of the application with what its view declares, None where it declares nothing."""
    for rule in app.url_map.iter_rules():
        declared = declared_by(app.view_functions[rule.endpoint])
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method.lower(), rule, declared


def path_of(rule: Rule) -> str:
    """A route's address as OpenAPI writes it."""
    return _ARGUMENT.sub(r"{\2}", rule.rule)


def document(app: Flask, *, tls: bool = True) -> dict[str, Any]:
    """The whole description, the same for as long as the application lives; ``tls``: for who asks by https."""
    found = sorted(
        ((method, rule, declared) for method, rule, declared in operations(app) if declared is not None),
        key=lambda one: (one[1].rule, one[0]),
    )
    schemas, definitions = _schemas([declared for _, _, declared in found])
    cookie = _SECURITY_SCHEMES["Session"] | {"name": NAME if tls else NAME_WITHOUT_TLS}
    paths: dict[str, dict[str, Any]] = {}
    for method, rule, declared in found:
        paths.setdefault(path_of(rule), {})[method] = _described(method, rule, declared, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "pi-ota repo-server", "version": VERSION},
        "tags": _tags(app, paths),
        "paths": paths,
        "components": {
            "schemas": {**definitions, "Error": _ERROR},
            "securitySchemes": _SECURITY_SCHEMES | {"Session": cookie},
        },
    }


def _schemas(declared: list[Operation]) -> tuple[dict[object, dict[str, Any]], dict[str, Any]]:
    """The reference of each type, and all definitions."""
    given: list[tuple[type[BaseModel], Any]] = []
    for one in declared:
        given += [(model, "serialization") for model in one.answers.values() if isinstance(model, type)]
        given += [(one.body, "validation")] if one.body is not None else []
    references, definitions = models_json_schema(given, ref_template=_REF, schema_generator=Described)
    return {model: reference for (model, _), reference in references.items()}, definitions["$defs"]


def _described(method: str, rule: Rule, declared: Operation, schemas: dict[object, dict[str, Any]]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{method} {path_of(rule)}",
        "summary": declared.summary,
        "description": f"{declared.words}\n\nWho may ask: {callers(declared)}.",
        "tags": [rule.endpoint.partition(".")[0]],
        "parameters": [*_path_parameters(rule), *_query_parameters(declared), *_header_parameters(declared)],
        "responses": _successes(declared, schemas) | _errors(declared, in_path=bool(rule.arguments)),
        "security": _security(method, declared.asks),
    }
    if declared.body is not None:
        described["requestBody"] = {"required": True, **_json(schemas[declared.body])}
    return described


def callers(declared: Operation) -> str:
    """Who may ask, in words."""
    roles = [] if declared.right is None else [str(role) for role in roles_with(declared.right)]
    return _CALLERS.get(declared.asks, "") + ", ".join(roles)


def _tags(app: Flask, paths: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """The parts of the API in the order in which the application has them, in their modules' own words."""
    used = {tag for methods in paths.values() for one in methods.values() for tag in one["tags"]}
    modules = {name: sys.modules[blueprint.import_name] for name, blueprint in app.blueprints.items() if name in used}
    return [{"name": name, "description": (module.__doc__ or "").strip()} for name, module in modules.items()]


def _security(method: str, asks: Asks) -> list[dict[str, list[str]]]:
    """The alternatives; a session asks for its token as well where something may change."""
    token: dict[str, list[str]] = {"CsrfToken": []} if method != "get" else {}
    return [one | token if "Session" in one else one for one in _SECURITY[asks]]


def _successes(declared: Operation, schemas: dict[object, dict[str, Any]]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in declared.answers.items():
        described: dict[str, Any] = {"description": "Success"}
        if isinstance(answer, Content):
            described["content"] = {answer.media_type: {"schema": dict(answer.schema)}}
        elif answer is not None:
            described |= _json(schemas[answer])
        headers = [*declared.gives, *(["ETag"] if declared.conditional else [])]
        if headers:
            described |= _headers(*headers)
        responses[str(status)] = described
    if declared.conditional:
        responses[str(NOT_MODIFIED)] = {"description": "The client has it already", **_headers("ETag")}
    return responses


def _errors(declared: Operation, *, in_path: bool) -> dict[str, Any]:
    headers = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}
    return {
        str(status): {
            "description": kind_of(status),
            **_json({"$ref": _REF.format(model="Error")}),
            **(_headers(headers[status]) if status in headers else {}),
        }
        for status in declared.errors(in_path=in_path)
    }


def _path_parameters(rule: Rule) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _CONVERTERS.get(converter, {"type": "string"})}
        for converter, name in _ARGUMENT.findall(rule.rule)
    ]


def _query_parameters(declared: Operation) -> list[dict[str, Any]]:
    if declared.query is None:
        return []
    schema = declared.query.model_json_schema(schema_generator=Described)
    inside = {f"#/$defs/{name}": shape for name, shape in schema.get("$defs", {}).items()}
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": shape.pop("description", ""),
            "schema": _whole(_without_null(shape), inside),
        }
        for name, shape in schema["properties"].items()
    ]


def _without_null(shape: dict[str, Any]) -> dict[str, Any]:
    """What may be left out of a query string cannot be given as null there."""
    kept = [one for one in shape.get("anyOf", ()) if one != {"type": "null"}]
    if not kept:
        return shape
    rest = {name: value for name, value in shape.items() if name not in {"anyOf", "default"}}
    return rest | (kept[0] if len(kept) == 1 else {"anyOf": kept})


def _whole(shape: dict[str, Any], inside: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """With what it refers to: a parameter's schema has no definitions beside it."""
    return inside[shape["$ref"]] if "$ref" in shape else shape


def _header_parameters(declared: Operation) -> list[dict[str, Any]]:
    names = [*declared.takes, *(["If-None-Match"] if declared.conditional else [])]
    return [{"name": name, "in": "header", "schema": {"type": "string"}} for name in names]


def _headers(*names: str) -> dict[str, Any]:
    return {
        "headers": {
            name: {"description": _ANSWER_HEADERS[name], "schema": {"type": "string"}, "required": True}
            for name in names
        }
    }


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}
