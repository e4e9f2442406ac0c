"""A token is exchanged at the real application: answers are lost, and power is cut between every two steps."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import pytest

import pi_hook.identity
from pi_hook.commands import Commands
from pi_hook.errors import OverrideError
from tests.integration.pi_hook_daemon.enrolling import approve, enrolls, repository, shown
from tests.integration.pi_hook_daemon.story import Device
from tests.support import pi_hook_fakes
from tests.support.in_process import Line
from tests.unit.repo_server.conftest import Service


class CutError(Exception):
    """Power is gone."""


@pytest.fixture
def registered(device: Device, service: Service, line: Line) -> Device:
    enrolls(device, service, line)
    device.start()
    device.until(lambda: device.enrolled == 1)
    device.run_for(600)
    line.asked.clear()
    return device


def ask(service: Service) -> None:
    path = f"/api/v1/devices/{shown(service)['id']}/rotate-token"
    assert service.request("POST", path, key=service.key("operator")).status_code == 200


def on_disk(device: Device) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((device.folder / "state" / "identity.json").read_text())
    return found


def known(service: Service) -> tuple[str, str | None]:
    """The hashes that the server knows: of the token, and of the next one."""
    row = service.db.connection().execute("SELECT token_sha256, next_token_sha256 FROM devices").fetchone()
    return row[0], row[1]


def sha256(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def rotated(device: Device, service: Service, before: str) -> bool:
    """Whether device, apt and server go by one and the same new token."""
    disk, apt = on_disk(device), device.world.apt
    assert apt is not None
    new = disk["token"]
    return new != before and apt.device_token == new and known(service) == (sha256(new), None)


def not_locked_out(device: Device, service: Service) -> None:
    """The server knows the token in use on the disk, and the one that apt has."""
    assert device.world.apt is not None
    good = set(known(service))
    assert sha256(on_disk(device)["token"]) in good
    assert sha256(device.world.apt.device_token) in good


def test_the_operator_asks_and_the_device_has_a_new_token(registered: Device, service: Service, line: Line) -> None:
    before = on_disk(registered)["token"]
    ask(service)
    registered.until(lambda: rotated(registered, service, before), hours=1)
    assert on_disk(registered)["previous_token"] == before
    assert "next_token" not in on_disk(registered)
    assert (registered.folder / "state" / "identity.json").stat().st_mode & 0o777 == 0o600
    assert repository(registered, service) == 404
    registered.run_for(1800)
    assert {status for _, status in line.asked} == {200}
    assert [path for path, _ in line.asked if path.endswith("/token")] == [line.asked[1][0]]


@dataclass
class Steps:
    """Counts what is done in the exchange, and cuts the power at one of them."""

    cut_at: int
    count: int = 0

    def step(self, *_: object) -> None:
        self.count += 1
        if self.count == self.cut_at:
            raise CutError


def watched(monkeypatch: pytest.MonkeyPatch, line: Line, steps: Steps) -> None:
    """A step before and after each write of the identity, each request, and each writing of apt's credentials."""
    write, write_apt = pi_hook.identity.write, pi_hook_fakes._Apt.write

    def identity(*arguments: Any) -> None:
        steps.step()
        write(*arguments)
        steps.step()

    def apt(*arguments: Any) -> bool:
        steps.step()
        changed = write_apt(*arguments)
        steps.step()
        return changed

    monkeypatch.setattr("pi_hook.rotation.write", identity)
    monkeypatch.setattr(pi_hook_fakes._Apt, "write", apt)
    line.before = line.after = steps.step


# Heartbeat, identity, token, identity, apt, heartbeat: each with a step before and after it.
STEPS = 12


@pytest.mark.parametrize("cut_at", range(1, STEPS + 1))
def test_power_is_cut_between_every_two_steps(
    registered: Device, service: Service, line: Line, monkeypatch: pytest.MonkeyPatch, cut_at: int
) -> None:
    before = on_disk(registered)["token"]
    ask(service)
    with monkeypatch.context() as patched:
        watched(patched, line, Steps(cut_at))
        with pytest.raises(CutError):
            registered.run_for(3600)
        not_locked_out(registered, service)
        line.before = line.after = lambda path: None
    registered.power_cut()
    line.asked.clear()
    registered.start()
    not_locked_out(registered, service)
    registered.until(lambda: rotated(registered, service, before), hours=1)
    registered.run_for(1800)
    not_locked_out(registered, service)
    assert {status for _, status in line.asked} == {200}
    assert registered.status()["stopped"] is None


