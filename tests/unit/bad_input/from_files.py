"""Files of the agent's own and of a release that cannot be used: after a power cut, a bad card, or somebody's hand."""

from __future__ import annotations

import json
import select
from pathlib import Path

import pytest

from pi_hook import fleet_packages, verify
from pi_hook.apt_source import HOOK, hook_text
from pi_hook.errors import IdentityError
from pi_hook.identity import load_or_create
from pi_hook.ports import Problem, ReleaseCommand, ReleaseError, ServiceError, Step, StepRequest, StepResult
from pi_hook.recovery import recover
from pi_hook.release_dir import ReleaseDir
from pi_hook.service import AssistantService
from pi_hook.state import Ledger
from pi_hook.step_files import request_path, result_path
from pi_hook.units import SystemdSteps
from pi_hook.update import Device as UpdateDevice
from pi_hook.worker import main as worker_main
from pi_hook.worker import run_step
from tests.integration.pi_hook_daemon.story import Device
from tests.support.apt_repo import build_deb
from tests.support.pi_hook_fakes import Release
from tests.unit.bad_input.table import Cases, Place
from tests.unit.pi_hook_hands.conftest import NAME

steps = Cases()
memory = Cases()
releases = Cases()

GOOD_REQUEST = {"schema": 1, "id": "x", "name": NAME, "version": "1.1.0", "urgency": "urgent"}


def worked(place: Place, content: str | None) -> str:
    """A step with this request does nothing, leaves no result, and says why."""
    path = request_path(place.small.root, Step.INSTALL)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if content is not None:
        path.write_text(content)
    assert run_step(Step.INSTALL, place.small.root) is None
    assert not result_path(place.small.root, Step.INSTALL).exists()
    return place.caplog.text


@steps("no request")
def _(place: Place) -> str:
    return worked(place, None)


@steps("a request that is not JSON, or of another schema")
def _(place: Place) -> str:
    said = worked(place, "{")
    assert "is not JSON" in said
    worked(place, "[]")
    return worked(place, json.dumps({**GOOD_REQUEST, "schema": 2}))


@steps("a request that lacks a field")
def _(place: Place) -> str:
    return worked(place, json.dumps({k: v for k, v in GOOD_REQUEST.items() if k != "version"}))


@steps("a request with a name or a version that cannot be one")
def _(place: Place) -> str:
    said = worked(place, json.dumps({**GOOD_REQUEST, "name": "a b"}))
    assert "'a b' cannot be an assistant's package name" in said
    return worked(place, json.dumps({**GOOD_REQUEST, "version": "1/../../x"}))


@steps("a request with an urgency that does not exist")
def _(place: Place) -> str:
    return worked(place, json.dumps({**GOOD_REQUEST, "urgency": "at once"}))


@steps("a request for packages of the system that do not exist")
def _(place: Place) -> str:
    path = request_path(place.small.root, Step.SYSTEM)
    path.parent.mkdir(parents=True)
    request = {"schema": 1, "id": "x", "name": NAME, "packages": "some", "begun": "2026-03-29T01:30:00+00:00"}
    path.write_text(json.dumps(request))
    assert run_step(Step.SYSTEM, place.small.root) is None
    assert not result_path(place.small.root, Step.SYSTEM).exists()
    return place.caplog.text


@steps("a result that is missing, damaged, or of another run")
def _(place: Place) -> str:
    place.programs.put("systemctl", "case $1 in show) echo inactive;; start) echo Unit failed. >&2; exit 1;; esac")
    path = result_path(place.small.root, Step.INSTALL)
    path.parent.mkdir(parents=True)
    results: list[StepResult] = []
    for content in (None, "{", '{"schema": 1, "id": "of yesterday"}'):
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        step = SystemdSteps(place.small.root).start(Step.INSTALL, StepRequest(NAME, "1.1.0", "urgent"))
        results.append(step.result())
        step.close()
    assert {result.problem for result in results} == {Problem.INTERRUPTED}, "it is tried again"
    return results[0].message


@steps("`pi-hook worker` with another word")
def _(place: Place) -> str:
    assert worker_main(["dance"]) == 2
    return place.capsys.readouterr().err


# What the daemon remembers


