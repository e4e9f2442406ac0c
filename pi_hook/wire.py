"""What the agent says to the server and hears from it, as dataclasses; the shapes are those of INTERFACES.md, "HTTP".

Requests are written exactly. Of answers, what matters is checked strictly and the rest is ignored: a newer server may
say more. Parsing raises ``BadMessageError`` naming the field.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pi_hook.errors import BadMessageError
from pi_hook.names import VERSION
from pi_hook.policy import Decided, Urgency
from pi_hook.reasons import Reason, rfc3339

MOST_STATUSES = 100
"""In one batch."""
MOST_DETAIL = 1_000
"""Characters of a status' detail."""
MOST_LOG_TAIL = 16_384
"""Characters of a status' log tail; the end is kept."""
_LEAST_INTERVAL = 1
_MOST_INTERVAL = 86_400


PENDING = "pending"
"""The state of a device that an operator has to approve."""


@dataclass(frozen=True, slots=True)
class Registration:
    """The body of a registration."""

    id: str
    token_sha256: str
    hostname: str
    timezone: str
    assistant: str
    channel: str | None
    agent_version: str
    debian: str
    architecture: str
    model: str | None

    def to_json(self) -> dict[str, Any]:
        """The body."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Registered:
    """The answer to a registration; ``state`` is ``active`` or ``PENDING``."""

    id: str
    channel: str
    state: str

    @classmethod
    def parse(cls, body: object) -> Registered:
        """From the answer's body."""
        table = _table(body, "the answer")
        return cls(_text(table, "id"), _text(table, "channel"), _text(table, "state"))


@dataclass(frozen=True, slots=True)
class Gate:
    """What the device's gate says, for the dashboard."""

    decision: Decided
    reason: Reason | None = None
    retry_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """The table ``gate``."""
        return {
            "decision": str(self.decision),
            "reason": self.reason and str(self.reason),
            "retry_at": _when(self.retry_at),
        }


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The body of a heartbeat."""

    boot_id: str
    sent_at: datetime
    clock_synchronised: bool
    uptime_seconds: int
    agent_version: str
    timezone: str
    assistant: str
    installed: str | None
    active: str | None
    idle_seconds: int | None
    gate: Gate | None
    update: tuple[str, str] | None
    """Id and status of the update at work."""
    reboot_required: bool = False
    debian: str | None = None
    """The Debian release that runs; None where the server knows it: it may have been upgraded since registering."""

    def to_json(self) -> dict[str, Any]:
        """The body; what is null is left out, as a heartbeat is to stay within a kilobyte."""
        body = {
            "boot_id": self.boot_id,
            "sent_at": rfc3339(self.sent_at),
            "clock_synchronised": self.clock_synchronised,
            "uptime_seconds": self.uptime_seconds,
            "agent_version": self.agent_version,
            "timezone": self.timezone,
            "assistant": {"name": self.assistant, "installed": self.installed, "active": self.active},
            "idle_seconds": self.idle_seconds,
            "gate": self.gate and self.gate.to_json(),
            "update": self.update and {"id": self.update[0], "status": self.update[1]},
            "debian": self.debian,
            # Left out where there is nothing to say: a server older than this field refuses it.
            **({"reboot_required": True} if self.reboot_required else {}),
        }
        return _without_null(body)


@dataclass(frozen=True, slots=True)
class Offer:
    """A grant as the device sees it."""

    update_id: str
    name: str
    version: str
    urgency: Urgency
    granted_at: datetime
    expedited: bool = False

    @classmethod
    def parse(cls, body: object) -> Offer:
        """From the table ``offer``."""
        table = _table(body, "offer")
        urgency = _text(table, "urgency")
        if urgency not in set(Urgency):
            raise BadMessageError(f"the server's answer has an unknown urgency {urgency!r}")
        version = _text(table, "version")
        if not VERSION.match(version):  # it becomes part of paths and package names
            raise BadMessageError(f"the server offers {version!r}, which is no release version")
        return cls(
            _text(table, "update_id"),
            _text(table, "name"),
            version,
            Urgency(urgency),
            parse_time(table.get("granted_at"), "granted_at"),
            table.get("expedited") is True,
        )


@dataclass(frozen=True, slots=True)
class Withheld:
    """The server's answer that this device may not install an update now; ``reason`` is a word of the server's."""

    update_id: str
    version: str
    reason: str

    @classmethod
    def parse(cls, body: object) -> Withheld:
        """From the table ``withheld``."""
        table = _table(body, "withheld")
        return cls(_text(table, "update_id"), _text(table, "version"), _text(table, "reason"))


@dataclass(frozen=True, slots=True)
class HeartbeatAnswer:
    """What the server says to a heartbeat; at most one of ``offer`` and ``withheld`` is not None."""

    server_time: datetime
    next_heartbeat_seconds: int
    channel: str | None
    hold: str | None
    offer: Offer | None
    withheld: Withheld | None
    timezone: str | None = None
    """The operator's zone for this device; absent from older servers. Any text: the device may not know the zone."""
    state: str | None = None
    """``pending``: an operator has to approve this device; absent from older servers."""
    rotate_token: bool = False
    """An operator has asked for a new token of this device."""

    @classmethod
    def parse(cls, body: object) -> HeartbeatAnswer:
        """From the answer's body."""
        table = _table(body, "the answer")
        interval = table.get("next_heartbeat_seconds")
        if isinstance(interval, bool) or not isinstance(interval, int):
            raise BadMessageError("the server's answer has no usable next_heartbeat_seconds")
        offer, withheld = table.get("offer"), table.get("withheld")
        if offer is not None and withheld is not None:
            raise BadMessageError("the server's answer both offers and withholds")
        return cls(
            server_time=parse_time(table.get("server_time"), "server_time"),
            next_heartbeat_seconds=min(max(interval, _LEAST_INTERVAL), _MOST_INTERVAL),
            channel=_optional_text(table, "channel"),
            hold=_optional_text(table, "hold"),
            offer=None if offer is None else Offer.parse(offer),
            withheld=None if withheld is None else Withheld.parse(withheld),
            timezone=_optional_text(table, "timezone"),
            state=_optional_text(table, "state"),
            rotate_token=table.get("rotate_token") is True,
        )


