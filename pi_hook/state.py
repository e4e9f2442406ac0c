"""What the agent remembers, durably: ``state.json`` with a schema number, and the outbox beside it.

A file that cannot be used is set aside and the agent starts anew from what the world says; only the memory of deferrals
and of what has ended is lost then: the verdicts on versions are kept beside it (``pi_hook.verdicts``), and sequence
numbers go on above the reserved ceiling (``pi_hook.outbox``).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pi_hook import verdicts
from pi_hook.durable import read_json, set_aside
from pi_hook.errors import BadMessageError
from pi_hook.files import write_atomic
from pi_hook.outbox import Outbox
from pi_hook.policy import Urgency
from pi_hook.reasons import rfc3339
from pi_hook.update import Bad, Device, Outcome, Past, Phase, Update
from pi_hook.wire import Offer, Status, Withheld, parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from pi_hook.effects import Note

_SCHEMA = 1
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Mark:
    """An instant on the monotonic clock of one boot; readings of other boots do not compare."""

    boot_id: str
    monotonic: float


@dataclass(frozen=True, slots=True)
class Granted:
    """How long an update had been granted at a mark, by the server's clock alone."""

    update_id: str
    mark: Mark
    seconds: float


@dataclass(frozen=True, slots=True)
class Contact:
    """The server's last answer, as far as it was worth a write."""

    mark: Mark
    at: datetime


@dataclass(frozen=True, slots=True)
class Memory:
    """All that is kept in ``state.json``."""

    device: Device = field(default_factory=Device)
    last_sequence: int | None = None
    """None: never counted, or the count was lost."""
    fresh: tuple[Status, ...] = ()
    """The statuses of the latest transition; they may not have reached the outbox."""
    granted: Granted | None = None
    contact: Contact | None = None
    not_before: datetime | None = None
    """The latest proven time (``pi_hook.clock.Timekeeper``)."""
    registered: bool = False
    channel: str | None = None
    """The server's."""
    timezone: str | None = None
    """The operator's for this device, as the server last said it."""
    pending: bool = False
    """Registered, and an operator has to approve it: the server takes nothing but heartbeats."""
    stopped: str | None = None
    """Why the server does not want this device any more."""


class Ledger:
    """The durable memory and the outbox, changed together. Raises ``OSError`` where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / "state.json"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.outbox = Outbox(folder)
        self.memory = _load(self._path) or Memory(device=verdicts.read(folder))
        self._verdicts: tuple[str | None, tuple[Bad, ...]] | None = None
        self.outbox.append(self.memory.fresh)

    def commit(self, device: Device, notes: Iterable[Note], now: datetime) -> None:
        """Make a new state and its statuses durable, in such an order that a crash loses neither and repeats none."""
        noted = tuple(notes)
        self.outbox.append(self.memory.fresh)  # in case the disk refused the last time
        if noted:
            first = self.outbox.reserve(self.memory.last_sequence, len(noted))
            fresh = tuple(_status(first + index, note, now) for index, note in enumerate(noted))
            self._write(replace(self.memory, device=device, fresh=fresh, last_sequence=fresh[-1].sequence))
            self.outbox.append(fresh)
        elif device != self.memory.device:
            self._write(replace(self.memory, device=device))

    def remember(self, **changes: Any) -> None:  # noqa: ANN401  # fields of Memory
        """Change other fields of the memory; nothing is written where nothing changes."""
        memory = replace(self.memory, **changes)
        if memory != self.memory:
            self._write(memory)

    def _write(self, memory: Memory) -> None:
        write_atomic(self._path, json.dumps({"schema": _SCHEMA, **_plain(memory)}, indent=1) + "\n", _MODE)
        self.memory = memory
        reached = (memory.device.last_good, memory.device.bad)
        if reached != self._verdicts:
            verdicts.write(self._folder, memory.device)
            self._verdicts = reached


def read_memory(path: Path) -> Memory | None:
    """The memory in a file, without touching anything (``pi-hook status`` without a daemon); None where unusable."""
    try:
        return _memory(json.loads(path.read_bytes()))
    except (OSError, KeyError, TypeError, ValueError, BadMessageError):
        return None


def _status(sequence: int, note: Note, now: datetime) -> Status:
    at = now.replace(microsecond=0)
    return Status(
        note.update_id, sequence, note.status, at, note.version, note.reason, note.retry_at, note.detail, note.log_tail
    )


def _load(path: Path) -> Memory | None:
    body = read_json(path)
    if body is None:
        return None
    try:
        return _memory(body)
    except (KeyError, TypeError, ValueError, BadMessageError) as error:
        set_aside(path, f"{type(error).__name__}: {error}")
        return None


def _plain(value: Any) -> Any:  # noqa: ANN401  # any value of the memory
    if isinstance(value, Status):
        return {"update_id": value.update_id, **value.to_json()}
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _memory(body: dict[str, Any]) -> Memory:
    if body["schema"] != _SCHEMA:
        raise ValueError(f"schema {body['schema']!r} is not this version's ({_SCHEMA})")
    return Memory(
        device=_device(body["device"]),
        last_sequence=body["last_sequence"],
        fresh=tuple(Status.from_json(item["update_id"], item) for item in body["fresh"]),
        granted=_optional(body["granted"], lambda b: Granted(b["update_id"], _mark(b["mark"]), float(b["seconds"]))),
        contact=_optional(body["contact"], lambda b: Contact(_mark(b["mark"]), parse_time(b["at"], "at"))),
        not_before=_time(body["not_before"]),
        registered=body["registered"] is True,
        channel=body["channel"],
        timezone=_text(body.get("timezone")),  # absent from the file of an older agent
        pending=body.get("pending") is True,  # as above
        stopped=body["stopped"],
    )


def _device(body: dict[str, Any]) -> Device:
    return Device(
        update=_optional(body["update"], _update),
        withheld=_optional(body["withheld"], Withheld.parse),
        hold=body["hold"],
        held_here=body["held_here"] is True,
        last_good=body["last_good"],
        bad=tuple(verdicts.bad_from(bad) for bad in body["bad"]),
        history=tuple(_past(p) for p in body["history"]),
    )


def _past(body: dict[str, Any]) -> Past:
    return Past(
        body["update_id"],
        body["version"],
        Outcome(body["outcome"]),
        parse_time(body["at"], "at"),
        body["detail"],
        _time(body.get("granted_at")),  # an older agent did not write these
        body.get("expedited") is True,
    )


def _update(body: dict[str, Any]) -> Update:
    # An older agent, which this one may have replaced in the middle of an update, did not write all of them.
    plain = {f.name: body[f.name] for f in fields(Update) if f.name in body}
    plain["offer"] = Offer.parse(body["offer"])
    plain["phase"] = Phase(body["phase"])
    plain["signed_urgency"] = _optional(body["signed_urgency"], Urgency)
    plain["deferred_retry_at"] = _time(body["deferred_retry_at"])
    plain["restarted_at"] = _time(body["restarted_at"])
    return Update(**plain)


def _mark(body: dict[str, Any]) -> Mark:
    return Mark(str(body["boot_id"]), float(body["monotonic"]))


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{value!r} is not a text")
    return value


def _time(value: str | None) -> datetime | None:
    return None if value is None else parse_time(value, "a time")


def _optional(body: Any, parse: Callable[[Any], Any]) -> Any:  # noqa: ANN401  # null, or whatever parse makes of it
    return None if body is None else parse(body)
