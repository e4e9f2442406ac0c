"""What is wrong with a form, field by field, in words that stand beside each. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from repo_server.desk.filters import capital
from repo_server.errors import ApiError

_T = TypeVar("_T", bound=BaseModel)
_VERBS = frozenset({"has", "is", "lies", "must"})
_WHOLE_NUMBER = 18
"""Digits that every JSON reader takes for a number; more are too many anyhow."""


def validated(shape: type[_T], values: Mapping[str, object]) -> tuple[_T | None, dict[str, str]]:
    """``values`` as ``shape``, read as the JSON API reads them; or None, and by field what is wrong."""
    try:
        return shape.model_validate_json(json.dumps(values)), {}
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        return None, {str(one["loc"][0]) if one["loc"] else "": _words(one) for one in reversed(found)}


def placed(error: ApiError, names: Collection[str]) -> dict[str, str]:
    """``field: what is wrong``, as our own checks say it, by field; under "" where it names none of ``names``."""
    name, colon, words = str(error).partition(": ")
    return {name: sentence(words)} if colon and name in names else {"": sentence(str(error))}


def number(text: str) -> int | str:
    """What was typed as a number, or as it was typed where it is none: the check then says so."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _WHOLE_NUMBER else text


def sentence(words: str) -> str:
    """``must be …``, as checks say it behind a field's name, as a sentence of its own."""
    whole = f"this {words}" if words.partition(" ")[0] in _VERBS else words
    return f"{capital(whole)}."


def _words(error: ErrorDetails) -> str:
    context: dict[str, Any] = error.get("ctx") or {}
    sentences = {
        "missing": "is needed",
        "string_too_short": "is needed",
        "string_too_long": f"has more than {context.get('max_length')} characters",
        "string_pattern_mismatch": "is not of the form that is asked for",
        "int_type": "must be a whole number",
        "int_parsing": "must be a whole number",
        "greater_than_equal": f"must be at least {context.get('ge')}",
        "less_than_equal": f"must be at most {context.get('le')}",
        "enum": f"must be {context.get('expected')}",
        "extra_forbidden": "is not known",
    }
    return sentence(sentences.get(error["type"]) or error["msg"].removeprefix("Value error, "))
