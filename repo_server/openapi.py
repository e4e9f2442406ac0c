"""The OpenAPI 3.1 description of the API, generated from the types that validate and answer.

What cannot be generated, which view takes and gives which type, is the table below; a test holds it to the routes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from repo_server import answers, wire
from repo_server.errors import kind_of
from repo_server.roles import Right
from repo_server.version import VERSION

_REF = "#/components/schemas/{model}"
_DEVICES, _UPDATES = answers.Page[answers.Device], answers.Page[answers.Update]
_DEVICE_UPDATES = answers.Page[answers.DeviceUpdate]
_EVENTS = answers.Page[answers.DeviceUpdateEvent]


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address, below ``/api/v1``."""

    method: str
    path: str
    summary: str
    asks: str
    """The security scheme: ``ApiKey``, ``DeviceToken``, ``EnrollmentToken`` or ``""`` (anyone)."""
    success: dict[int, type[answers.Answer] | None]
    failures: tuple[int, ...] = ()
    body: type[wire.Body] | None = None
    query: type[wire.Query] | None = None
    right: Right | None = None


_BODY = (400, 413, 415, 422)
_DEVICE = (404, 410)

OPERATIONS = (
    Operation("post", "/devices/", "Register a device", "EnrollmentToken",
              {201: answers.Registered, 200: answers.Registered}, (*_BODY, 409, 410), wire.Registration),
    Operation("get", "/devices/", "List the devices", "ApiKey", {200: _DEVICES}, (422,), None, wire.DeviceQuery,
              Right.VIEW),
    Operation("get", "/devices/{device_id}", "One device", "ApiKey", {200: answers.Device}, (404,), right=Right.VIEW),
    Operation("patch", "/devices/{device_id}", "Name, group, channel, time zone, hold", "ApiKey",
              {200: answers.Device}, (*_BODY, *_DEVICE), wire.DeviceChange, right=Right.OPERATE),
    Operation("delete", "/devices/{device_id}", "Decommission a device", "ApiKey", {204: None}, (404,),
              right=Right.OPERATE),
    Operation("post", "/devices/{device_id}/heartbeat", "Say how the device is, hear what it may install",
              "DeviceToken", {200: answers.HeartbeatAnswer}, (*_BODY, *_DEVICE), wire.Heartbeat),
    Operation("post", "/devices/{device_id}/updates/{update_id}/status", "Report statuses of an update",
              "DeviceToken", {200: answers.Acknowledged}, (*_BODY, *_DEVICE), wire.StatusBatch),
    Operation("post", "/updates/", "Announce a published release", "ApiKey",
              {201: answers.Update, 200: answers.Update}, (*_BODY, 409), wire.Announcement, right=Right.ANNOUNCE),
    Operation("get", "/updates/", "List the updates", "ApiKey", {200: _UPDATES}, (422,), None, wire.UpdateQuery,
              Right.VIEW),
    Operation("get", "/updates/{update_id}", "One update", "ApiKey", {200: answers.Update}, (404,), right=Right.VIEW),
    Operation("get", "/updates/{update_id}/devices", "How far each device is", "ApiKey", {200: _DEVICE_UPDATES},
              (404, 422), None, wire.PageQuery, Right.VIEW),
    Operation("get", "/updates/{update_id}/devices/{device_id}/events", "What happened on one device", "ApiKey",
              {200: _EVENTS}, (404, 422), None, wire.PageQuery, Right.VIEW),
    Operation("post", "/updates/{update_id}/pause", "Devices that have not started wait", "ApiKey",
              {200: answers.Update}, (404, 409), right=Right.OPERATE),
    Operation("post", "/updates/{update_id}/resume", "Go on", "ApiKey", {200: answers.Update}, (404, 409),
              right=Right.OPERATE),
    Operation("post", "/updates/{update_id}/halt", "Stop because something is wrong", "ApiKey",
              {200: answers.Update}, (404, 409), right=Right.OPERATE),
    Operation("get", "/fleet", "The fleet in numbers", "ApiKey", {200: answers.Fleet}, right=Right.VIEW),
    Operation("get", "/openapi.json", "This description", "", {200: None}),
)  # fmt: skip


@cache
def document() -> dict[str, Any]:
    """The whole description; the same for as long as the program runs."""
    schemas, definitions = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault("/api/v1" + operation.path, {})[operation.method] = _described(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "pi-ota repo-server", "version": VERSION},
        "paths": paths,
        "components": {"schemas": {**definitions, "Error": _ERROR}, "securitySchemes": _SECURITY},
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
            "properties": {"kind": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}
_SECURITY = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "DeviceToken": {"type": "http", "scheme": "bearer", "description": "The device's own token"},
    "EnrollmentToken": {"type": "http", "scheme": "bearer", "description": "`repo-server enroll-token create`"},
}


def _schemas() -> tuple[dict[object, dict[str, Any]], dict[str, Any]]:
    """The reference of each type, and all definitions."""
    given: list[tuple[type[BaseModel], Any]] = []
    for operation in OPERATIONS:
        given += [(model, "serialization") for model in operation.success.values() if model is not None]
        given += [(operation.body, "validation")] if operation.body is not None else []
    references, definitions = models_json_schema(given, ref_template=_REF)
    return {model: reference for (model, _), reference in references.items()}, definitions["$defs"]


def _described(operation: Operation, schemas: dict[object, dict[str, Any]]) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, model in operation.success.items():
        schema = schemas[model] if model is not None else {"type": "object"}
        responses[str(status)] = {"description": "Success"} | ({} if status == 204 else _json(schema))  # noqa: PLR2004
    failures = (
        {*operation.failures, 500, 503} | ({401} if operation.asks else set()) | ({403} if operation.right else set())
    )
    for status in sorted(failures):
        responses[str(status)] = {"description": kind_of(status), **_json({"$ref": _REF.format(model="Error")})}
    described: dict[str, Any] = {
        "operationId": f"{operation.method} {operation.path}",
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "responses": responses,
        "security": [{operation.asks: []}] if operation.asks else [],
    }
    if operation.right is not None:
        described["description"] = f"Asks for a key that may {operation.right}."
    if operation.body is not None:
        described["requestBody"] = {"required": True, **_json(schemas[operation.body])}
    return described


def _parameters(operation: Operation) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": part[1:-1], "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
        for part in operation.path.split("/")
        if part.startswith("{")
    ]
    if operation.query is not None:
        properties = operation.query.model_json_schema()["properties"]
        parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in properties.items()]
    return parameters


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}