def restarted(place: Place, name: str, content: str, *, run: bool = False) -> tuple[Device, str]:
    """A device that runs 1.0.0, whose file was damaged while no daemon ran; started again."""
    device = Device(place.folder)
    device.world.published = {"1.0.0": Release(), "1.1.0": Release(urgency="urgent")}
    device.start()
    device.server.offer("1.0.0", "scheduled")
    device.until(device.told("succeeded", "1.0.0"))
    told = [status.sequence for status in device.server.statuses]
    device.kill()
    (place.folder / ("run" if run else "state") / name).write_text(content)
    device.start()
    device.run_for(3600)
    device.server.offer("1.1.0", "urgent")
    device.until(device.told("succeeded", "1.1.0"))
    numbers = [status.sequence for status in device.server.statuses]
    assert numbers[: len(told)] == told
    assert numbers == sorted(set(numbers)), "no sequence number is used twice"
    assert device.world.running == "1.1.0"
    device.kill()
    return device, place.caplog.text


@memory("`state.json` that is not JSON, or lacks a field")
def _(place: Place) -> str:
    device, said = restarted(place, "state.json", '{"schema": 1, "device": ')
    assert (place.folder / "state" / "state.json.unusable").exists()
    assert len(device.server.registrations) == 2, "it registers anew, with the same identity"
    assert len({r.id for r in device.server.registrations}) == 1
    return said


@memory("`state.json` of a newer agent")
def _(place: Place) -> str:
    return restarted(place, "state.json", '{"schema": 2}')[1]


@memory("`system.json` that cannot be used")
def _(place: Place) -> str:
    device, said = restarted(place, "system.json", '{"schema": 1}')
    assert (place.folder / "state/system.json.unusable").exists()
    assert device.world.system_steps != []
    return said


@memory("`verdicts.json` (bad versions, the last good one) that cannot be used")
def _(place: Place) -> str:
    state = place.folder / "state"
    state.mkdir(parents=True)
    (state / "verdicts.json").write_text('{"schema": 1, "last_good": null, "bad": [3]}')
    assert Ledger(state).memory.device == UpdateDevice()
    return place.caplog.text


@memory("`outbox.json` that cannot be used")
def _(place: Place) -> str:
    return restarted(place, "outbox.json", '{"schema": 1, "last": -3, "statuses": []}')[1]


@memory("`sequence` that cannot be used")
def _(place: Place) -> str:
    return restarted(place, "sequence", "many\n")[1]


@memory("`/run/pi-hook/activity` that cannot be used")
def _(place: Place) -> str:
    restarted(place, "activity", "yesterday", run=True)
    return "nothing"


@memory("`identity.json` that cannot be used")
def _(place: Place) -> str:
    path = place.folder / "identity.json"
    path.write_text('{"id": "me", "token": "t"}')
    with pytest.raises(IdentityError) as caught:
        load_or_create(path)
    assert path.read_text() == '{"id": "me", "token": "t"}'
    return str(caught.value)


# A release


def lacking(place: Place, damage: object) -> str:
    """A damaged release is not activated; the one before it stays."""
    place.small.release("1.0.0")
    good = ReleaseDir(NAME, place.small.root)
    good.activate("1.0.0")
    folder = place.small.release("1.1.0")
    damage(folder)  # type: ignore[operator]
    with pytest.raises(ReleaseError) as caught:
        good.activate("1.1.0")
    assert good.active() == "1.0.0"
    return str(caught.value)


@releases("`release.json` missing")
def _(place: Place) -> str:
    return lacking(place, lambda folder: (folder / "release.json").unlink())


@releases("`release.json` that is not JSON")
def _(place: Place) -> str:
    return lacking(place, lambda folder: (folder / "release.json").write_text("{"))


@releases("`release.json` of another schema, or no object")
def _(place: Place) -> str:
    return lacking(place, lambda folder: (folder / "release.json").write_text('{"schema": 2}'))


@releases("`release.json` of another name or version")
def _(place: Place) -> str:
    text = json.dumps({"schema": 1, "name": NAME, "version": "9.9.9"})
    return lacking(place, lambda folder: (folder / "release.json").write_text(text))


@releases("`run` missing or not executable")
def _(place: Place) -> str:
    return lacking(place, lambda folder: (folder / "run").chmod(0o644))


