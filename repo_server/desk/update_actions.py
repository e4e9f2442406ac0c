"""What can be done to an update: each asked first, with its consequences in numbers, and done by ``steering``."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flask import Blueprint, request
from pydantic import ValidationError

from repo_server import answers, durations, steering, waves, wire
from repo_server.auth import who
from repo_server.body import sentence
from repo_server.context import context
from repo_server.desk import page, update_view, update_words
from repo_server.desk.forms import typed
from repo_server.desk.page import Action, Done, doing
from repo_server.desk.update_view import Progress
from repo_server.desk.updates import tallies
from repo_server.errors import ConflictError, InvalidError
from repo_server.roles import Right
from repo_server.store.reading import snapshot
from repo_server.waves import Rollout, Wave

blueprint = Blueprint("desk_update_actions", __name__)
_SHOWN = 40
"""Characters of what somebody typed."""
_N = TypeVar("_N", int, float)


@dataclass(frozen=True, slots=True)
class _Asked:
    row: sqlite3.Row
    progress: Progress

    @property
    def name(self) -> str:
        return f"{self.row['name']} {self.row['version']} on {self.row['channel']}"

    @property
    def back(self) -> str:
        return _page(self.row["id"])


@blueprint.route("/updates/<uuid:update_id>/pause", methods=page.BOTH)
@page.action(Right.OPERATE)
def pause(update_id: uuid.UUID) -> Action:
    """Devices that have not begun wait."""
    asked = _asked(update_id)
    sentences = update_words.pause(asked.progress.standing, asked.progress.rollout)
    return Action(f"Pause {asked.name}", sentences, "Pause", asked.back, _do(asked, steering.pause, "is paused"))


@blueprint.route("/updates/<uuid:update_id>/resume", methods=page.BOTH)
@page.action(Right.OPERATE)
def resume(update_id: uuid.UUID) -> Action:
    """Begin, or go on."""
    asked = _asked(update_id)
    seen = asked.progress
    sentences = update_words.resume(seen.standing, seen.rollout, seen.state, seen.failures)
    begun = bool(seen.rollout.opening.opened)
    verb, done = ("Resume", "goes on") if begun else ("Begin", "has begun")
    return Action(f"{verb} {asked.name}", sentences, verb, asked.back, _do(asked, steering.resume, done))


@blueprint.route("/updates/<uuid:update_id>/halt", methods=page.BOTH)
@page.action(Right.OPERATE)
def halt(update_id: uuid.UUID) -> Action:
    """Stop because something is wrong."""
    asked = _asked(update_id)
    sentences = update_words.halt(asked.progress.standing, asked.progress.rollout)
    do = _do(asked, steering.halt, "is halted")
    return Action(f"Halt {asked.name}", sentences, "Halt", asked.back, do, danger=True)


@blueprint.route("/updates/<uuid:update_id>/expedite", methods=page.BOTH)
@page.action(Right.OPERATE)
def expedite(update_id: uuid.UUID) -> Action:
    """Waves no longer count."""
    asked = _asked(update_id)
    seen = asked.progress
    sentences = update_words.expedite(seen.standing, seen.rollout, seen.state)
    do = _do(asked, steering.expedite, "is expedited")
    return Action(f"Expedite {asked.name}", sentences, "Expedite", asked.back, do, danger=True)


@blueprint.route("/updates/<uuid:update_id>/withdraw", methods=page.BOTH)
@page.action(Right.WITHDRAW)
def withdraw(update_id: uuid.UUID) -> Action:
    """Take it back for good."""
    if page.may(Right.VIEW):
        asked = _asked(update_id)
        name, sentences = asked.name, update_words.withdraw(asked.progress.standing)
    else:
        row = steering.found(context().db.connection(), str(update_id))
        name = f"{row['name']} {row['version']} on {row['channel']}"
        sentences = update_words.withdraw_for_builders()
    back, here = _page(str(update_id)), context()
    do = doing(lambda: steering.withdraw(here.db, str(update_id), who(), here.clock()), f"{name} is withdrawn", back)
    return Action(f"Withdraw {name}", sentences, "Withdraw", back, do, danger=True)


@blueprint.route("/updates/<uuid:update_id>/rollout", methods=page.BOTH)
@page.action(Right.OPERATE)
def change(update_id: uuid.UUID) -> Action:
    """Other waves, another failure limit."""
    asked = _asked(update_id)
    rollout = asked.progress.rollout

    def change_it() -> None:
        here = context()
        steering.change(here.db, asked.row["id"], _given(rollout), who(), here.clock())

    opened, limit = rollout.waves[: len(rollout.opening.opened)], rollout.limit
    values = {
        "opened": len(opened),
        "open_waves": [update_words.whom(one) for one in opened],
        "dwell": durations.written(opened[-1].dwell) if opened and opened[-1].dwell is not None else None,
        "waves": update_view.written(rollout),
        "to_come": _to_come(rollout),
        "percent": f"{limit.percent:.15g}" if limit is not None and limit.percent is not None else "",
        "minimum": limit.minimum if limit is not None else 1,
        "count": limit.count if limit is not None else None,
        "unlimited": limit is None,
    }
    return Action(
        f"Change the rollout of {asked.name}",
        update_words.change(rollout),
        "Change",
        asked.back,
        doing(change_it, f"The rollout of {asked.name} is changed", asked.back),
        fields="desk/update_rollout.html",
        values=values,
    )


def _asked(update_id: uuid.UUID) -> _Asked:
    here = context()
    connection = here.db.connection()
    with snapshot(connection):
        row = steering.found(connection, str(update_id))
        return _Asked(row, update_view.progress(connection, row, tallies(), here.clock()))


def _do(asked: _Asked, steer: Callable[..., answers.Update], done: str) -> Callable[[], Done]:
    here = context()
    return doing(lambda: steer(here.db, asked.row["id"], who(), here.clock()), f"{asked.name} {done}", asked.back)


def _page(update_id: str) -> str:
    return f"/updates/{update_id}"


def _to_come(rollout: Rollout) -> bool:
    """Whether there are waves that can be changed."""
    return not rollout.expedited and len(rollout.opening.opened) < len(rollout.waves)


def _given(rollout: Rollout) -> wire.UpdateChange:
    """What the form asks for. Raises ``InvalidError``, and ``ConflictError`` where a wave has opened meanwhile."""
    try:
        return wire.UpdateChange(rollout=_change(rollout))
    except ValidationError as error:  # a ValueError too
        raise InvalidError(sentence(error)) from None
    except ValueError as error:
        raise InvalidError(str(error)) from None


def _change(rollout: Rollout) -> wire.RolloutChange:
    form, limit = request.form, _limit()
    if not _to_come(rollout):
        return wire.RolloutChange(failure_limit=limit)
    opened = rollout.waves[: len(rollout.opening.opened)]
    if form.get("opened") != str(len(opened)):
        raise ConflictError("a wave has opened since the form was shown; look at the waves that are to come once more")
    parts = [waves.written(opened[:-1])] if len(opened) > 1 else []
    if opened:
        parts.append(f"{waves.named(opened[-1])}:{typed('dwell')}")
    whole = waves.parse(",".join([*parts, form.get("waves", "")]))
    return wire.RolloutChange(waves=[_wave(one) for one in whole], failure_limit=limit)


def _wave(one: Wave) -> wire.WaveGiven:
    seconds = int(one.dwell.total_seconds()) if one.dwell is not None else None
    return wire.WaveGiven(percent=one.percent, group=one.group, dwell_seconds=seconds)


def _limit() -> wire.FailureLimitGiven | None:
    numbers = [typed(name) for name in ("percent", "count")]
    if "unlimited" in request.form:
        if any(numbers):
            raise InvalidError("clear the failure limit's numbers, or let it halt by itself: both cannot be meant")
        return None
    if not any(numbers):
        raise InvalidError("give a percentage or a number of devices, or say that it never halts by itself")
    return wire.FailureLimitGiven(
        percent=_number("percent", float), minimum=_number("minimum", int) or 1, count=_number("count", int)
    )


def _number(name: str, kind: Callable[[str], _N]) -> _N | None:
    """A field of the form; None where it was left empty. Raises ``InvalidError``."""
    given = typed(name)
    try:
        return kind(given) if given else None
    except ValueError:
        raise InvalidError(f"{name}: {given[:_SHOWN]!r} is not a{' whole' if kind is int else ''} number") from None
