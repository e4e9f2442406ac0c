"""A fleet goes through a bad release and the one that mends it, against a real server, over HTTP alone.

Time is told: the server's clock stands in a file, and each round is one heartbeat of every device, half an hour apart.
In a round first all heartbeats are sent and then all statuses, so that the story does not depend on which of the
requests at the same time is served first. After each half the fleet's numbers are sampled and have to add up.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from repo_server import development_clock, times
from tests.fleet.devices import BAD, GOOD, Device, Fate, fleet
from tests.fleet.wire import Wire
from tests.support.fleet_bodies import announcement
from tests.support.server import RunningServer, running_server

ROUND = timedelta(minutes=30)
_DWELL = 8 * 3600
_START = datetime(2026, 3, 10, tzinfo=UTC)
_MOST_ROUNDS = 60
_BEGUN = {"installing", "succeeded", "rolled_back", "failed"}
_TICKS_PER_SECOND = 20
_CANARIES = 100
"""Every so many devices one is a canary of the mended release."""


class RehearsalError(AssertionError):
    """The fleet did not do what it has to, or the server's numbers do not add up."""


@dataclass(frozen=True)
class Plan:
    """What is rehearsed."""

    devices: int
    bad_percent: float
    first_percent: float
    """Of the bad release's first wave."""
    limit: dict[str, Any]
    seed: int = 1
    threads: int = 8


@dataclass
class Outcome:
    """What was seen."""

    bad: int = 0
    halt_reason: str = ""
    failures_at_halt: int = 0
    finished_at_halt: int = 0
    granted_bad: int = 0
    """Devices that were ever given the bad release."""
    began_bad: int = 0
    """Of these, those that had begun to install it before the halt stopped them."""
    first_wave: int = 0
    second_wave_opened: int = 0
    rounds: int = 0
    samples: int = 0
    requests: int = 0
    seconds: float = 0.0
    succeeded: int = 0
    dead: int = 0
    plan_matched: int = 0
    """Devices whose wave was what the plan had said before the rollout began."""


@dataclass
class Clock:
    """The server's, in a file; it only goes on when somebody says so."""

    file: Path
    now: datetime = _START

    def set(self, now: datetime) -> None:
        """Replace it at once and whole."""
        self.now = now
        beside = self.file.with_suffix(".new")
        beside.write_text(times.render(now), encoding="ascii")
        beside.replace(self.file)


