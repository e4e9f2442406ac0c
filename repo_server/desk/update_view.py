"""An update as its page shows it, put together from what the store knows of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from repo_server import comparison, plan, standing, times, waves
from repo_server.comparison import Difference, Package
from repo_server.desk import bars, outlook, update_words
from repo_server.desk.bars import Segment
from repo_server.grant import UpdateState, Urgency
from repo_server.lifecycle import Stuck
from repo_server.standing import Standing
from repo_server.store import rollouts, spread, update_pages
from repo_server.tallies import Tallies
from repo_server.waves import Rollout


@dataclass(frozen=True, slots=True)
class WaveView:
    """A row of the table of waves."""

    number: int
    whom: str
    dwell: timedelta | None
    opened_at: datetime | None
    opens_at: datetime | None
    """If nothing stops it; of a stopped update as if it were resumed now."""
    standing: Standing | None
    """None while it is counted for the first time."""
    bar: Sequence[Segment]


@dataclass(frozen=True, slots=True)
class Progress:
    """How an update goes."""

    state: UpdateState
    rollout: Rollout
    standing: Standing
    bar: Sequence[Segment]
    counted_at: datetime | None
    """When ``standing`` and the waves were counted; None: only what devices have told is known."""
    waves: Sequence[WaveView]
    elsewhere: int
    """Devices with a status in it that are not on the channel any more."""
    failures: int
    finished: int
    nearness: str
    stuck: str | None
    halt_reason: str | None
    superseded_by: sqlite3.Row | None
    next: Sequence[outlook.Sentence]


@dataclass(frozen=True, slots=True)
class Changes:
    """What a release brings."""

    before: sqlite3.Row | None
    """The release on the channel that comes before it; None where it is the first."""
    targets: Sequence[Difference]
    packages: Sequence[Package]


def segments(counted: Standing) -> list[Segment]:
    """The bar of an update, or of a wave."""
    return bars.bar((part, words.text, counted[part]) for part, words in update_words.PARTS.items())


def progress(connection: sqlite3.Connection, row: sqlite3.Row, tallies: Tallies, now: datetime) -> Progress:
    """How it goes, as of now; the devices of a large channel as they were counted last."""
    rollout, state, tally = rollouts.of(row), UpdateState(row["state"]), tallies.of(row)
    by_kind = {kind: rollouts.stuck_counts(connection, kind).get(row["id"], 0) for kind in Stuck}
    outcomes = rollouts.outcomes(connection, row["id"])
    failures = max(outcomes.failures - rollout.accepted.failures, 0)
    finished = max(outcomes.finished - rollout.accepted.finished, 0)
    elsewhere, by_wave = 0, None
    if tally is None:
        whole = update_pages.recorded(connection, row, sum(by_kind.values()))
    else:
        told = spread.of_waves(connection, row, tally.by_wave)
        whole = standing.of(told.statuses, sum(by_kind.values()))
        by_wave = [standing.of(counted) for counted in tally.by_wave]
        elsewhere = sum(told.elsewhere.values())
    newer = update_pages.newer(connection, [row])[row["id"]]
    situation = outlook.Situation(
        state=state,
        urgency=Urgency(row["urgency"]),
        rollout=rollout,
        standing=whole,
        failures=failures,
        finished=finished,
        halt_reason=row["halt_reason"],
        stopped_at=times.parse_known(row["stopped_at"]),
        superseded_by=newer["version"] if newer is not None else None,
        sizes=[one.total for one in by_wave] if by_wave is not None else None,
    )
    return Progress(
        state=state,
        rollout=rollout,
        standing=whole,
        bar=segments(whole),
        counted_at=tally.at if tally is not None else None,
        waves=_waves(rollout, plan.openings(spread.planned_update(connection, row), now), by_wave),
        elsewhere=elsewhere,
        failures=failures,
        finished=finished,
        nearness=update_words.nearness(rollout.limit, failures, finished),
        stuck=update_words.stuck(by_kind),
        halt_reason=row["halt_reason"],
        superseded_by=newer,
        next=outlook.sentences(situation),
    )


def changes(connection: sqlite3.Connection, row: sqlite3.Row) -> Changes:
    """What it brings to a device that has the release before."""
    before = update_pages.previous(connection, row)
    old: list[Package] = json.loads(before["packages"]) if before is not None else []
    new: list[Package] = json.loads(row["packages"])
    return Changes(
        before,
        [comparison.difference(row["name"], target, old, new) for target in comparison.targets(new)],
        sorted(new, key=lambda one: (one["package"], one["debian"], one["architecture"])),
    )


def _waves(rollout: Rollout, opening: Sequence[datetime | None], by_wave: Sequence[Standing] | None) -> list[WaveView]:
    opened = rollout.opening.opened
    found = []
    for index, (wave, opens_at) in enumerate(zip(rollout.waves, opening, strict=True)):
        counted = by_wave[index] if by_wave is not None else None
        found.append(
            WaveView(
                number=index + 1,
                whom=update_words.whom(wave),
                dwell=wave.dwell,
                opened_at=opened[index] if index < len(opened) else None,
                opens_at=opens_at if not rollout.expedited else None,
                standing=counted,
                bar=segments(counted) if counted is not None else (),
            )
        )
    return found


def written(rollout: Rollout) -> str:
    """The waves that are not open yet, as ``waves.parse`` reads them."""
    return waves.written(rollout.waves[len(rollout.opening.opened) :])
