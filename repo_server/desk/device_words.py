"""A device in words: what a list says of it on a line, and its page at the top. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from repo_server import answers
from repo_server.desk import words
from repo_server.desk.words import GateSaid, Kind, Said
from repo_server.grant import Decision, Grant, Withhold
from repo_server.lifecycle import FAILURES, Stuck


@dataclass(frozen=True, slots=True)
class Shown:
    """One device."""

    device: answers.Device
    label: str
    """What people call it."""
    presence: Said
    gate: GateSaid
    notes: list[Said]
    """What else is to be seen at first sight, the most serious first."""


def shown(device: answers.Device, now: datetime, stuck: Stuck | None = None) -> Shown:
    """A device as of ``now``; ``stuck``: how it is, in the update that it is at."""
    gate = device.gate
    return Shown(
        device=device,
        label=device.name or device.hostname,
        presence=words.presence(device.presence),
        gate=words.gate(
            gate.decision if gate else None,
            gate.reason if gate else None,
            gate.retry_at if gate else None,
            device.timezone,
            now,
        ),
        notes=_notes(device, stuck),
    )


def offered(decision: Decision) -> GateSaid:
    """What the server has for a device."""
    if isinstance(decision, Grant):
        return GateSaid(Kind.OK, f"{decision.update.version} may be installed", words.urgency(decision.urgency).text)
    if isinstance(decision, Withhold):
        why = words.reason(decision.reason)
        return GateSaid(why.kind, f"{decision.update.version} is kept back", why.text, why.mend, decision.reason)
    return GateSaid(Kind.IDLE, "nothing newer")


def _notes(device: answers.Device, stuck: Stuck | None) -> list[Said]:
    found = [words.stuck(stuck)] if stuck is not None else []
    if device.state != "active":
        found.append(words.device_state(device.state))
    if device.cloned_suspected_at is not None:
        found.append(Said(Kind.BAD, "two machines seem to be it"))
    if device.update is not None and device.update.status in FAILURES:
        found.append(words.status(device.update.status))
    if device.reenrollment is not None:
        found.append(Said(Kind.WARN, "a new token waits"))
    if device.hold is not None:
        found.append(Said(Kind.WAIT, "held"))
    if device.reboot_required:
        found.append(Said(Kind.IDLE, "asks for a restart"))
    if device.rotation is not None:
        found.append(Said(Kind.IDLE, "changes its token"))
    order = [Kind.BAD, Kind.WARN, Kind.WAIT, Kind.IDLE, Kind.OK]
    return sorted(found, key=lambda said: order.index(said.kind))