@dataclass(frozen=True, slots=True)
class Status:
    """One step of an update's progress, numbered over all that a device ever writes."""

    update_id: str
    sequence: int
    status: str
    at: datetime
    version: str
    reason: str | None = None
    retry_at: datetime | None = None
    detail: str | None = None
    log_tail: str | None = None

    def to_json(self) -> dict[str, Any]:
        """One item of ``statuses``; what is null is left out."""
        body = {
            "sequence": self.sequence,
            "status": self.status,
            "at": rfc3339(self.at),
            "version": self.version,
            "reason": self.reason,
            "retry_at": _when(self.retry_at),
            "detail": self.detail and self.detail[:MOST_DETAIL],
            "log_tail": self.log_tail and self.log_tail[-MOST_LOG_TAIL:],
        }
        return _without_null(body)

    @classmethod
    def from_json(cls, update_id: str, body: object) -> Status:
        """Back from ``to_json`` (for the durable files)."""
        table = _table(body, "a status")
        sequence = table.get("sequence")
        if isinstance(sequence, bool) or not isinstance(sequence, int) or sequence < 1:
            raise BadMessageError("a status has no usable sequence")
        retry_at = table.get("retry_at")
        return cls(
            update_id=update_id,
            sequence=sequence,
            status=_text(table, "status"),
            at=parse_time(table.get("at"), "at"),
            version=_text(table, "version"),
            reason=_optional_text(table, "reason"),
            retry_at=None if retry_at is None else parse_time(retry_at, "retry_at"),
            detail=_optional_text(table, "detail"),
            log_tail=_optional_text(table, "log_tail"),
        )


def statuses_body(statuses: list[Status]) -> dict[str, Any]:
    """The body of a batch of statuses of one update."""
    return {"statuses": [status.to_json() for status in statuses]}


def parse_acknowledged(body: object) -> int:
    """The sequence up to which the server has recorded everything."""
    acknowledged = _table(body, "the answer").get("acknowledged")
    if isinstance(acknowledged, bool) or not isinstance(acknowledged, int):
        raise BadMessageError("the server's answer has no usable acknowledged")
    return acknowledged


def parse_error(body: object) -> tuple[str, str] | None:
    """Kind and message of an error object; None where the body is none."""
    error = body.get("error") if isinstance(body, dict) else None
    if (
        not isinstance(error, dict)
        or not isinstance(error.get("kind"), str)
        or not isinstance(error.get("message"), str)
    ):
        return None
    return error["kind"], error["message"]


def parse_time(value: object, name: str) -> datetime:
    """An RFC 3339 time with an offset, in UTC. Raises ``BadMessageError`` naming the field."""
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        parsed = None
    if parsed is None or parsed.tzinfo is None:
        raise BadMessageError(f"{name} is not an RFC 3339 time with an offset: {value!r}")
    return parsed.astimezone(UTC)


def _when(instant: datetime | None) -> str | None:
    return None if instant is None else rfc3339(instant)


def _without_null(table: dict[str, Any]) -> dict[str, Any]:
    return {k: _without_null(v) if isinstance(v, dict) else v for k, v in table.items() if v is not None}


def _table(body: object, what: str) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise BadMessageError(f"{what} is not a JSON object")
    return body


def _text(table: dict[str, Any], name: str) -> str:
    value = table.get(name)
    if not isinstance(value, str) or not value:
        raise BadMessageError(f"the field {name} is missing or not a text")
    return value


def _optional_text(table: dict[str, Any], name: str) -> str | None:
    return None if table.get(name) is None else _text(table, name)