@dataclass
class Rehearsal:
    """The whole story."""

    plan: Plan
    server: RunningServer
    clock: Clock
    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self.wire = Wire(self.server.port, self.plan.threads)
        self.admin = self.server.secrets["admin_key"]
        self.devices = fleet(self.plan.devices, self.plan.bad_percent, self.plan.seed)
        self.outcome.bad = sum(device.fate is not Fate.WELL for device in self.devices)
        self.outcome.dead = sum(device.fate is Fate.DIES for device in self.devices)
        self.updates: dict[str, str] = {}
        self.offered: dict[str, set[str]] = {BAD: set(), GOOD: set()}

    def run(self) -> Outcome:
        """From the first registration to the last device. Raises ``RehearsalError``."""
        began = time.monotonic()
        try:
            self._register()
            self._bad_release()
            self._mended_release()
        finally:
            self.outcome.requests = self.wire.count
            self.outcome.seconds = time.monotonic() - began
            self.wire.close()
        return self.outcome

    def _register(self) -> None:
        enrollment = self.server.secrets["enrollment_token"]
        self.wire.each(
            self.devices,
            lambda one: self.wire.ask("POST", "/api/v1/devices/", one.registration(), token=enrollment),
        )
        for device in self.devices[::_CANARIES]:
            self.wire.ask("PATCH", f"/api/v1/devices/{device.id}", {"group": "canary"}, key=self.admin)
        self._round()

    def _bad_release(self) -> None:
        """It is planned, begins with one wave, and halts before the second."""
        waves = [{"percent": self.plan.first_percent, "dwell_seconds": _DWELL}, {"percent": 100}]
        update = self._announce(BAD, {"paused": True, "waves": waves, "failure_limit": self.plan.limit})
        planned = self._planned(update)
        first = {device for device, wave in planned.items() if wave == 1}
        self.outcome.first_wave = len(first)
        self._post(update, "resume")
        for _ in range(_MOST_ROUNDS):
            self._round()
            shown = self._show(BAD)["rollout"]
            if shown["state"] == "halted":
                break
        else:
            raise RehearsalError(f"the bad release was not halted: {shown}")
        self.outcome.halt_reason = shown["halt_reason"]
        self.outcome.failures_at_halt, self.outcome.finished_at_halt = shown["failures"], shown["finished"]
        self.outcome.second_wave_opened = int(shown["waves"][1]["opened_at"] is not None)
        granted = set(self.offered[BAD])
        _must(granted <= first, "devices outside the first wave were given the bad release")
        # More devices turn out to be dead, and then the second wave would be due.
        for _ in range(_MOST_ROUNDS):
            self._round()
            shown = self._show(BAD)["rollout"]
            if shown["stuck"] == {"silent": self._dead(), "no_progress": 0}:
                break
        self._round(timedelta(seconds=_DWELL))
        shown = self._show(BAD)["rollout"]
        _must(shown["state"] == "halted", "the halt did not stay")
        _must(shown["waves"][1]["opened_at"] is None, "the second wave opened after the halt")
        _must(self.offered[BAD] == granted, "devices were given the bad release after the halt")
        _must(shown["stuck"]["silent"] == self._dead(), f"not every dead device is seen as silent: {shown['stuck']}")
        self.outcome.granted_bad = len(granted)
        self.outcome.began_bad = sum(device.reached.get(BAD) in _BEGUN for device in self.devices)
        self.outcome.dead = self._dead()
        self.outcome.plan_matched = sum(planned[device.id] == 1 for device in self.devices if device.id in granted)

    def _mended_release(self) -> None:
        """It supersedes the bad one, and reaches every device that is alive, wave by wave."""
        waves = [{"group": "canary", "dwell_seconds": 3600}, {"percent": 20, "dwell_seconds": 3600}, {"percent": 100}]
        update = self._announce(GOOD, {"waves": waves, "failure_limit": self.plan.limit})
        _must(self._show(BAD)["rollout"]["superseded_by"] == update, "the mended release supersedes the bad one")
        planned = self._planned(update)
        for _ in range(_MOST_ROUNDS):
            before = set(self.offered[GOOD])
            opened = sum(wave["opened_at"] is not None for wave in self._show(GOOD)["rollout"]["waves"])
            self._round()
            new = self.offered[GOOD] - before
            after = sum(wave["opened_at"] is not None for wave in self._show(GOOD)["rollout"]["waves"])
            _must(all(planned[one] <= after for one in new), "a device was given the release before its wave")
            _must(opened <= after, "a wave closed again")
            if all(device.active == GOOD for device in self.devices if device.alive):
                break
        else:
            raise RehearsalError("the mended release did not reach every device")
        self._round()  # in which they say so
        self.outcome.succeeded = self._fleet()["versions"][GOOD]
        _must(self.outcome.succeeded == len(self.devices) - self._dead(), "not every living device says it has it")

    def _round(self, length: timedelta = ROUND) -> None:
        """One heartbeat of every living device, and what it does until the next."""
        self.clock.set(self.clock.now + length)
        self._wait_for_the_tick()
        at = times.render(self.clock.now)
        alive = [device for device in self.devices if device.alive]
        for device, is_new in zip(alive, self.wire.each(alive, lambda one: self._beat(one, at)), strict=True):
            if is_new and device.offer is not None:
                self.offered[device.offer["version"]].add(device.id)
        self._sample()
        at_work = [(device, device.offer["update_id"]) for device in alive if device.offer is not None]
        said = [(device, update, device.next_statuses(at)) for device, update in at_work]
        self.wire.each([one for one in said if one[2]], self._report)
        self._sample()
        self.outcome.rounds += 1

    def _beat(self, device: Device, at: str) -> bool:
        path = f"/api/v1/devices/{device.id}/heartbeat"
        answer = self.wire.ask("POST", path, device.heartbeat(at), token=device.token)
        return device.hear(answer)

    def _report(self, said: tuple[Device, str, list[dict[str, Any]]]) -> None:
        device, update, statuses = said
        path = f"/api/v1/devices/{device.id}/updates/{update}/status"
        answer = self.wire.ask("POST", path, {"statuses": statuses}, token=device.token)
        _must(answer["acknowledged"] == statuses[-1]["sequence"], "a batch was not acknowledged whole")

    def _wait_for_the_tick(self) -> None:
        """Until the server has looked at the new time: no wave is due any more, and no silence unseen."""
        deadline = time.monotonic() + 60
        for version in self.updates:
            while time.monotonic() < deadline:
                due = self._show(version)["rollout"]["next_wave_at"]
                if due is None or due > times.render(self.clock.now):
                    break
                time.sleep(0.5 / _TICKS_PER_SECOND)
            else:
                raise RehearsalError("the server did not look at its clock")

    def _sample(self) -> None:
        """The numbers, from one moment in which nothing else happens: they have to add up, and to be the truth."""
        self.outcome.samples += 1
        numbers, shown = self._settled()
        total = numbers["devices"]["total"]
        _must(total == len(self.devices), f"{total} devices")
        presence = numbers["devices"]
        _must(presence["online"] + presence["offline"] == total, f"presence does not add up: {presence}")
        _must(presence["late"] + presence["lost"] == presence["offline"], f"presence does not add up: {presence}")
        told = dict(Counter(device.told for device in self.devices))
        _must(numbers["versions"] == told, f"versions: the devices said {told}, the server has {numbers['versions']}")
        for counted in numbers["updates"]:
            self._sample_update(counted, shown[counted["version"]])

    def _settled(self) -> tuple[Any, dict[str, Any]]:
        """The fleet and every update, with no tick of the server in between."""
        before: dict[str, Any] = {}
        while True:
            numbers = self._fleet()
            shown = {version: self._show(version)["rollout"] for version in self.updates}
            if shown == before:
                return numbers, shown
            before = shown

    def _sample_update(self, counted: dict[str, Any], shown: dict[str, Any]) -> None:
        version, waves = counted["version"], shown["waves"]
        for wave in waves:
            _must(sum(wave["statuses"].values()) == wave["size"], f"wave {wave['number']} does not add up: {wave}")
        _must(sum(wave["size"] for wave in waves) == shown["devices"] == len(self.devices), "waves do not add up")
        summed: Counter[str] = Counter()
        for wave in waves:
            summed.update(wave["statuses"])
        _must(dict(summed) == shown["statuses"], "the statuses of the waves do not add up")
        _must(shown["elsewhere"] == {}, "nobody has left the channel")
        recorded = {name: count for name, count in shown["statuses"].items() if name not in {"waiting", "newer"}}
        _must(
            recorded == counted["statuses"], f"{counted['statuses']} in the fleet's numbers, {recorded} in the update's"
        )
        _must(sum(shown["stuck"].values()) == counted["stuck"], "stuck devices are counted differently")
        told = Counter(device.reached[version] for device in self.devices if version in device.reached)
        told["granted"] += len(self.offered[version]) - told.total()
        _must({k: v for k, v in told.items() if v} == recorded, f"the devices said {told}, the server has {recorded}")

    def _dead(self) -> int:
        return sum(not device.alive for device in self.devices)

    def _announce(self, version: str, rollout: dict[str, Any]) -> str:
        body = announcement(version, urgency="urgent", rollout=rollout)
        update = str(self.wire.ask("POST", "/api/v1/updates/", body, key=self.admin)["id"])
        self.updates[version] = update
        return update

    def _planned(self, update: str) -> dict[str, int]:
        """By device, its wave, from every page of the plan."""
        found: dict[str, int] = {}
        cursor = ""
        while True:
            page = self.wire.ask("GET", f"/api/v1/updates/{update}/plan?limit=1000{cursor}", key=self.admin)
            found |= {item["device_id"]: item["wave"] for item in page["items"]}
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        sizes = Counter(found.values())
        _must(len(found) == len(self.devices), "the plan does not name every device")
        for wave in page["waves"]:
            _must(wave["devices"] == sizes[wave["number"]], "the plan's waves do not add up")
        return found

    def _show(self, version: str) -> Any:
        return self.wire.ask("GET", f"/api/v1/updates/{self.updates[version]}", key=self.admin)

    def _fleet(self) -> Any:
        return self.wire.ask("GET", "/api/v1/fleet", key=self.admin)

    def _post(self, update: str, verb: str) -> None:
        self.wire.ask("POST", f"/api/v1/updates/{update}/{verb}", key=self.admin)


def rehearse(plan: Plan, folder: Path) -> Outcome:
    """Start a server with its state in ``folder``, and go through the story. Raises ``RehearsalError``."""
    clock = Clock(folder / "clock")
    clock.set(_START)
    environ = {
        development_clock.VARIABLE: str(clock.file),
        "REPO_SERVER_TICK_SECONDS": str(1 / _TICKS_PER_SECOND),
    }
    seconds = int(ROUND.total_seconds())
    with running_server(folder, heartbeat_seconds=seconds, environ=environ) as server:
        return Rehearsal(plan, server, clock).run()


def _must(holds: bool, otherwise: str) -> None:
    if not holds:
        raise RehearsalError(otherwise)
