"""What the server accepts: every body as a type that validates it and of which OpenAPI is generated.

Strict: no coercion (but see ``WHOLE``), unknown fields refused, every text and list bounded. Times are RFC 3339 with a
zone; a time zone that an operator sets is one of the IANA database. The shapes are those of docs/INTERFACES.md.
"""

from __future__ import annotations

import zoneinfo
from datetime import datetime, timedelta
from functools import cache
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from repo_server import times
from repo_server.grant import Urgency
from repo_server.presence import Presence
from repo_server.waves import FailureLimit, Wave, problem

NAME = r"^[a-z0-9][a-z0-9.+-]+$"
VERSION = r"^[0-9][A-Za-z0-9.+~-]*$"
PACKAGE_VERSION = r"^([0-9]+:)?[0-9][A-Za-z0-9.+~-]*$"
"""Of a package of a release, which somebody else may have built: with an epoch."""
CHANNEL = r"^[a-z0-9][a-z0-9.+-]*$"
UUID = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
UUID7 = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
ZONE = r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$"
LINE = r"^[^\x00-\x1f\x7f\u0085\u2028\u2029]*$"
DEVICE_STATUSES = Literal[
    "refreshed", "downloading", "downloaded", "deferred", "installing", "activating", "restarting", "verifying",
    "succeeded", "rolled_back", "failed",
]  # fmt: skip
ANY_STATUS = Literal[DEVICE_STATUSES, "granted"]
_BIG = 2**53 - 1  # the largest integer that every JSON reader keeps exactly


@cache
def _zones() -> frozenset[str]:
    return frozenset(zoneinfo.available_timezones())


def _known_zone(name: str) -> str:
    if name not in _zones():
        raise ValueError("is not a time zone of the IANA database, such as Europe/Berlin")
    return name


def _instant(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError("must be a text that holds an RFC 3339 time")  # noqa: TRY004 - pydantic only reports ValueError
    return times.parse(value)


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Behind an integer's bounds. JSON has one kind of number: 60.0 is the integer 60, as JSON schema says as well."""
Instant = Annotated[datetime, PlainValidator(_instant), WithJsonSchema({"type": "string", "format": "date-time"})]
Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_zone)]
ReportedZone = Annotated[str, StringConstraints(pattern=ZONE, max_length=64)]
"""A device goes by its own zone data, which may be newer than ours: it is not turned away for a zone unknown here."""
PackageName = Annotated[str, StringConstraints(pattern=NAME, max_length=200)]
Version = Annotated[str, StringConstraints(pattern=VERSION, max_length=128)]
PackageVersion = Annotated[str, StringConstraints(pattern=PACKAGE_VERSION, max_length=128)]
Channel = Annotated[str, StringConstraints(pattern=CHANNEL, max_length=64)]
Word = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]*$", max_length=64)]
Token = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=32)]
Line = Annotated[str, StringConstraints(pattern=LINE, min_length=1, max_length=200)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=_BIG), WHOLE]


class Body(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Registration(Body):
    """POST /api/v1/devices/: the device makes its id and its token itself, and sends the token's hash."""

    id: Annotated[str, StringConstraints(pattern=UUID7)]
    token_sha256: Sha256
    hostname: Line
    timezone: ReportedZone
    assistant: PackageName
    channel: Channel | None = None
    agent_version: Version
    debian: Token
    architecture: Token
    model: Line | None = None


class AssistantReport(Body):
    """What dpkg says (``installed``) and what ``current`` names (``active``)."""

    name: PackageName
    installed: Version | None = None
    active: Version | None = None


class GateReport(Body):
    """The device's own decision, in its own words."""

    decision: Literal["install", "defer", "nothing"]
    reason: Word | None = None
    retry_at: Instant | None = None


class UpdateReport(Body):
    """The update that the device is at."""

    id: Annotated[str, StringConstraints(pattern=UUID)]
    status: ANY_STATUS


class Heartbeat(Body):
    """POST /api/v1/devices/{id}/heartbeat."""

    boot_id: Annotated[str, StringConstraints(pattern=UUID)]
    sent_at: Instant
    clock_synchronised: bool
    uptime_seconds: Count
    agent_version: Version
    timezone: ReportedZone
    assistant: AssistantReport
    idle_seconds: Count | None = None
    gate: GateReport | None = None
    update: UpdateReport | None = None
    reboot_required: bool = False
    debian: Token | None = None
    """The Debian release that runs, where it may be another than the server knows: after each start of the agent."""


class StatusReport(Body):
    """One status of a device update, as the device wrote it in its outbox."""

    sequence: Annotated[int, Field(ge=1, le=_BIG), WHOLE]
    status: DEVICE_STATUSES
    at: Instant
    version: Version
    reason: Word | None = None
    retry_at: Instant | None = None
    detail: Annotated[str, StringConstraints(max_length=1_000)] | None = None
    log_tail: Annotated[str, StringConstraints(max_length=16_384)] | None = None


class StatusBatch(Body):
    """POST /api/v1/devices/{id}/updates/{update}/status."""

    statuses: Annotated[list[StatusReport], Field(min_length=1, max_length=100)]


class Package(Body):
    """One published .deb of a release."""

    package: PackageName
    version: PackageVersion
    debian: Token
    architecture: Token
    size: Count
    sha256: Sha256


class WaveGiven(Body):
    """One wave of a rollout: a group's devices, or a percentage of all."""

    percent: Annotated[float, Field(gt=0, le=100)] | None = None
    group: Channel | None = None
    dwell_seconds: Annotated[int, Field(ge=1, le=90 * 86_400), WHOLE] | None = None
    """How long until the next wave opens; the last wave has none."""


class FailureLimitGiven(Body):
    """When a rollout halts by itself; one of ``percent`` and ``count`` at least."""

    percent: Annotated[float, Field(ge=0, le=100)] | None = None
    """Of the devices that have an outcome."""
    minimum: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] = 1
    """So many failures at least before ``percent`` counts."""
    count: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] | None = None

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if self.percent is None and self.count is None:
            raise ValueError("give percent or count; null instead of the whole limit for none")
        return self


