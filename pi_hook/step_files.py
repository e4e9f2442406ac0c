"""A step's request and result as JSON files: how daemon and step speak with each other, whichever restarts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pi_hook.files import write_atomic
from pi_hook.names import checked_name, checked_version
from pi_hook.ports import Problem, Request, Step, StepRequest, StepResult, SystemRequest

if TYPE_CHECKING:
    from pathlib import Path

    from pi_hook.files import Root

FOLDER = "/var/lib/pi-hook/steps"
_SCHEMA = 1
_URGENCIES = ("scheduled", "urgent")
SYSTEM_PACKAGES = ("none", "security", "all")


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request with the id that its result must carry: an older run's result is recognised by it."""

    id: str
    request: Request


def request_path(root: Root, step: Step) -> Path:
    """The file the daemon writes."""
    return root.at(f"{FOLDER}/{step}.request.json")


def result_path(root: Root, step: Step) -> Path:
    """The file the step's unit writes."""
    return root.at(f"{FOLDER}/{step}.result.json")


def write_request(root: Root, step: Step, ticket: Ticket) -> None:
    """Write the request durably."""
    request = ticket.request
    content = {"schema": _SCHEMA, "id": ticket.id, "name": request.name}
    if isinstance(request, SystemRequest):
        content |= {"packages": request.packages, "begun": request.begun.isoformat()}
    else:
        content |= {"version": request.version, "urgency": request.urgency}
    write_atomic(request_path(root, step), json.dumps(content, indent=1) + "\n", 0o600)


def read_request(root: Root, step: Step) -> Ticket:
    """Read and check the request. Raises ``ValueError`` with a sentence where there is none or it is damaged."""
    path = request_path(root, step)
    content = _read(path)
    try:
        request = _system_request(content) if step in {Step.LISTS, Step.SYSTEM} else _step_request(content)
        return Ticket(str(content["id"]), request)
    except KeyError as error:
        raise ValueError(f"{path} lacks {error}; the daemon writes it anew with its next try") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _step_request(content: dict[str, Any]) -> StepRequest:
    name, version, urgency = (str(content[key]) for key in ("name", "version", "urgency"))
    if urgency not in _URGENCIES:
        raise ValueError(f"{urgency!r} is not an urgency")
    return StepRequest(checked_name(name), checked_version(version), urgency)


def _system_request(content: dict[str, Any]) -> SystemRequest:
    name, packages, begun = (str(content[key]) for key in ("name", "packages", "begun"))
    if packages not in SYSTEM_PACKAGES:
        raise ValueError(f"{packages!r} is none of {', '.join(SYSTEM_PACKAGES)}")
    return SystemRequest(checked_name(name), packages, datetime.fromisoformat(begun))


def write_result(root: Root, ticket_id: str, result: StepResult) -> None:
    """Write the result durably."""
    content = {
        "schema": _SCHEMA,
        "id": ticket_id,
        "version": result.version,
        "problem": result.problem,
        "message": result.message,
        "urgency": result.urgency,
        "bytes_fetched": result.bytes_fetched,
        "not_before": result.not_before.isoformat() if result.not_before else None,
        "changed": list(result.changed),
    }
    write_atomic(result_path(root, result.step), json.dumps(content, indent=1) + "\n", 0o600)


def answered(root: Root, step: Step, ticket: Ticket) -> bool:
    """Whether this ticket has its result already: a ticket is good for one run."""
    try:
        return read_result(root, step, ticket) is not None
    except ValueError:
        return False


def read_result(root: Root, step: Step, ticket: Ticket) -> StepResult:
    """Read the result of exactly this ticket. Raises ``ValueError`` where it left none, or one that cannot be read."""
    path = result_path(root, step)
    content = _read(path)
    if content.get("id") != ticket.id:
        raise ValueError(f"{path} is of another run")
    try:
        problem, not_before = content["problem"], content["not_before"]
        return StepResult(
            step=step,
            version=str(content["version"]),
            problem=None if problem is None else Problem(problem),
            message=str(content["message"]),
            urgency=content["urgency"],
            bytes_fetched=int(content["bytes_fetched"]),
            not_before=None if not_before is None else datetime.fromisoformat(not_before),
            # A step that was begun by an older agent, which knew no such field, may be joined by a newer one.
            changed=tuple(str(words) for words in content.get("changed", ())),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict) or content.get("schema") != _SCHEMA:
        raise ValueError(f"{path} is not of schema {_SCHEMA}")
    return content
