"""``repo-server rollout``: pause, resume, halt, expedite, withdraw, waves."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from repo_server import answers, steering, times, waves, wire
from repo_server.cli import options, session
from repo_server.cli.output import show
from repo_server.cli.session import WHO
from repo_server.cli.updates import which
from repo_server.db import Database

_Steer = Callable[[Database, str, str, datetime], answers.Update]


@click.group()
def rollout() -> None:
    """Steer how an update spreads. UPDATE is its id, or its version where only one update has it."""


def _command(name: str, steer: _Steer, sentence: str) -> None:
    @rollout.command(name, help=sentence)
    @click.argument("update")
    @options.where
    @options.as_json
    def steered(update: str, state_dir: Path | None, file: Path | None, as_json: bool) -> None:
        with session.state(state_dir, file) as state:
            _shown(steer(state.db, which(state.db, update), WHO, times.utc_now()), as_json)


_command("pause", steering.pause, "Devices that have not started wait.")
_command("resume", steering.resume, "Begin, or go on after a pause or a halt; after a halt only new failures count.")
_command("halt", steering.halt, "Stop because something is wrong with it.")
_command("withdraw", steering.withdraw, "Take it back for good: nobody who has not started gets it any more.")


@rollout.command()
@click.argument("update")
@click.option("--device", help="Only this device, by its id.")
@options.where
@options.as_json
def expedite(update: str, device: str | None, state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """Skip the waves, and let devices try once more on which it failed. Opens no window, and no pause or hold."""
    now = times.utc_now()
    with session.state(state_dir, file) as state:
        if device is None:
            _shown(steering.expedite(state.db, which(state.db, update), WHO, now), as_json)
            return
        one = steering.expedite_device(state.db, which(state.db, update), device, WHO, now)
        show(one.model_dump(mode="json", include={"device_id", "status", "expedited"}), as_json)


@rollout.command("waves")
@click.argument("update")
@click.argument("waves_", metavar="WAVES", required=False)
@click.option("--failure-percent", type=click.FloatRange(0, 100), help="Halt at this share of finished devices ...")
@click.option("--failure-minimum", type=click.IntRange(1), default=1, help="... and at least so many of them.")
@click.option("--failure-count", type=click.IntRange(1), help="Or halt at so many failures.")
@click.option("--no-failure-limit", is_flag=True, help="Never halt by itself.")
@options.where
@options.as_json
def waves_(
    *,
    update: str,
    waves_: str | None,
    failure_percent: float | None,
    failure_minimum: int,
    failure_count: int | None,
    no_failure_limit: bool,
    state_dir: Path | None,
    file: Path | None,
    as_json: bool,
) -> None:
    """Give an update other waves, such as canary:1d,5%:1d,25%:12h,100%; open ones stay as they are."""
    change: dict[str, Any] = {}
    if waves_ is not None:
        change["waves"] = _given(waves_)
    if no_failure_limit:
        change["failure_limit"] = None
    elif failure_percent is not None or failure_count is not None:
        limit = {"percent": failure_percent, "minimum": failure_minimum, "count": failure_count}
        change["failure_limit"] = limit
    if not change:
        raise click.UsageError("give WAVES, or one of the options for failures")
    with session.state(state_dir, file) as state:
        given = wire.UpdateChange.model_validate({"rollout": change})
        _shown(steering.change(state.db, which(state.db, update), given, WHO, times.utc_now()), as_json)


def _given(text: str) -> list[dict[str, Any]]:
    try:
        found = waves.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="WAVES") from None
    return [
        {
            "percent": one.percent,
            "group": one.group,
            "dwell_seconds": None if one.dwell is None else int(one.dwell.total_seconds()),
        }
        for one in found
    ]


def _shown(update: answers.Update, as_json: bool) -> None:
    show(update.model_dump(mode="json", include={"id", "name", "version", "channel", "state"}), as_json)