class RolloutChange(Body):
    """How fast an update spreads: what is left out stays, or is the server's default in an announcement."""

    waves: Annotated[list[WaveGiven], Field(min_length=1, max_length=20)] | None = None
    failure_limit: FailureLimitGiven | None = None
    """Null: no automatic halt."""

    @model_validator(mode="after")
    def _fitting_waves(self) -> Self:
        wrong = problem(self.plan()) if self.waves is not None else None
        if wrong is not None:
            raise ValueError(wrong)
        return self

    def plan(self) -> tuple[Wave, ...]:
        """The waves, for the rules."""
        return tuple(
            Wave(one.percent, one.group, None if one.dwell_seconds is None else timedelta(seconds=one.dwell_seconds))
            for one in self.waves or ()
        )

    def limit(self) -> FailureLimit | None:
        """The failure limit, for the rules."""
        given = self.failure_limit
        return None if given is None else FailureLimit(given.percent, given.minimum, given.count)


class RolloutGiven(RolloutChange):
    """The rollout of an announcement."""

    paused: bool = False
    """Announced, planned, but not begun before somebody resumes it."""


class UpdateChange(Body):
    """PATCH /api/v1/updates/{id}."""

    rollout: RolloutChange


class Announcement(Body):
    """POST /api/v1/updates/: a release that is published and signed already."""

    name: PackageName
    version: Version
    channel: Channel
    urgency: Urgency
    notes: Annotated[str, StringConstraints(pattern=LINE, max_length=1_000)]
    minimum_agent: Version | None = None
    packages: Annotated[list[Package], Field(min_length=1, max_length=1_000)]
    rollout: RolloutGiven | None = None
    """Null: as the server's settings say."""


class DeviceChange(Body):
    """PATCH /api/v1/devices/{id}: what is left out stays; null clears."""

    name: Line | None = None
    group: Channel | None = None
    channel: Channel = "stable"
    timezone: Zone | None = None
    hold: Line | None = None
    cloned_suspected_at: None = None
    """Null clears the suspicion."""


class Query(BaseModel):
    """A query string: texts, so numbers and booleans are read from text; unknown parameters are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageQuery(Query):
    """Every list."""

    limit: Annotated[int, Field(ge=1, le=1_000)] = 100
    """How many items a page has at most."""
    cursor: Annotated[str, StringConstraints(max_length=200)] | None = None
    """The ``next_cursor`` of the page before."""


class DeviceQuery(PageQuery):
    """GET /api/v1/devices/."""

    state: Literal["active", "pending", "decommissioned"] = "active"
    """Let in, waiting for approval, or retired."""
    group: Channel | None = None
    """The group that an operator has put it into."""
    channel: Channel | None = None
    """The channel that it follows."""
    version: Version | None = None
    """The version that is active."""
    online: bool | None = None
    """Whether it is online; late and lost are both not."""
    presence: Presence | None = None
    """By when it was last heard of: see the settings ``missed_heartbeats`` and ``lost_heartbeats``."""
    status: ANY_STATUS | None = None
    """Of the update that it is at."""
    reason: Word | None = None
    """Why the device's gate defers."""
    reenrollment: bool | None = None
    """Whether another token waits for approval."""
    cloned: bool | None = None
    """Whether two machines seem to go by one identity."""
    attention: bool | None = None
    """Whether somebody should look at it: it or its new token waits for approval, two machines go by its identity, its
    last update has failed, it is stuck in one or lost, or its gate defers with DEPENDENCY_BLOCKED, DISK_FULL or
    READ_ONLY_ROOT."""
    q: Annotated[str, StringConstraints(pattern=LINE, min_length=1, max_length=100)] | None = None
    """Part of the name or the hostname, in whatever case, or the beginning of the id."""
    sort: Literal["registered", "-registered", "name", "-name", "seen", "-seen"] = "registered"
    """By registration, by the name that people see, by when it was last heard of; with ``-`` the other way round."""


class UpdateQuery(PageQuery):
    """GET /api/v1/updates/."""

    name: PackageName | None = None
    """Of the assistant."""
    channel: Channel | None = None
    """The channel that it was announced on."""
    state: Literal["active", "paused", "halted", "withdrawn"] | None = None
    """Of its rollout."""


class HistoryQuery(PageQuery):
    """GET /api/v1/fleet/history."""

    since: Instant | None = None
    """From this instant on."""
    until: Instant | None = None
    """Before this instant."""


class ReleasesQuery(Query):
    """GET /api/v1/releases/{name}."""

    version: Version | None = None
    """Only this version's updates, with their packages."""


class PlanQuery(PageQuery):
    """GET /api/v1/updates/{id}/plan."""

    wave: Annotated[int, Field(ge=1, le=20)] | None = None
    """Only this wave's devices."""
