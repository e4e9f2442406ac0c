"""What ``pi-hook status`` shows: one plain object from the daemon's knowledge, and the same in words for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pi_hook.reasons import gate_words, rfc3339
from pi_hook.saying import length, moment
from pi_hook.wire import parse_time
from pi_hook.zone import zone_named

_MOST_PAST = 3
"""Updates that have ended, in words; ``--json`` has all that are remembered."""

if TYPE_CHECKING:
    from pi_hook.activity import Source
    from pi_hook.policy import Decision
    from pi_hook.state import Memory
    from pi_hook.system import System
    from pi_hook.update import Past


def memory_status(memory: Memory) -> dict[str, Any]:
    """The part that the state file alone tells (also without a daemon)."""
    update, device = memory.device.update, memory.device
    return {
        "registered": memory.registered,
        "pending": memory.pending,
        "channel": memory.channel,
        "stopped": memory.stopped,
        "hold": device.hold if device.hold is not None else ("by `pi-hook hold`" if device.held_here else None),
        "withheld": None if device.withheld is None else device.withheld.reason,
        "update": None
        if update is None
        else {
            "id": update.offer.update_id,
            "version": update.version,
            "urgency": str(update.urgency),
            "phase": str(update.phase),
            "blocked": update.blocked,
            "override": update.override,
        },
        "last_good": device.last_good,
        "bad_versions": [bad.version for bad in device.bad],
        "history": [past_status(past) for past in reversed(device.history)],
    }


def past_status(past: Past) -> dict[str, Any]:
    """An update that has ended."""
    return {"version": past.version, "outcome": str(past.outcome), "at": rfc3339(past.at), "detail": past.detail}


def gate_status(decision: Decision) -> dict[str, Any]:
    """The gate's answer, as in a heartbeat, and in words."""
    return {
        "decision": str(decision.decision),
        "reason": decision.reason and str(decision.reason),
        "retry_at": decision.retry_at and rfc3339(decision.retry_at),
        "words": gate_words(str(decision.decision), decision.reason, decision.retry_at),
    }


def system_status(system: System) -> dict[str, Any]:
    """How the system's own packages and the agent itself stand (also without a daemon)."""
    last, work = system.last, system.at_work
    return {
        "at_work": None if work is None else str(work.step),
        "lists_at": system.lists_at and rfc3339(system.lists_at),
        "lists_problem": system.lists_problem,
        "last": None
        if last is None
        else {
            "at": rfc3339(last.at),
            "outcome": "succeeded" if last.problem is None else "failed",
            "problem": last.problem,
            "message": last.message,
            "changed": list(last.changed),
        },
        "attempts_of_the_night": {"day": system.day and system.day.isoformat(), "count": system.attempts},
        "restarts": [{"cause": r.cause, "at": rfc3339(r.at)} for r in reversed(system.restarts)],
    }


def source_status(sources: tuple[Source, ...]) -> list[dict[str, Any]]:
    """Where activity is seen, and what is wrong with it."""
    return [{"name": source.name, "problem": source.problem} for source in sources]


def in_words(status: dict[str, Any]) -> str:
    """A status for people, a line for each thing; what is not known is left out, times are the device's own."""
    lines = [_line("note", status.get("note")), _line("state", status.get("state"))]
    lines += _release_lines(status)
    lines += _waiting_lines(status)
    lines += _use_lines(status)
    lines += _server_lines(status)
    lines += _system_lines(status)
    lines += _past_lines(status)
    return "\n".join(line for line in lines if line is not None)


def _line(name: str, words: object) -> str | None:
    return f"{name:<11} {words}" if words else None


def _release_lines(status: dict[str, Any]) -> list[str | None]:
    lines: list[str | None] = []
    if "assistant" in status:
        assistant = status["assistant"]
        words = (
            f"{assistant['name']}: installed {assistant['installed'] or 'nothing'}, "
            f"active {assistant['active'] or 'nothing'}, running {assistant['running'] or 'nothing'}"
        )
        lines += [_line("assistant", words), _line("broken", assistant["broken"])]
    if status.get("update"):
        update = status["update"]
        blocked = f", held up by {update['blocked']}" if update["blocked"] else ""
        lines.append(_line("update", f"{update['version']} ({update['urgency']}): {update['phase']}{blocked}"))
    return lines


