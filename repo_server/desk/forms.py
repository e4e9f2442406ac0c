"""From a form to the same validated value that the JSON API reads."""

from __future__ import annotations

from typing import TypeVar

from flask import request
from pydantic import ValidationError

from repo_server.body import sentence
from repo_server.errors import InvalidError
from repo_server.wire import Body, Query

CSRF_FIELD = "csrf_token"
_T = TypeVar("_T", Body, Query)


def read(shape: type[_T], *leave: str) -> _T:
    """The posted form as ``shape``, without the fields in ``leave``; a field that was left empty is not there.

    Raises ``InvalidError``, which names the field.
    """
    fields = {name: value for name, value in request.form.items() if name not in {CSRF_FIELD, *leave} and value.strip()}
    try:
        return shape.model_validate_strings(fields)
    except ValidationError as error:
        raise InvalidError(sentence(error)) from None
