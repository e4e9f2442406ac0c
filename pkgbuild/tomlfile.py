"""Reading TOML into a pydantic model; every mistake becomes a sentence that names the key and what is allowed."""

from __future__ import annotations

import difflib
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydantic_core import ErrorDetails


class Table(BaseModel):
    """A TOML table: unknown keys are refused, values are not changed after reading."""

    model_config = ConfigDict(defer_build=True, extra="forbid", frozen=True, hide_input_in_errors=True)


T = TypeVar("T", bound=Table)


def load(model: type[T], path: Path) -> T:
    """Read ``path`` into ``model``. Raises ``BAD_INPUT`` for a missing file, bad TOML, any wrong key or value."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PkgbuildError(Kind.BAD_INPUT, f"There is no {path}.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PkgbuildError(Kind.BAD_INPUT, f"{path} cannot be read: {error}.") from error
    except tomllib.TOMLDecodeError as error:
        raise PkgbuildError(Kind.BAD_INPUT, f"{path} is not TOML: {error}.") from error
    return parse(model, data, str(path))


def parse(model: type[T], data: dict[str, Any], where: str) -> T:
    """Validate ``data``; ``where`` names its origin in the error. Raises ``BAD_INPUT``."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        sentences = "; ".join(_sentence(model, detail) for detail in error.errors())
        raise PkgbuildError(Kind.BAD_INPUT, f"{where}: {sentences}.") from error


def _sentence(model: type[BaseModel], detail: ErrorDetails) -> str:
    loc = detail["loc"]
    key = ".".join(str(part) for index, part in enumerate(loc) if not _is_tag(model, loc[:index], part)) or "the file"
    if detail["type"] == "extra_forbidden":
        names = sorted(_names_at(model, loc))
        close = difflib.get_close_matches(str(loc[-1]), names, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"allowed are {', '.join(names)}"
        return f"unknown key {key!r}: {hint}"
    if detail["type"] == "missing":
        return f"{key!r} is missing"
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{key!r}: {message}" if loc else message


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    """Every model inside an annotation such as ``Annotated[A | B, …] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _kind_of(model: type[BaseModel]) -> tuple[object, ...]:
    kind = model.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()


def _descend(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[type[BaseModel]]:
    here = [model]
    for part in loc:
        tagged = [candidate for candidate in here if part in _kind_of(candidate)]
        if tagged:
            here = tagged
            continue
        fields = [c.model_fields[part] for c in here if isinstance(part, str) and part in c.model_fields]
        if fields:
            here = [found for field in fields for found in _models(field.annotation)]
    return here


def _names_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> set[str]:
    return {name for candidate in _descend(model, loc[:-1]) for name in candidate.model_fields}


def _is_tag(model: type[BaseModel], before: tuple[int | str, ...], part: int | str) -> bool:
    """Whether pydantic put the name of a union's member into the location; it is no key of the file."""
    if not before or (len(before) > 1 and _is_tag(model, before[:-1], before[-1])):
        return False
    return any(part in _kind_of(candidate) for candidate in _descend(model, before))
