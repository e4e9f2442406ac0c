"""``[rollout]`` of ``release.toml``: how fast the release spreads, told to the server with the announcement.

The server decides what a rollout may be; here only what every one of them keeps to is looked at, so that a slip is seen
before anything is built. The shapes are those of docs/INTERFACES.md.
"""

from __future__ import annotations

import json
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.tomlfile import Table

FIELD = "Update-Rollout"
"""The control field of ``NAME`` that keeps it, for when the release goes to another channel without its source."""
_ALL = 100


class Wave(Table):
    """A group's devices, or a percentage of all."""

    percent: Annotated[float, Field(gt=0, le=_ALL)] | None = None
    """Of all devices, those of the waves before included; the last wave has 100."""
    group: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    """Only in the first wave: the devices that an operator has put into this group."""
    dwell_seconds: Annotated[int, Field(ge=1)] | None = None
    """How long until the next wave; the last has none."""

    @model_validator(mode="after")
    def _one_of_both(self) -> Wave:
        if (self.percent is None) is (self.group is None):
            raise ValueError("write either percent or group")
        return self


class FailureLimit(Table):
    """When the rollout halts by itself."""

    percent: Annotated[float, Field(ge=0, le=_ALL)] | None = None
    """Of the devices that have an outcome."""
    minimum: Annotated[int, Field(ge=1)] | None = None
    """So many failures at least before ``percent`` counts."""
    count: Annotated[int, Field(ge=1)] | None = None
    """Or so many failures, whatever their share."""


class Rollout(Table):
    """What is left out is as the server's settings say."""

    waves: Annotated[tuple[Wave, ...], Field(min_length=1)] | None = None
    """In order; each opens when the dwell time of the one before is over and the failures are below the limit."""
    failure_limit: FailureLimit | None = None
    """As the server's settings say without it."""
    paused: bool = False
    """Announced, but not begun before somebody resumes it at the server."""

    @model_validator(mode="after")
    def _to_everybody(self) -> Rollout:
        if self.waves is not None and self.waves[-1].percent != _ALL:
            raise ValueError("the last of the waves must be { percent = 100 }")
        return self

    def announced(self) -> dict[str, Any]:
        """For the announcement."""
        return self.model_dump(mode="json", exclude_none=True)

    def as_field(self) -> str:
        """For the package's control part, in one line."""
        return json.dumps(self.announced(), separators=(", ", ": "))


def of_field(text: str | None) -> Rollout | None:
    """What ``as_field`` has written; None where there is none. Raises ``BAD_INPUT``."""
    if text is None:
        return None
    try:
        return Rollout.model_validate_json(text)
    except ValidationError as error:
        raise PkgbuildError(
            Kind.BAD_INPUT, f"The package's field {FIELD} is not of this pkgbuild: {text!r}. Release it anew."
        ) from error
