"""A user unit under a real systemd: installed, restarted, watched and removed, as the agent's own code does it.

The system is booted as a container by systemd-nspawn, which takes seconds and no virtual machine.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.apt_root import CHECKOUT, AptRoot, base
from tests.support.booted import booted

NAME = "native-assistant"
_PROGRAM = """\
import datetime, json, pathlib, select, subprocess, sys, time
from pi_hook.ports import ReleaseCommand
from pi_hook.releases import AssistantReleases
from pi_hook.service import AssistantService

NAME = sys.argv[1]
service, releases, said = AssistantService(NAME), AssistantReleases(NAME), {}


def dpkg(*words):
    subprocess.run(["dpkg", *words], check=True, stdout=subprocess.DEVNULL)


def settled(wanted):
    deadline = time.monotonic() + 60
    while not wanted(state := service.state()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return state


def note(key, state):
    said[key] = {"active": state.active, "release": state.release, "restarts": state.restarts, "words": state.words}
    return state


debs = sorted(map(str, pathlib.Path("/root/debs").iterdir()))
shared = [deb for deb in debs if "-deps-" in deb or "-asset-" in deb]
first, second = ([deb for deb in debs if f"_{version}_" in deb] for version in ("1.0.0", "1.1.0"))
dpkg("--install", *shared, *first)
before = note("installed", settled(lambda state: state.active))
pathlib.Path("/usr/lib/pi-hook").mkdir()
dpkg("--install", *second)
said["undisturbed"] = note("upgraded", service.state()).main_pid == before.main_pid
since = datetime.datetime.now(datetime.UTC)
releases.activate("1.1.0")
service.restart()
note("activated", settled(lambda state: state.active))
command = service.begin(ReleaseCommand.HEALTH, "1.1.0")
while (result := command.result()) is None:
    select.select([command.fileno()], [], [], 30)
command.close()
said["health"] = result.problem
main = next(pathlib.Path(f"/usr/lib/{NAME}/releases/1.1.0/app").rglob("__main__.py"))
main.write_text("raise SystemExit('it cannot speak')")
service.restart()
note("crashing", settled(lambda state: state.restarts > 0 or state.words.startswith("failed")))
said["journal"] = service.journal_tail(since)
releases.activate("1.0.0")
service.restart()
note("back", settled(lambda state: state.active))
pid = service.state().main_pid
names = subprocess.run(["dpkg-query", "-Wf", "${Package} ", f"{NAME}*"], capture_output=True, text=True).stdout.split()
dpkg("--purge", *names)
said["ended"] = not pathlib.Path(f"/proc/{pid}").exists()
places = ("/etc/systemd", "/usr/lib", "/var/lib/systemd", "/var/lib/" + NAME)
said["left"] = [str(path) for place in places for path in pathlib.Path(place).rglob(f"*{NAME}*")]
print(json.dumps(said))
"""


def wrong(debian: str, first: Sequence[Path], second: Sequence[Path], work: Path) -> Iterator[str]:
    """A sentence for everything that is not as it should be."""
    with AptRoot((base(debian),), work) as device:
        device.run("apt-get", "update")
        wanted = ["dbus-user-session", "libpam-systemd", "systemd-sysv"]
        device.run("apt-get", "install", "--yes", "--no-install-recommends", *wanted)
        (device.path / "root/debs").mkdir()
        for deb in {*first, *second}:
            shutil.copy(deb, device.path / "root/debs")
        shutil.copytree(CHECKOUT / "pi_hook", device.path / "usr/lib/python3/dist-packages/pi_hook")
        (device.path / "root/program.py").write_text(_PROGRAM)
        device.let_boot()
        with booted(device.path) as system:
            done = system.run("python3", "/root/program.py", NAME, check=False)
        if done.returncode:
            yield f"{NAME} on {debian}: {done.stdout.strip()[-800:]}"
            return
        yield from _judged(debian, json.loads(done.stdout.splitlines()[-1]))


def _judged(debian: str, said: dict[str, object]) -> Iterator[str]:
    expected = {"installed": "1.0.0", "upgraded": "1.0.0", "activated": "1.1.0", "back": "1.0.0"}
    for moment, release in expected.items():
        state = said[moment]
        assert isinstance(state, dict)
        if not state["active"] or state["release"] != release:
            words = f"{state['words']}, its process is of {state['release']} and not of {release}"
            yield f"{NAME} on {debian}, {moment}: {words}"
    crashing = said["crashing"]
    assert isinstance(crashing, dict)
    if not crashing["restarts"] and not str(crashing["words"]).startswith("failed"):
        yield f"{NAME} on {debian}: a crash loop looks like {crashing['words']}"
    if "it cannot speak" not in str(said["journal"]):
        yield f"{NAME} on {debian}: the journal does not say why it crashed: {said['journal']}"
    if said["health"] is not None:
        yield f"{NAME} on {debian}: {said['health']}"
    for key in ("undisturbed", "ended"):
        if said[key] is not True:
            yield f"{NAME} on {debian}: its process was not {key}"
    if said["left"]:
        yield f"{NAME} on {debian} left behind {said['left']}"
