"""What stands under a field in the code, as the field's description: a shape's words are written once, beside it.

Only for whoever asks for a description: reading the source is slow, and nothing else of the server needs it.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema


@cache
def words(model: type[BaseModel]) -> dict[str, str]:
    """The text under each field of a model and of those that it comes from, by the field's name."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if issubclass(one, BaseModel) and one is not BaseModel:
            found |= _of(one)
    return found


class Described(GenerateJsonSchema):
    """JSON schema with these texts."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        """As pydantic makes it, and a description of each field that has one in the code."""
        shape = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        said = words(model)
        properties: dict[str, Any] = shape.get("properties", {})
        for name, one in properties.items():
            if name in said:
                one.setdefault("description", said[name])
        return shape


def _of(model: type[BaseModel]) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(model)))
    except (OSError, TypeError):  # a generic one that was filled in has no source; what it was made of has
        return {}
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef))
    return {
        field.target.id: inspect.cleandoc(text.value.value)
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }
