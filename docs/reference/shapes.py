"""JSON schemas in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docs.reference.markdown import anchor, code, prose, table
from repo_server.wire import LINE

Schema = Mapping[str, Any]
_NAMES = {"Heartbeat-Input": "Heartbeat", "Heartbeat-Output": "Heartbeat as kept"}
"""Of two shapes with one name: how the reference calls them."""
_BOUNDS = (
    ("minimum", "from {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "to {}"),
    ("exclusiveMaximum", "below {}"),
)
_FORMATS = {"date-time": "time", "binary": "bytes", "uuid": "UUID", "path": "path"}
_LARGEST = 2**53 - 1


def title(name: str) -> str:
    """A shape's name as its heading."""
    if name.startswith("Page_"):
        return f"Page of {_NAMES.get(name[5:-1], name[5:-1])}"
    return _NAMES.get(name, name)


def link(reference: str) -> str:
    """To the shape that ``$ref`` names."""
    name = title(reference.rpartition("/")[2])
    return f"[{name}](#{anchor(name)})"


def kind(schema: Schema) -> str:
    """What a value may be, in a few words."""
    if "$ref" in schema:
        return link(schema["$ref"])
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(code(one) for one in schema["enum"])
    if "anyOf" in schema:
        words = [kind(one) for one in schema["anyOf"]]
        return " or ".join(dict.fromkeys(words))
    return _of_type(schema)


def _of_type(schema: Schema) -> str:
    name = schema.get("type")
    if name == "array":
        inside = schema.get("items", {})
        return (f"list of {kind(inside)}" if inside else "list") + _sizes(schema, "minItems", "maxItems", "items")
    if name == "object":
        values = schema.get("additionalProperties")
        return f"object of {kind(values)}" if isinstance(values, Mapping) and values else "object"
    if name == "string":
        return _text(schema)
    return "any value" if name is None else str(name) + _bounds(schema)


def _text(schema: Schema) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    words = "text" + _sizes(schema, "minLength", "maxLength", "characters")
    if schema.get("pattern") == LINE:
        return "one line of " + words
    return f"{words}, {code(schema['pattern'])}" if "pattern" in schema else words


def _bounds(schema: Schema) -> str:
    words = [form.format(f"{schema[name]:,}") for name, form in _BOUNDS if schema.get(name, _LARGEST) != _LARGEST]
    return f" {' '.join(words)}" if words else ""


def _sizes(schema: Schema, least: str, most: str, unit: str) -> str:
    words = [f"at least {schema[least]:,}"] if schema.get(least, 0) > 1 else []
    words += [f"at most {schema[most]:,}"] if most in schema else []
    return f", {', '.join(words)} {unit}" if words else ""


def default(schema: Schema, *, required: bool) -> str:
    """What holds where a value is left out."""
    if required:
        return "needed"
    value = schema.get("default")
    return "" if value is None else code(str(value).lower() if isinstance(value, bool) else value)


def described(name: str, schema: Schema, *, given: bool) -> list[str]:
    """A shape's section; ``given``: a request's, of which parts may be left out."""
    lines = [f"### {title(name)}", "", *_words(schema)]
    if "enum" in schema:
        return [*lines, "One of " + ", ".join(code(one) for one in schema["enum"]) + "."]
    needed = schema.get("required", ())
    if given:
        rows = [
            [code(field), kind(one), default(one, required=field in needed), prose(one.get("description", ""))]
            for field, one in schema.get("properties", {}).items()
        ]
        return [*lines, *table(["field", "value", "left out", "meaning"], rows)]
    rows = [
        [code(field), kind(one), prose(one.get("description", ""))]
        for field, one in schema.get("properties", {}).items()
    ]
    return [*lines, *table(["field", "value", "meaning"], rows)]


def _words(schema: Schema) -> list[str]:
    return [prose(schema["description"]), ""] if schema.get("description") else []


def names_in(value: object) -> list[str]:
    """The shapes that a schema refers to, in the order in which it does."""
    if isinstance(value, Mapping):
        here = [value["$ref"].rpartition("/")[2]] if isinstance(value.get("$ref"), str) else []
        return here + [name for one in value.values() for name in names_in(one)]
    if isinstance(value, list):
        return [name for one in value for name in names_in(one)]
    return []
