"""The audit log's entries in words: what was done, to what, and what became of what. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from repo_server import times
from repo_server.answers_identity import AuditEntry
from repo_server.desk.filters import duration, moment
from repo_server.grant import UpdateState

ACTIONS = {
    "api_key.create": "Made an API key",
    "api_key.revoke": "Revoked an API key",
    "device.approve": "Approved a device",
    "device.ask_approval": "Asked for approval",
    "device.ask_rotation": "Asked for a new device token",
    "device.change": "Changed a device",
    "device.cloned_suspected": "Saw one id on two machines",
    "device.come_back": "Came back after a restore",
    "device.decommission": "Retired a device",
    "device.dismiss": "Dismissed a waiting token",
    "device.erase": "Erased what was known of a home",
    "device.new_token": "Made its next token",
    "device.register": "Registered",
    "device.use_new_token": "Began to use its new token",
    "device_update.expedite": "Expedited an update on one device",
    "enrollment_token.create": "Made an enrollment token",
    "enrollment_token.revoke": "Revoked an enrollment token",
    "session.create": "Signed in",
    "session.end": "Ended a session",
    "update.active": "Resumed a rollout",
    "update.announce": "Announced a release",
    "update.expedite": "Expedited a rollout",
    "update.halted": "Halted a rollout",
    "update.paused": "Paused a rollout",
    "update.rollout": "Changed a rollout's waves or limit",
    "update.wave": "Opened a wave",
    "update.withdrawn": "Withdrew a release",
}
_FIELDS = {
    "anew": "devices that try once more",
    "expires_at": "expires",
    "group_name": "group",
    "uses": "uses so far",
    "uses_allowed": "uses allowed",
    "why": "because",
}
_STATES = frozenset(f"update.{state}" for state in UpdateState)
"""The entry has the state before; the action says which it is now."""
_YES_OR_NO = frozenset({"approval", "recovery"})
"""Columns that hold 0 or 1."""
_SILENT = (None, "", False, 0)
"""What says nothing of something new."""
_PAGES = {"device": "/devices/", "device_update": "/devices/", "update": "/updates/"}


@dataclass(frozen=True, slots=True)
class Change:
    """One value, before and after; None where the entry says nothing of that side."""

    field: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """An entry as it is shown."""

    entry: AuditEntry
    words: str
    link: str | None
    """The page of what was changed, where it has one."""
    other: tuple[str, str] | None
    """A second page that the entry speaks of: its address and a word for it."""
    changes: tuple[Change, ...]


def told(entry: AuditEntry) -> Told:
    """One entry."""
    page = _PAGES.get(entry.action.partition(".")[0])
    update = entry.detail.get("update")
    return Told(
        entry,
        ACTIONS.get(entry.action, entry.action),
        f"{page}{entry.subject}" if page is not None else None,
        (f"/updates/{update}", "its update") if isinstance(update, str) else None,
        tuple(changes(entry.action, entry.detail)),
    )


def changes(action: str, detail: Mapping[str, Any]) -> Iterator[Change]:
    """What became of what, in the order in which the entry has it; a value that stayed the same is left out.

    Of something new only what it has is told.
    """
    before, after = detail.get("before"), detail.get("after")
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        yield from _between(_mapping(before), _mapping(after), new="before" not in detail)
    elif before is not None or after is not None:
        now = action.partition(".")[2] if action in _STATES and after is None else _side(detail, "after")
        yield Change("state", _side(detail, "before"), now)
    for name, value in detail.items():
        if name == "rollout":
            yield from _rollout(value)
        elif name not in {"before", "after", "update"}:
            yield Change(_field(name), None, _text(name, value))


def _between(old: Mapping[str, Any], now: Mapping[str, Any], *, new: bool) -> Iterator[Change]:
    for name in dict.fromkeys([*old, *now]):
        same = name in old and name in now and old[name] == now[name]
        if not same and not (new and now[name] in _SILENT):
            yield Change(_field(name), _side(old, name), _side(now, name))


def _mapping(side: object) -> Mapping[str, Any]:
    return side if isinstance(side, Mapping) else {}


def _side(values: Mapping[str, Any], name: str) -> str | None:
    return _text(name, values[name]) if name in values else None


def _field(name: str) -> str:
    return _FIELDS.get(name, name.replace("_", " "))


def _text(name: str, value: object) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool) or (name in _YES_OR_NO and value in {0, 1}):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(_text("", one) for one in value) or "nothing"
    if isinstance(value, Mapping):
        return "; ".join(f"{_field(key)} {_text(key, one)}" for key, one in value.items()) or "nothing"
    try:
        return moment(times.parse(str(value)))
    except ValueError:
        return str(value)


def _rollout(value: object) -> Iterator[Change]:
    """The column's JSON: waves and a failure limit."""
    try:
        plan = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        plan = None
    if not isinstance(plan, Mapping):
        yield Change("rollout", None, _text("", value))
        return
    waves = plan.get("waves")
    if isinstance(waves, list) and all(isinstance(one, Mapping) for one in waves):
        yield Change("waves", None, ", ".join(_wave(one) for one in waves) or "nothing")
    limit = plan.get("failure_limit")
    known = {key: one for key, one in limit.items() if one is not None} if isinstance(limit, Mapping) else limit
    yield Change("failure limit", None, _text("", known))


def _wave(wave: Mapping[str, Any]) -> str:
    group, percent, dwell = wave.get("group"), wave.get("percent"), wave.get("dwell_seconds")
    who = f"the group {group}" if group is not None else f"{percent:g} %" if isinstance(percent, (int, float)) else "?"
    return f"{who} for {duration(dwell)}" if isinstance(dwell, int) else who
