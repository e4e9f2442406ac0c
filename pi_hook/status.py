"""What ``pi-hook status`` shows: one plain object from the daemon's knowledge, and the same in words for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pi_hook.reasons import gate_words, rfc3339
from pi_hook.wire import parse_time

if TYPE_CHECKING:
    from pi_hook.activity import Source
    from pi_hook.policy import Decision
    from pi_hook.state import Memory


def memory_status(memory: Memory) -> dict[str, Any]:
    """The part that the state file alone tells (also without a daemon)."""
    update, device = memory.device.update, memory.device
    return {
        "registered": memory.registered,
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
        },
        "last_good": device.last_good,
        "bad_versions": [bad.version for bad in device.bad],
        "history": [
            {"version": past.version, "outcome": str(past.outcome), "at": rfc3339(past.at), "detail": past.detail}
            for past in reversed(device.history)
        ],
    }


def gate_status(decision: Decision) -> dict[str, Any]:
    """The gate's answer, as in a heartbeat, and in words."""
    return {
        "decision": str(decision.decision),
        "reason": decision.reason and str(decision.reason),
        "retry_at": decision.retry_at and rfc3339(decision.retry_at),
        "words": gate_words(str(decision.decision), decision.reason, decision.retry_at),
    }


def source_status(sources: tuple[Source, ...]) -> list[dict[str, Any]]:
    """Where activity is seen, and what is wrong with it."""
    return [{"name": source.name, "problem": source.problem} for source in sources]


def in_words(status: dict[str, Any]) -> str:
    """A status for people, a line for each thing; what is not known is left out."""
    lines = []
    if status.get("note"):
        lines.append(f"note        {status['note']}")
    if "assistant" in status:
        assistant = status["assistant"]
        lines.append(
            f"assistant   {assistant['name']}: installed {assistant['installed'] or 'nothing'}, "
            f"active {assistant['active'] or 'nothing'}, running {assistant['running'] or 'nothing'}"
        )
    if status.get("update"):
        update = status["update"]
        lines.append(f"update      {update['version']} ({update['urgency']}): {update['phase']}")
    if "gate" in status:
        lines.append(f"gate        {status['gate']['words']}")
    if status.get("hold"):
        lines.append(f"held        {status['hold']}")
    if status.get("withheld"):
        lines.append(f"withheld    {status['withheld']}")
    if "idle_seconds" in status:
        idle = status["idle_seconds"]
        lines.append(f"idle        {'unknown' if idle is None else f'{idle} s'}")
    lines.extend(f"busy        {busy['why'] or 'no reason given'}" for busy in status.get("busy", []))
    lines.extend(f"source      {source['name']}: {source['problem'] or 'ok'}" for source in status.get("sources", []))
    lines.extend(_server_lines(status))
    lines.extend(
        f"past        {past['version']} {past['outcome']} at {_short(past['at'])}"
        + (f": {past['detail']}" if past["detail"] else "")
        for past in status.get("history", [])[:3]
    )
    return "\n".join(lines)


def _server_lines(status: dict[str, Any]) -> list[str]:
    if status.get("stopped"):
        return [f"server      refuses this device ({status['stopped']})"]
    server = status.get("server")
    if server is None:
        return []
    contact = server["seconds_since_contact"]
    words = "never answered" if contact is None else f"answered {contact} s ago"
    waiting = f", {server['unsent']} statuses wait" if server["unsent"] else ""
    problem = f"; {server['problem']}" if server["problem"] else ""
    return [f"server      {server['url']} {words}{waiting}{problem}"]


def _short(at: str) -> str:
    return rfc3339(parse_time(at, "at").replace(microsecond=0))