@releases("`deps` that leads nowhere")
def _(place: Place) -> str:
    return lacking(place, lambda folder: (folder / "deps").unlink())


@releases("an asset that leads nowhere")
def _(place: Place) -> str:
    record = {"schema": 1, "name": NAME, "version": "1.1.0", "assets": {"voice": "0123456789ab"}}
    return lacking(place, lambda folder: (folder / "release.json").write_text(json.dumps(record)))


def of_account(place: Place, text: str) -> str:
    unit = place.small.path / f"usr/lib/systemd/user/{NAME}.service"
    unit.parent.mkdir(parents=True)
    unit.write_text(text)
    service = AssistantService(NAME, place.small.root)
    state = service.state()
    assert (state.active, state.failed) == (False, False)
    with pytest.raises(ServiceError) as caught:
        service.restart()
    assert str(caught.value) == state.words
    return state.words


@releases("a user unit that does not name its account")
def _(place: Place) -> str:
    return of_account(place, "[Unit]\nDescription=x\n")


@releases("a user unit of an account that is not there")
def _(place: Place) -> str:
    return of_account(place, "[X-Pi-Ota]\nAccount=nobody-of-this-name\n")


@releases("the fleet's list of packages that cannot be used")
def _(place: Place) -> str:
    listed = place.small.root.at(fleet_packages.LIST)
    listed.parent.mkdir(parents=True)
    listed.write_text("two words\n")
    deb = build_deb(place.small.root.path, "vosk", "1", {"/usr/share/vosk": "x"})
    (refused,) = verify.check(verify.Request(NAME, strict=True, files=(("vosk", deb),)), place.small.root)
    return refused


@releases("a layer that dpkg does not have wholly")
def _(place: Place) -> str:
    return lacking(
        place, lambda folder: place.small.package(f"{NAME}-app-1.1.0", "1.1.0", status="install ok half-configured")
    )


@releases("`current` that leads elsewhere")
def _(place: Place) -> str:
    place.small.release("1.0.0")
    link = place.small.path / f"var/lib/{NAME}/current"
    link.parent.mkdir(parents=True)
    link.symlink_to("/etc")
    assert ReleaseDir(NAME, place.small.root).active() is None
    hook = place.small.path / HOOK.lstrip("/")
    hook.parent.mkdir(parents=True)
    hook.write_text(hook_text(NAME))
    place.programs.put("systemctl", "exit 0")
    assert recover(place.small.root)
    assert ReleaseDir(NAME, place.small.root).active() == "1.0.0"
    assert f"systemctl --no-block start {NAME}.service" in place.programs.calls
    return place.caplog.text


def unwell(
    place: Place, check: str = "exit 0", command: ReleaseCommand = ReleaseCommand.HEALTH, **record: object
) -> str:
    folder = place.small.release("1.0.0", "0123456789ab", **record)
    (folder / "check").write_text(f"#!/bin/sh\n{check}\n")
    (folder / "check").chmod(0o755)
    place.programs.put("systemctl", "echo User=; echo Group=; echo LoadState=loaded")
    place.monkeypatch.setattr("pi_hook.outside._SYSTEMD", Path("/nonexistent"))
    try:
        running = AssistantService(NAME, place.small.root).begin(command, "1.0.0")
    except ServiceError as error:
        return str(error)
    assert running is not None
    try:
        while (result := running.result()) is None:
            assert select.select([running.fileno()], [], [], 30)[0]
    finally:
        running.close()
    return result.problem or "well"


@releases("a `health` that cannot be understood")
def _(place: Place) -> str:
    return unwell(place, health={"command": 3})


@releases("a health command that fails")
def _(place: Place) -> str:
    health = {"command": ["./check"], "timeout_seconds": 5}
    said = unwell(place, "echo token=abcdef123; exit 3", health=health)
    assert "abcdef123" not in said
    return said


@releases("a health command that does not end")
def _(place: Place) -> str:
    return unwell(place, "sleep 60", health={"command": ["./check"], "timeout_seconds": 0.5})


@releases("`hooks` that cannot be understood")
def _(place: Place) -> str:
    return unwell(place, command=ReleaseCommand.BEFORE_ACTIVATION, hooks={"before_activation": 3})
