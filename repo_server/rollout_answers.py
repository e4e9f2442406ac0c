"""What the server answers about how an update spreads. See docs/INTERFACES.md."""

from __future__ import annotations

from repo_server.answers import Answer, Time, Update
from repo_server.grant import UpdateState
from repo_server.lifecycle import Stuck


class FailureLimit(Answer):
    """When the rollout halts by itself."""

    percent: float | None
    minimum: int
    count: int | None


class WaveShown(Answer):
    """One wave, with the devices that it adds to those before it."""

    number: int
    """From 1 on."""
    group: str | None
    percent: float | None
    dwell_seconds: int | None
    opened_at: Time | None
    size: int
    statuses: dict[str, int]
    """``waiting`` (nothing granted yet), ``newer`` (has this version or a higher one without this update), and the
    statuses of device updates; they add up to ``size``."""


class RolloutShown(Answer):
    """How an update spreads, and how it goes. Everything is counted in one snapshot."""

    state: UpdateState
    expedited: bool
    waves: list[WaveShown]
    next_wave_at: Time | None
    """Null while it is stopped, and when all waves are open."""
    failure_limit: FailureLimit | None
    failures: int
    """Since it was last resumed after a halt: failed, rolled back, or silent since it began."""
    finished: int
    """Devices that have an outcome, the failures among them; since the same moment."""
    stuck: dict[Stuck, int]
    halt_reason: str | None
    stopped_at: Time | None
    superseded_by: str | None
    """The update that is offered instead of this one to devices that have not started."""
    devices: int
    """On the channel, with this assistant and a target that it was built for: the sum of the waves' sizes."""
    statuses: dict[str, int]
    """The sum of the waves' statuses."""
    elsewhere: dict[str, int]
    """Statuses of devices that are none of these any more: moved to another channel, or decommissioned."""


class UpdateShown(Update):
    """A release on a channel and its rollout."""

    rollout: RolloutShown


class Expected(Answer):
    """What is to be expected of one device."""

    device_id: str
    hostname: str
    group: str | None
    timezone: str
    wave: int
    """From 1 on."""
    opens_at: Time | None
    """When its wave opens, or opened; null where nobody can say."""
    state: str
    """``done``, ``failed``, ``under_way``, ``open`` (it may install when its own gate says so), ``waiting`` (for its
    wave), or ``blocked`` (somebody has to do something first)."""
    reason: str | None
    """Why it is blocked or waiting, in the words of a withhold; SUPERSEDED where a newer release will be offered."""
    earliest_at: Time | None
    """Not before this does the device install, if everything goes as planned; null where nobody can say."""
    likely_at: Time | None
    """Where its own habits say more than the rules; a guess."""
    basis: str | None
    """What the times rest on, in a sentence."""


class WavePlanned(Answer):
    """One wave of the plan."""

    number: int
    group: str | None
    percent: float | None
    opens_at: Time | None
    opened: bool
    devices: int
    states: dict[str, int]
    """The states of its devices; they add up to ``devices``."""
    first_at: Time | None
    """The earliest of its devices' ``earliest_at`` that are still to come, and the latest."""
    last_at: Time | None


class Plan(Answer):
    """Who gets an update when: a summary of all waves, and one page of devices, in the order of their ids."""

    update_id: str
    version: str
    urgency: str
    state: UpdateState
    as_of: Time
    assumptions: list[str]
    waves: list[WavePlanned]
    items: list[Expected]
    next_cursor: str | None
