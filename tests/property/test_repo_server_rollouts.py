"""Whatever operators, devices and the clock do, in whatever order: rules that hold for every rollout.

``make test`` plays a few stories, ``make rollout-campaign`` some hundreds, and longer ones.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from repo_server import steering, waves
from repo_server.app import create_app
from repo_server.config import Settings
from repo_server.context import KEY
from repo_server.lifecycle import FINAL, STARTED, Status
from repo_server.store import rollouts, updates
from repo_server.versions import compare
from tests.support.campaign import CAMPAIGN
from tests.support.fleet_bodies import announcement, heartbeat, status, statuses
from tests.unit.repo_server.conftest import Service

DEVICES = [f"0195e0c8-0000-7000-8000-{number:012d}" for number in range(1, 6)]
WORDS = sorted(set(Status) - {Status.GRANTED})
HAPPY = ("refreshed", "downloaded", "installing", "activating", "verifying", "succeeded")

devices = st.sampled_from(DEVICES)
some_waves = st.sampled_from(
    [
        [{"percent": 100}],
        [{"group": "canary", "dwell_seconds": 3600}, {"percent": 100}],
        [{"percent": 40, "dwell_seconds": 3600}, {"percent": 80, "dwell_seconds": 7200}, {"percent": 100}],
    ]
)
some_limits = st.sampled_from([None, {"count": 1}, {"count": 2}, {"percent": 50, "minimum": 2}])


class Rollouts(RuleBasedStateMachine):
    """A server, five devices, and everybody who can do something to them."""

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        made: list[Service] = []
        app = create_app(Settings(state_dir=Path(self.folder.name)), lambda: made[0].now)
        here = app.extensions[KEY]
        made.append(Service(app, here.db, here.settings))
        self.service = made[0]
        self.key = self.service.key("admin")
        for device in DEVICES:
            self.service.register(id=device, token=device)
        self.ask("PATCH", f"/api/v1/devices/{DEVICES[0]}", {"group": "canary"})
        self.updates: list[str] = []
        self.installed = dict.fromkeys(DEVICES, "1.0.0")
        self.sequence = dict.fromkeys(DEVICES, 0)
        self.before: dict[str, Any] = {}
        self.resumed: set[str] = set()
        self.expedited: set[tuple[str, str]] = set()

    def teardown(self) -> None:
        if hasattr(self, "service"):
            self.service.db.close()
            self.folder.cleanup()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.service.request(method, path, body, key=self.key)
        assert answer.status_code in {200, 201, 409}, answer.json
        return answer.json if answer.status_code != 409 else None

    @rule(rollout=st.fixed_dictionaries({"waves": some_waves, "failure_limit": some_limits, "paused": st.booleans()}))
    @precondition(lambda self: len(self.updates) < 4)
    def announce(self, rollout: Any) -> None:
        body = announcement(f"1.{len(self.updates) + 1}.0", rollout=rollout)
        self.updates.append(self.ask("POST", "/api/v1/updates/", body)["id"])

    @rule(device=devices)
    def beat(self, device: str) -> None:
        body = heartbeat(self.installed[device])
        answer = self.service.request("POST", f"/api/v1/devices/{device}/heartbeat", body, token=device).get_json()
        assert answer["offer"] is None or answer["withheld"] is None
        offer = answer["offer"]
        if offer is None:
            return
        assert compare(offer["version"], self.installed[device]) >= 0, "no device is ever sent backwards"
        progress = self.progress(offer["update_id"], device)
        if progress["status"] in STARTED:
            return
        update = self.show(offer["update_id"])
        assert update["state"] == "active"
        assert update["rollout"]["superseded_by"] is None
        row = updates.find(self.service.db.connection(), update["id"])
        assert row is not None
        inside = rollouts.of(row).reach.includes(update["id"], device, "canary" if device == DEVICES[0] else None)
        assert inside or offer["expedited"] or progress["expedited"] or update["rollout"]["expedited"]

    @rule(device=devices, word=st.sampled_from(WORDS), number=st.integers(0, 3), repeat=st.booleans())
    @precondition(lambda self: self.updates)
    def report(self, device: str, word: Status, number: int, *, repeat: bool) -> None:
        """Any word, also one that is no legal move, and the same batch again."""
        update = self.updates[number % len(self.updates)]
        self.send(device, update, word)
        if repeat:
            self.sequence[device] -= 1
            self.send(device, update, word)

    @rule(device=devices, last=st.integers(1, len(HAPPY)))
    @precondition(lambda self: self.updates)
    def go_the_whole_way(self, device: str, last: int) -> None:
        update = self.updates[-1]
        for word in HAPPY[:last]:
            self.send(device, update, word)
        if last == len(HAPPY):
            self.installed[device] = max(self.installed[device], self.version(update), key=lambda one: one.split("."))

    @rule(number=st.integers(0, 3), verb=st.sampled_from(["pause", "resume", "halt", "expedite", "withdraw"]))
    @precondition(lambda self: self.updates)
    def steer(self, number: int, verb: str) -> None:
        update = self.updates[number % len(self.updates)]
        self.ask("POST", f"/api/v1/updates/{update}/{verb}")
        if verb == "resume":
            self.resumed.add(update)
        if verb == "expedite":
            self.expedited |= {(update, device) for device in DEVICES}

    @rule(number=st.integers(0, 3), device=devices)
    @precondition(lambda self: self.updates)
    def expedite_device(self, number: int, device: str) -> None:
        update = self.updates[number % len(self.updates)]
        self.ask("POST", f"/api/v1/updates/{update}/devices/{device}/expedite")
        self.expedited.add((update, device))

    @rule(number=st.integers(0, 3), limit=some_limits, given=some_waves)
    @precondition(lambda self: self.updates)
    def change(self, number: int, limit: Any, given: Any) -> None:
        update = self.updates[number % len(self.updates)]
        self.ask("PATCH", f"/api/v1/updates/{update}", {"rollout": {"failure_limit": limit, "waves": given}})

    @rule(minutes=st.sampled_from([1, 30, 61, 200]))
    def time_passes(self, minutes: int) -> None:
        self.service.tick(minutes=minutes)
        steering.tick(self.service.db, self.service.settings, self.service.now, self.service.started)

    @invariant()
    def every_rule_holds(self) -> None:
        if not hasattr(self, "updates"):
            return
        shown = {update: self.show(update) for update in self.updates}
        fleet = {one["id"]: one for one in self.ask("GET", "/api/v1/fleet")["updates"]}
        for update, now in shown.items():
            self.adds_up(now["rollout"], fleet[update])
            self.below_its_limit_or_halted(update, now["state"])
            self.keeps_what_it_has(update, now)
        self.before = {
            update: (now, {device: self.progress(update, device) for device in DEVICES})
            for update, now in shown.items()
        }
        self.resumed.clear()
        self.expedited.clear()

    def adds_up(self, rollout: Any, counted: Any) -> None:
        for wave in rollout["waves"]:
            assert sum(wave["statuses"].values()) == wave["size"]
        assert sum(wave["size"] for wave in rollout["waves"]) == rollout["devices"] == len(DEVICES)
        assert sum(rollout["statuses"].values()) == len(DEVICES)
        recorded = {name: count for name, count in rollout["statuses"].items() if name not in {"waiting", "newer"}}
        assert recorded == counted["statuses"]
        assert sum(rollout["stuck"].values()) == counted["stuck"]
        assert counted["stuck"] <= sum(recorded.get(status, 0) for status in STARTED)
        assert rollout["failures"] <= rollout["finished"] <= len(DEVICES)

    def below_its_limit_or_halted(self, update: str, state: str) -> None:
        connection = self.service.db.connection()
        row = updates.find(connection, update)
        assert row is not None
        over = waves.verdict(rollouts.of(row), rollouts.outcomes(connection, update))
        assert over is None or state != "active", over

    def keeps_what_it_has(self, update: str, now: Any) -> None:
        if update not in self.before:
            return
        before, progress = self.before[update]
        if before["state"] == "halted" and update not in self.resumed:
            assert now["state"] in {"halted", "withdrawn"}, "only a person ends a halt"
        if before["state"] == "withdrawn":
            assert now["state"] == "withdrawn"
        opened = [wave["opened_at"] for wave in before["rollout"]["waves"] if wave["opened_at"] is not None]
        assert [wave["opened_at"] for wave in now["rollout"]["waves"]][: len(opened)] == opened
        for device, was in progress.items():
            self.goes_on_legally(update, device, was)

    def goes_on_legally(self, update: str, device: str, was: Any) -> None:
        if was is None:
            return
        now = self.progress(update, device)
        assert now["sequence"] >= was["sequence"]
        if now["status"] == was["status"] or (update, device) in self.expedited:
            return
        assert now["sequence"] > was["sequence"], "only a newer report moves a device"
        assert was["status"] not in FINAL or was["status"] == Status.SUCCEEDED, "a finished update is never reopened"

    def send(self, device: str, update: str, word: str) -> None:
        self.sequence[device] += 1
        body = statuses(status(self.sequence[device], word, self.version(update)))
        path = f"/api/v1/devices/{device}/updates/{update}/status"
        answer = self.service.request("POST", path, body, token=device)
        assert answer.get_json() == {"acknowledged": self.sequence[device]}

    def version(self, update: str) -> str:
        return f"1.{self.updates.index(update) + 1}.0"

    def show(self, update: str) -> Any:
        return self.ask("GET", f"/api/v1/updates/{update}")

    def progress(self, update: str, device: str) -> Any:
        items = self.ask("GET", f"/api/v1/updates/{update}/devices")["items"]
        return next((item for item in items if item["device_id"] == device), None)


def cases(classes: int, stories: int, steps: int) -> Iterator[tuple[str, type]]:
    """Test cases of the same rules, so that processes can share them; each has stories of its own."""
    for number in range(1, classes + 1):
        machine: Any = type(f"Rollouts{number}", (Rollouts,), {})
        case = machine.TestCase
        case.settings = settings(
            max_examples=stories, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck),
            print_blob=True,
        )  # fmt: skip
        yield f"TestRollouts{number}", case


globals().update(cases(classes=8, stories=40, steps=60) if CAMPAIGN else cases(classes=1, stories=12, steps=25))
