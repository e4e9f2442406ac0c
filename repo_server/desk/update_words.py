"""What the pages about updates say of numbers of devices, of waves and of what an action does. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from repo_server import waves
from repo_server.desk.filters import capital, duration, number
from repo_server.desk.words import Kind, Said
from repo_server.grant import UpdateState
from repo_server.lifecycle import Stuck
from repo_server.standing import Part, Standing
from repo_server.waves import FailureLimit, Rollout, Wave

PARTS: Mapping[Part, Said] = {
    Part.SUCCEEDED: Said(Kind.OK, "succeeded"),
    Part.NEWER: Said(Kind.OK, "have it or a newer one by other means"),
    Part.UNDER_WAY: Said(Kind.WAIT, "under way"),
    Part.PREPARING: Said(Kind.WAIT, "may install, wait for their moment"),
    Part.ROLLED_BACK: Said(Kind.BAD, "went back to the release before"),
    Part.FAILED: Said(Kind.BAD, "failed"),
    Part.WAITING: Said(Kind.IDLE, "wait for their turn"),
}
"""After a number of devices, in the order of the bar."""
_FOR_GOOD = "This cannot be undone. To bring the change to devices after all, release a higher version."


def devices(count: int, one: str = "", many: str = "") -> str:
    """``412 devices have``, ``1 device has``, ``no device has``: with the verb for one and for many."""
    words = "no device" if count == 0 else "1 device" if count == 1 else f"{number(count)} devices"
    return f"{words} {many if count > 1 else one}".rstrip()


def wave(index: int, plan: Sequence[Wave], size: int | None = None) -> str:
    """``wave 2 (5 %, 412 devices)``; the index from 0 on."""
    about = whom(plan[index]) if index < len(plan) - 1 or len(plan) == 1 else "all others"
    return f"wave {index + 1} ({about}{f', {devices(size)}' if size is not None else ''})"


def whom(one: Wave) -> str:
    """Whom a wave is for."""
    if one.percent is None:
        return f"the group {one.group}"
    return "everybody" if one.percent >= 100 else f"{one.percent:g} %"  # noqa: PLR2004 - percent


def limit(given: FailureLimit | None) -> str:
    """When a rollout halts by itself."""
    if given is None:
        return "none: it never halts by itself"
    ways = []
    if given.percent is not None:
        least = f", {number(given.minimum)} at least" if given.minimum > 1 else ""
        ways.append(f"{given.percent:g} % of the devices that have an outcome{least}")
    if given.count is not None:
        ways.append(devices(given.count))
    return " or ".join(ways)


def nearness(given: FailureLimit | None, failures: int, finished: int) -> str:
    """How far failures are from the limit."""
    if given is None:
        return "However many devices fail, it goes on."
    left = waves.failures_left(given, failures, finished)
    if left is None:
        return "With the outcomes so far it cannot be reached any more."
    if left == 0:
        return "It is reached."
    return f"{'One more failure halts it.' if left == 1 else f'{number(left)} more failures in a row halt it.'}"


def pause(standing: Standing, rollout: Rollout) -> tuple[str, ...]:
    """What a pause does."""
    return _said(
        _kept_waiting(standing, "until it is resumed"),
        _goes_on(standing),
        _no_dwell(rollout),
    )


def halt(standing: Standing, rollout: Rollout) -> tuple[str, ...]:
    """What a halt does."""
    return _said(
        "Halt it because something is wrong with it; where you only want to wait, pause it.",
        _kept_waiting(standing, "until somebody resumes it"),
        _goes_on(standing),
        _no_dwell(rollout),
    )


def resume(standing: Standing, rollout: Rollout, state: UpdateState, failures: int) -> tuple[str, ...]:
    """What going on does; ``failures``: those that counted before."""
    opened = len(rollout.opening.opened)
    if rollout.expedited:
        who = f"It was expedited: {devices(standing.not_begun, 'that has', 'that have')} not begun may install at once."
    elif opened == 0:
        who = f"It begins: {wave(0, rollout.waves)} opens at once."
    elif opened < len(rollout.waves):
        who = f"It goes on with {wave(opened - 1, rollout.waves)}; the waves that are open stay open."
    else:
        who = f"All waves are open: {devices(standing.not_begun, 'that has', 'that have')} not begun may install."
    known = ""
    if state is UpdateState.HALTED:
        known = (
            f"The outcomes so far are taken as known ({devices(failures)} failed): only new failures count against the "
            "limit from now on."
        )
    return _said(who, "Each device still waits for its own moment: its night, or an hour without use.", known)


def expedite(standing: Standing, rollout: Rollout, state: UpdateState) -> tuple[str, ...]:
    """What skipping the waves does."""
    waves_count = not rollout.expedited and len(rollout.opening.opened) < len(rollout.waves)
    failures = standing.failures
    return _said(
        f"Waves no longer count: {devices(standing[Part.WAITING], 'that waits', 'that wait')} for a turn may "
        "install at once."
        if waves_count
        else "All waves are open already: no device gets it any sooner.",
        f"{devices(failures, 'on which it failed tries', 'on which it failed try')} once more."
        if failures
        else "It has failed on no device.",
        "It changes no urgency: each device still waits for its own moment. Devices on hold stay on hold.",
        f"The update is {state} and stays so; resume it to let devices begin."
        if state is not UpdateState.ACTIVE
        else "",
        "This cannot be taken back; the failure limit still holds.",
    )


def withdraw(standing: Standing) -> tuple[str, ...]:
    """What taking a release back does."""
    return _said(
        f"{devices(standing.not_begun, 'has', 'have')} not begun and will not get it."
        if standing.not_begun
        else "Every device has begun with it already.",
        _goes_on(standing),
        f"{devices(standing.have_it, 'has it and keeps', 'have it and keep')} it: to bring them back, release "
        "the older code as a higher version."
        if standing.have_it
        else "",
        _FOR_GOOD,
    )


def withdraw_for_builders() -> tuple[str, ...]:
    """The same for who may not see how far it is."""
    return (
        "Devices that have not begun with it will not get it. Those that have it, or are at work on it, keep it.",
        _FOR_GOOD,
    )


def change(rollout: Rollout) -> tuple[str, ...]:
    """What other waves and another limit do."""
    opened = len(rollout.opening.opened)
    if rollout.expedited:
        return ("Waves do not count for this update any more: it was expedited. The failure limit does.",)
    if opened == len(rollout.waves):
        return ("All waves are open, so only the failure limit can be changed.",)
    if opened == 0:
        return ("It has not begun, so all waves can be changed.",)
    named = ", ".join(whom(one) for one in rollout.waves[:opened])
    return (f"Open already, and to stay so: {named}. Nobody who may install is put back into the queue.",)


def stuck(by_kind: Mapping[Stuck, int]) -> str | None:
    """How many that have begun are stuck; None where none is."""
    silent, slow = by_kind.get(Stuck.SILENT, 0), by_kind.get(Stuck.NO_PROGRESS, 0)
    parts = [f"{devices(silent, 'is', 'are')} silent since they began"] if silent > 1 else []
    if silent == 1:
        parts = ["1 device is silent since it began"]
    if slow:
        parts.append(f"{devices(slow, 'does', 'do')} not get on")
    return "; ".join(parts) or None


def _kept_waiting(standing: Standing, until: str) -> str:
    if not standing.not_begun:
        return "Every device has begun with it already: none is kept from it."
    return f"{devices(standing.not_begun, 'has not begun and waits', 'have not begun and wait')} {until}."


def _goes_on(standing: Standing) -> str:
    under_way = standing[Part.UNDER_WAY]
    return f"{devices(under_way, 'is at work on it and goes', 'are at work on it and go')} on." if under_way else ""


def _no_dwell(rollout: Rollout) -> str:
    due = waves.next_at(rollout)
    if due is None:
        return ""
    dwell = rollout.waves[len(rollout.opening.opened) - 1].dwell
    whole = f" of {duration(dwell)}" if dwell is not None else ""
    return f"The dwell time{whole} of the newest wave stands still meanwhile."


def _said(*sentences: str) -> tuple[str, ...]:
    return tuple(capital(sentence) for sentence in sentences if sentence)
