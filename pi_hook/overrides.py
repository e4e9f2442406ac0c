"""What a person may override, and what not: installing now, and going back. Pure, as ``pi_hook.machine``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pi_hook.activation import begin_way_back, go_back
from pi_hook.effects import Transition
from pi_hook.errors import OverrideError
from pi_hook.finish import barred
from pi_hook.machine import go_on
from pi_hook.policy import Urgency
from pi_hook.update import REPLACEABLE, UNREPORTED, WORKING, Device, Outcome, Phase, Update
from pi_hook.wire import Offer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from pi_hook.effects import Facts

INSTALL_NOW = "a person asked for it (`pi-hook install --now`)"
ROLL_BACK = "a person asked to go back (`pi-hook rollback`)"


def install_now(device: Device, facts: Facts) -> Transition:
    """Let the update at work ask no rule of time any more, and try at once what it waits to try again.

    Raises ``OverrideError`` where there is none, or where somebody has said that it must not be installed.
    """
    if device.held or facts.installed.held:
        who = "by an operator" if device.hold is not None else "here"
        raise OverrideError(f"updates are held {who}; `pi-hook release`, the operator or `apt-mark unhold` lifts it")
    if device.withheld is not None:
        raise OverrideError(f"the server withholds {device.withheld.version}: {device.withheld.reason}")
    update = device.update
    if update is None:
        raise OverrideError("no release is offered to this device; the server is being asked, so try again in a moment")
    update = replace(update, override=INSTALL_NOW)
    device = replace(device, update=update)
    if update.phase in WORKING or update.phase not in REPLACEABLE:
        return Transition(device)
    return go_on(replace(device, update=replace(update, blocked=None)), facts)


@dataclass(frozen=True, slots=True)
class Way:
    """Where a way back leads to, asked for when it is needed."""

    target: Callable[[], str]
    """The version; raises ``OverrideError`` where there is none."""
    reinstalls: Callable[[str], bool]
    """Whether that version has to be installed again."""


def roll_back(device: Device, facts: Facts, name: str, way: Way, now: datetime) -> Transition:
    """Go back from the active version, or from the one that is being watched.

    Raises ``OverrideError`` where there is no way back, or something is at work that must not be cut off.
    """
    update = device.update
    if update is not None and update.phase is Phase.VERIFYING:
        if update.previous is None:
            raise OverrideError(f"there is no earlier release than {update.version} to go back to")
        if no_way := barred(update, facts):
            raise OverrideError(no_way)
        return go_back(device, replace(update, why=ROLL_BACK), facts, now)
    if update is not None and update.phase not in REPLACEABLE:
        raise OverrideError(
            f"{update.version} is at work ({update.phase}); try again when `pi-hook status` shows its end"
        )
    if facts.active is None:
        raise OverrideError(
            "no complete release is active, so there is none to leave; `systemctl start pi-hook-recover`"
        )
    # An update that only waits is set aside; where it still stands, the server offers it again.
    previous = way.target()
    back = Update(_offer(device, facts.active, name, now), Phase.RETURNING, previous=previous, why=ROLL_BACK)
    return begin_way_back(device, back, reinstall=way.reinstalls(previous))


def way_back(
    device: Device, active: str, present: Sequence[str], oldest: str | None, compare: Callable[[str, str], int]
) -> str:
    """The version to go back to from the active one: the last good one, else one that once succeeded, else the highest.

    ``present``: the versions that are complete on the disk, highest first. ``oldest``: the oldest that the active one
    can go back to. Raises ``OverrideError`` where there is none.
    """
    lower = [version for version in present if compare(version, active) < 0]
    bad = {bad.version for bad in device.bad}
    good = [version for version in lower if version not in bad and (oldest is None or compare(version, oldest) >= 0)]
    if not good:
        why = f"; {active} can go back to {oldest} at the oldest" if lower and oldest is not None else ""
        raise OverrideError(f"no release that could be gone back to from {active} is on this device{why}")
    once = (past.version for past in reversed(device.history) if past.outcome is Outcome.SUCCEEDED)
    return next((version for version in (device.last_good, *once) if version in good), good[0])


def _offer(device: Device, version: str, name: str, now: datetime) -> Offer:
    """The grant under which the active version was installed, as far as it is known: by it the outcome is reported."""
    past = next((past for past in reversed(device.history) if past.version == version), None)
    if past is None or past.outcome is not Outcome.SUCCEEDED:
        return Offer(UNREPORTED, name, version, Urgency.SCHEDULED, now)
    return Offer(past.update_id, name, version, Urgency.SCHEDULED, past.granted_at or now, past.expedited)