def test_the_cuts_above_are_all_that_there_are(
    registered: Device, service: Service, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, steps = on_disk(registered)["token"], Steps(cut_at=0)
    watched(monkeypatch, line, steps)
    ask(service)
    registered.until(lambda: rotated(registered, service, before), hours=1)
    assert steps.count == STEPS


@pytest.mark.parametrize("lost", ["/heartbeat", "/token"])
def test_a_lost_answer_costs_nothing(registered: Device, service: Service, line: Line, lost: str) -> None:
    before = on_disk(registered)["token"]
    ask(service)
    line.lose_answer_to(lost)
    registered.until(lambda: rotated(registered, service, before), hours=1)
    registered.run_for(1800)
    assert line.loses_answer_to is None
    assert {status for _, status in line.asked} == {200}


def test_somebody_at_the_device_asks_for_it(registered: Device, service: Service) -> None:
    before = on_disk(registered)["token"]
    assert registered.daemon is not None
    commands: Commands = registered.daemon._control._handler  # type: ignore[assignment]  # the real one
    with pytest.raises(OverrideError, match="only root"):
        commands.handle(1, {"command": "rotate_token"}, root=False)
    commands.handle(1, {"command": "rotate_token"}, root=True)
    registered.until(lambda: rotated(registered, service, before), hours=1)


def test_a_step_of_apt_ends_with_the_token_with_which_it_began(registered: Device, service: Service) -> None:
    before = on_disk(registered)["token"]
    assert registered.daemon is not None
    turn, me = registered.daemon.driver._stepping._turn, object()
    turn.take(me)
    ask(service)
    registered.run_for(3600)
    assert on_disk(registered)["token"] == before
    turn.give_back(me)
    registered.until(lambda: rotated(registered, service, before), hours=1)


def test_an_older_server_leaves_the_device_with_its_token(device: Device) -> None:
    device.start()
    device.until(lambda: device.enrolled == 1)
    before = on_disk(device)
    assert device.daemon is not None
    device.daemon.exchange.rotate_token()
    device.run_for(3600)
    assert on_disk(device) == before
    assert device.status()["stopped"] is None
    assert device.status()["server"]["problem"] is None


def test_a_server_from_before_the_exchange_is_spoken_to_with_the_token_before(
    registered: Device, service: Service, line: Line
) -> None:
    """It was restored from a backup."""
    before = known(service)
    token = on_disk(registered)["token"]
    ask(service)
    registered.until(lambda: rotated(registered, service, token), hours=1)
    service.db.write(
        lambda connection: connection.execute("UPDATE devices SET token_sha256 = ?, next_token_sha256 = ?", before)
    )
    line.asked.clear()
    registered.run_for(1200)
    assert [status for _, status in line.asked[:2]] == [401, 200]
    assert on_disk(registered)["token"] == token
    assert repository(registered, service) == 404
    assert registered.status()["stopped"] is None


def test_a_device_whose_tokens_are_all_refused_stops_and_asks_on(
    registered: Device, service: Service, line: Line
) -> None:
    token = on_disk(registered)["token"]
    ask(service)
    registered.until(lambda: rotated(registered, service, token), hours=1)
    good = known(service)
    service.db.write(lambda connection: connection.execute("UPDATE devices SET token_sha256 = ?", ("0" * 64,)))
    line.asked.clear()
    registered.run_for(4 * 3600)
    assert {status for _, status in line.asked} == {401}
    assert len(line.asked) <= 3 * 5  # once an hour each token, and whether it may come back
    assert registered.status()["stopped"] is not None
    service.db.write(lambda connection: connection.execute("UPDATE devices SET token_sha256 = ?", good[:1]))
    registered.until(lambda: registered.status()["stopped"] is None, hours=2)
    assert on_disk(registered)["token"] != token


def test_a_device_that_waits_for_approval_exchanges_nothing(registered: Device, service: Service, line: Line) -> None:
    token = on_disk(registered)["token"]
    service.db.write(lambda connection: connection.execute("UPDATE devices SET state = 'pending'"))
    assert registered.daemon is not None
    registered.run_for(600)
    registered.daemon.exchange.rotate_token()
    registered.run_for(1800)
    assert {status for _, status in line.asked} == {200}
    assert on_disk(registered)["token"] == token
    approve(service)
    registered.until(lambda: rotated(registered, service, token), hours=1)