def _waiting_lines(status: dict[str, Any]) -> list[str | None]:
    lines: list[str | None] = []
    if "gate" in status:
        gate = status["gate"]
        lines.append(_line("gate", gate["words"]))
        if gate["retry_at"] is not None and status.get("at"):
            at = parse_time(gate["retry_at"], "retry_at")
            left = length((at - parse_time(status["at"], "at")).total_seconds())
            lines.append(_line("next", f"{_moment(gate['retry_at'], status)}, in {left}, if nobody comes in between"))
    lines += [_line("held", status.get("hold")), _line("withheld", status.get("withheld"))]
    zone = status.get("timezone")
    if zone is not None:
        lines.append(_line("timezone", zone["name"] + (f": {zone['problem']}" if zone["problem"] else "")))
    if status.get("clock_synchronised") is False:
        lines.append(_line("clock", "the time is not known yet"))
    return lines


def _use_lines(status: dict[str, Any]) -> list[str | None]:
    lines: list[str | None] = []
    if "idle_seconds" in status:
        idle = status["idle_seconds"]
        lines.append(_line("idle", "unknown" if idle is None else length(idle)))
    lines += [_line("busy", busy["why"] or "no reason given") for busy in status.get("busy", [])]
    lines += [_line("source", f"{source['name']}: {source['problem'] or 'ok'}") for source in status.get("sources", [])]
    return lines


def _server_lines(status: dict[str, Any]) -> list[str | None]:
    if status.get("stopped"):
        return [_line("server", f"refuses this device ({status['stopped']})")]
    lines: list[str | None] = []
    server = status.get("server")
    if server is not None:
        contact = server["seconds_since_contact"]
        words = "never answered" if contact is None else f"answered {length(contact)} ago"
        waiting = f", {server['unsent']} statuses wait" if server["unsent"] else ""
        problem = f"; {server['problem']}" if server["problem"] else ""
        lines.append(_line("server", f"{server['url']} {words}{waiting}{problem}"))
    if status.get("registered") is not None:
        registered = "registered" if status["registered"] else "not registered yet"
        registered = "registered, waits for approval" if status.get("pending") else registered
        channel = f", channel {status['channel']}" if status.get("channel") else ""
        lines.append(_line("enrolled", f"{registered}{channel}"))
    return lines


def _past_lines(status: dict[str, Any]) -> list[str | None]:
    lines = [
        _line(
            "past",
            f"{past['version']} {past['outcome']} {_moment(past['at'], status)}"
            + (f": {past['detail']}" if past["detail"] else ""),
        )
        for past in status.get("history", [])[:_MOST_PAST]
    ]
    return [*lines, _line("bad", ", ".join(status.get("bad_versions", [])))]


def _moment(at: str, status: dict[str, Any]) -> str:
    """A moment in words by the device's own zone; the plain time where that is not known (no daemon answers)."""
    instant, zone = parse_time(at, "at"), zone_named((status.get("timezone") or {}).get("name", ""))
    if zone is None or not status.get("at"):
        return f"at {rfc3339(instant.replace(microsecond=0))}"
    return moment(instant, parse_time(status["at"], "at"), zone)


def _system_lines(status: dict[str, Any]) -> list[str | None]:
    system = status.get("system")
    if system is None:
        return []
    lines: list[str | None] = []
    if (last := system["last"]) is not None:
        outcome = "upgraded" if last["outcome"] == "succeeded" else f"failed ({last['problem']})"
        lines.append(_line("system", f"{outcome} {_moment(last['at'], status)}: {last['message']}"))
    work = {"system": "is being upgraded", "lists": "its lists are being fetched"}.get(system["at_work"])
    restart = system.get("reboot_required")
    lines += [_line("system", work), _line("lists", system["lists_problem"])]
    return [*lines, _line("restart", restart and f"is asked for by {restart}")]
