"""What the server answers: every body as a type, so that its shape is written down once. See docs/INTERFACES.md."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from flask import Response
from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from repo_server import times
from repo_server.grant import Reason, UpdateState, Urgency
from repo_server.lifecycle import Status, Stuck, Verdict
from repo_server.presence import Presence

Time = Annotated[
    datetime,
    PlainSerializer(times.render, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Item = TypeVar("Item")


class Answer(BaseModel):
    """A response's body."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Registered(Answer):
    """To a registration."""

    id: str
    channel: str
    state: str
    server_time: Time


class Offer(Answer):
    """A grant as the device sees it."""

    update_id: str
    name: str
    version: str
    urgency: Urgency
    granted_at: Time
    expedited: bool = False


class Withheld(Answer):
    """An update that the device may not install, and why."""

    update_id: str
    version: str
    reason: Reason


class HeartbeatAnswer(Answer):
    """To a heartbeat; at most one of ``offer`` and ``withheld`` is not null."""

    server_time: Time
    next_heartbeat_seconds: int
    channel: str
    hold: str | None
    offer: Offer | None
    withheld: Withheld | None
    timezone: str | None = None
    """The zone that an operator has set for the device; the device's own settings say whether it wins."""
    state: str = "active"
    """``pending``: an operator has to approve the device before anything is offered to it."""
    rotate_token: bool = False
    """The device shall make itself a new token."""


class Acknowledged(Answer):
    """To a batch of statuses: the highest sequence of the batch, which need not be sent again."""

    acknowledged: int


class Update(Answer):
    """A release on a channel."""

    id: str
    name: str
    version: str
    channel: str
    urgency: Urgency
    notes: str
    minimum_agent: str | None
    packages: list[dict[str, Any]]
    state: UpdateState
    announced_at: Time


class ReleaseState(Answer):
    """A release on a channel, in short."""

    id: str
    version: str
    channel: str
    state: UpdateState
    announced_at: Time
    packages: list[dict[str, Any]] | None
    """Null unless one version was asked for."""


class InUse(Answer):
    """A version that devices have installed, run, or are on their way to."""

    version: str
    debian: str
    architecture: str
    devices: int


class Offered(Answer):
    """A version that a device of the channel may be granted now or later without an announcement."""

    version: str
    channel: str


class Releases(Answer):
    """What a builder may know of an assistant's releases."""

    name: str
    updates: list[ReleaseState]
    """The newest first."""
    in_use: list[InUse]
    offered: list[Offered]


class Gate(Answer):
    """The device's own last decision."""

    decision: str
    reason: str | None
    retry_at: Time | None


class CurrentUpdate(Answer):
    """The update that the device said it is at."""

    id: str
    status: str


class Reenrollment(Answer):
    """Somebody has registered the device's id with another token, and an operator has to decide."""

    requested_at: Time
    fingerprint: str
    """Of the token that waits; ``approve`` takes it, so that no other one is approved by mistake."""


class Device(Answer):
    """A device, as lists and the device page show it."""

    id: str
    name: str | None
    hostname: str
    state: str
    group: str | None
    channel: str
    timezone: str
    """The zone that the device goes by, as it last said."""
    timezone_set: str | None
    """The zone that an operator has set; the device goes by it from its next heartbeat on, where its settings allow."""
    assistant: str
    installed: str | None
    active: str | None
    agent_version: str
    debian: str
    architecture: str
    online: bool
    presence: Presence | None
    """Null once decommissioned. Late and lost are both offline."""
    last_seen_at: Time | None
    registered_at: Time
    idle_seconds: int | None
    gate: Gate | None
    update: CurrentUpdate | None
    reboot_required: bool
    hold: str | None
    reenrollment: Reenrollment | None
    cloned_suspected_at: Time | None
    """Since when two machines seem to go by this device's identity."""
    rotation: Literal["requested", "waiting"] | None
    """Of the device's token: an operator has asked for it; the device has told its new one and not used it yet."""


class DeviceUpdate(Answer):
    """One device's progress through one update."""

    device_id: str
    status: Status
    reason: str | None
    retry_at: Time | None
    detail: str | None
    log_tail: str | None
    sequence: int
    updated_at: Time
    stuck: Stuck | None
    """How it is stuck: nothing is heard of it (``silent``), or it does not get on (``no_progress``)."""
    expedited: bool


class DeviceUpdateEvent(Answer):
    """One event of a device update: what the device reported, or the server's own grant or its withdrawal."""

    sequence: int | None
    """The device's; null for the server's own events."""
    status: Status
    verdict: Verdict
    """Whether it changed anything."""
    version: str | None
    reason: str | None
    retry_at: Time | None
    detail: str | None
    log_tail: str | None
    at: Time
    """By the device's clock, except for the server's own."""
    received_at: Time


class Heartbeat(Answer):
    """One heartbeat that a device has sent."""

    received_at: Time
    sent_at: Time | None
    """By the device's clock."""
    boot_id: str | None
    clock_synchronised: bool | None
    uptime_seconds: int | None
    agent_version: str | None
    installed: str | None
    active: str | None
    idle_seconds: int | None
    gate: Gate | None
    update: CurrentUpdate | None
    reboot_required: bool


class Page(Answer, Generic[Item]):
    """One page of a list; ``next_cursor`` is null on the last."""

    items: list[Item]
    next_cursor: str | None


class DeviceCounts(Answer):
    """Devices that were let in and not retired: online and offline add up to the total, late and lost to offline."""

    total: int
    online: int
    offline: int
    late: int
    lost: int
    pending: int
    """Beside the total: these wait for an operator to let them in."""
    held: int
    """Of the total: an operator holds them."""


class UpdateCounts(Answer):
    """An update and how many devices are at which status."""

    id: str
    name: str
    version: str
    channel: str
    urgency: Urgency
    state: UpdateState
    statuses: dict[str, int]
    stuck: int
    """Of the devices that have started."""


class Fleet(Answer):
    """The fleet in numbers."""

    devices: DeviceCounts
    versions: dict[str, int]
    """Active versions; devices that have none yet are not counted."""
    reasons: dict[str, int]
    """Reasons of the devices whose gate defers."""
    updates: list[UpdateCounts]
    server_time: Time


class FleetSample(Answer):
    """The fleet as it was in one hour."""

    at: Time
    """When it was counted."""
    online: int
    late: int
    lost: int
    pending: int
    held: int
    versions: dict[str, int]
    """The versions that were active on most devices, at most 20."""
    other_versions: int
    """Devices with another one."""


class Service(Answer):
    """``/``: what answers here."""

    service: str
    version: str
    api: str


class Health(Answer):
    """``/healthz`` and ``/readyz``."""

    status: str


def render(answer: Answer) -> bytes:
    """The answer as JSON, on a line."""
    return answer.model_dump_json().encode() + b"\n"


def respond(answer: Answer, status: int = 200) -> Response:
    """The answer as JSON."""
    return Response(render(answer), status, mimetype="application/json")
