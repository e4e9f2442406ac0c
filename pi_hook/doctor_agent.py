"""What ``pi-hook doctor`` looks at of the agent: settings, zone, daemon, sources, socket, server, apt source."""

from __future__ import annotations

import base64
import grp
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pi_hook import assemble, config, doctor_system
from pi_hook.apt_source import AptSourceFiles
from pi_hook.clock import SystemClock
from pi_hook.control import GROUP
from pi_hook.doctor import Finding, Level, examine
from pi_hook.errors import PiHookError, RefusedError, ServerError
from pi_hook.files import Root
from pi_hook.hostinfo import read_host
from pi_hook.identity import load
from pi_hook.server_set import apt_settings, channel_of, zone_of
from pi_hook.settings_keys import SECRET
from pi_hook.state import Memory, read_memory
from pi_hook.talk import ask, connected
from pi_hook.zone import device_zone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pi_hook.client import HttpServer
    from pi_hook.config import Settings
    from pi_hook.doctor import Check
    from pi_hook.identity import Identity
    from pi_hook.ports import Clock

_MODE = 0o660
_OTHERS = 0o077
_OK, _NOT_FOUND = 200, 404
_RESTART = "systemctl restart pi-hook"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where to look; the real ones are put together in ``real``."""

    root: Root
    load_settings: Callable[[], Settings]
    ask_daemon: Callable[[], dict[str, Any]]
    """The daemon's status. Raises ``PiHookError``, mostly ``NoDaemonError``."""
    server: Callable[[Settings], HttpServer]
    clock: Clock
    debian: str
    """The Debian release's name."""
    socket: Path
    state: Path


def real(socket: Path, state: Path) -> Surroundings:
    """Of this machine. Raises ``OSError`` where the system has no os-release."""

    def ask_daemon() -> dict[str, Any]:
        with connected(socket) as channel:
            status: dict[str, Any] = ask(channel, "status")["status"]
            return status

    return Surroundings(
        root=Root(),
        load_settings=config.load,
        ask_daemon=ask_daemon,
        server=assemble.real_server,
        clock=SystemClock(),
        debian=read_host().debian,
        socket=socket,
        state=state,
    )


def look_at_all(around: Surroundings) -> list[Finding]:
    """Everything; without usable settings only what needs none."""
    settings: Settings | None = None
    try:
        settings = around.load_settings()
    except PiHookError as error:
        closed = isinstance(error.__cause__, PermissionError)
        found = [
            Finding("settings", Level.WARN, "can be read by root only", "sudo pi-hook doctor")
            if closed
            else Finding("settings", Level.FAIL, str(error), f"mend it, then {_RESTART}")
        ]
    else:
        found = [Finding("settings", Level.OK, f"{settings.assistant} from {settings.server_url}")]
        found += examine([("settings", lambda: _secrets(around.root))])
    found += examine([("clock", lambda: doctor_system.clock(around.clock))])
    if settings is not None:
        memory = read_memory(around.state / "state.json") or Memory()
        found += examine(_of_agent(around, settings, memory, _status(around)))
    found += examine(_of_system(around, settings.assistant if settings is not None else None))
    return found


def _of_agent(
    around: Surroundings, settings: Settings, memory: Memory, status: dict[str, Any]
) -> list[tuple[str, Check]]:
    return [
        ("timezone", lambda: _zone(settings, memory)),
        ("daemon", lambda: _talked(status)),
        ("socket", lambda: _socket(around.socket)),
        ("activity", lambda: _sources(settings, status)),
        ("enrolled", lambda: _enrolled(settings, memory)),
        ("server", lambda: _server(around, settings, memory)),
        ("apt source", lambda: _apt_source(around, settings, memory)),
    ]


def _of_system(around: Surroundings, assistant: str | None) -> list[tuple[str, Check]]:
    root = around.root
    checks: list[tuple[str, Check]] = [
        ("keyring", lambda: doctor_system.keys(root, around.clock.read().wall.astimezone(UTC))),
        ("disk", lambda: doctor_system.disk(root)),
    ]
    if assistant is not None:
        checks += [
            ("dpkg", lambda: doctor_system.packages(root, assistant)),
            ("current", lambda: doctor_system.release(root, assistant)),
            ("built for", lambda: doctor_system.built_for(root, assistant, around.debian)),
            ("unit", lambda: doctor_system.units(assistant, root)),
        ]
    return checks


def _secrets(root: Root) -> Iterator[Finding]:
    """Settings files that hold a secret are for root alone."""
    folder = root.at(str(config.SETTINGS_FOLDER))
    for path in [root.at(str(config.SETTINGS_FILE)), *sorted(folder.glob("*.toml"))]:
        if not path.exists() or not path.stat().st_mode & _OTHERS:
            continue
        if SECRET & config.merge([config.read_fragment(path)]).keys():
            words = f"{path} holds a secret, and others may read it"
            yield Finding("settings", Level.WARN, words, f"chmod 600 {path}")


def _status(around: Surroundings) -> dict[str, Any]:
    """The daemon's, or a ``note`` why there is none."""
    try:
        return around.ask_daemon()
    except PiHookError as error:
        return {"note": str(error)}


def _talked(status: dict[str, Any]) -> Iterator[Finding]:
    if "note" in status:
        yield Finding("daemon", Level.FAIL, str(status["note"]), "journalctl -u pi-hook; systemctl start pi-hook")
    else:
        yield Finding("daemon", Level.OK, str(status["gate"]["words"]))


def _zone(settings: Settings, memory: Memory) -> Iterator[Finding]:
    zone = device_zone(settings.timezone, servers=zone_of(settings, memory.timezone))
    local = datetime.now(zone.zone)
    if zone.problem:
        yield Finding("timezone", Level.WARN, f"{zone.problem}; {zone.name} is used", "timedatectl set-timezone ZONE")
    else:
        yield Finding("timezone", Level.OK, f"{zone.name}, where it is {local:%H:%M} now")


def _socket(path: Path) -> Iterator[Finding]:
    try:
        found = path.stat()
    except FileNotFoundError:
        yield Finding("socket", Level.FAIL, f"{path} is not there", "systemctl start pi-hook")
        return
    try:
        wanted = grp.getgrnam(GROUP).gr_gid
    except KeyError:
        yield Finding("socket", Level.WARN, f"there is no group {GROUP}", f"addgroup --system {GROUP}; {_RESTART}")
        return
    if found.st_gid != wanted or stat.S_IMODE(found.st_mode) != _MODE:
        words = f"{path} is not open to the group {GROUP} alone, so the assistant may not reach it"
        yield Finding("socket", Level.WARN, words, _RESTART)
    else:
        yield Finding("socket", Level.OK, f"members of the group {GROUP} may report use")


def _sources(settings: Settings, status: dict[str, Any]) -> Iterator[Finding]:
    configured = (*settings.activity.gpio_pins, *settings.activity.evdev)
    if not configured:
        yield Finding("activity", Level.OK, "no pin or input device is set; the control socket tells of use")
        return
    known = status.get("sources")
    if known is None:
        yield Finding("activity", Level.WARN, "only the daemon can tell, and it does not answer")
        return
    for source in known:
        if source["problem"]:
            yield Finding("activity", Level.WARN, str(source["problem"]), f"free it, then {_RESTART}")
        else:
            yield Finding("activity", Level.OK, f"{source['name']} is watched")
    if all(source["problem"] for source in known):
        words = "nothing that is set can be watched: idle is unknown, and urgent releases wait for the night"
        yield Finding("activity", Level.FAIL, words, "mend activity.gpio_pins or activity.evdev")


def _enrolled(settings: Settings, memory: Memory) -> Iterator[Finding]:
    if memory.stopped is not None:
        yield Finding("enrolled", Level.FAIL, f"the server refuses this device ({memory.stopped})", "ask its operator")
    elif memory.registered:
        yield Finding("enrolled", Level.OK, f"registered; the channel is {channel_of(settings, memory.channel)}")
    elif settings.enrollment_token is not None:
        yield Finding("enrolled", Level.WARN, "not registered yet; the daemon goes on trying", "sudo pi-hook enroll")
    else:
        words = "not registered, and there is no enrollment token"
        yield Finding("enrolled", Level.FAIL, words, "put one under [enrollment] in /etc/pi-hook/pi-hook.toml")


def _identity(around: Surroundings) -> Identity | None:
    try:
        return load(around.state / "identity.json")
    except FileNotFoundError:
        return None


def _server(around: Surroundings, settings: Settings, memory: Memory) -> Iterator[Finding]:
    """Ask for the signed index as apt does: it says nothing about the device, and needs its credentials."""
    server, identity = around.server(settings), _identity(around)
    headers = {}
    if identity is not None and memory.registered:
        pair = base64.b64encode(f"{identity.device_id}:{identity.token}".encode()).decode("ascii")
        headers["Authorization"] = f"Basic {pair}"
    channel = channel_of(settings, memory.channel)
    path = f"/repo/{around.debian}/dists/{channel}/InRelease" if headers else "/healthz"
    try:
        status = server.head(path, headers)
    except RefusedError as error:
        if error.status == _NOT_FOUND:
            words = f"the server has no channel {channel} for {around.debian}"
            yield Finding("server", Level.WARN, words, "publish a release for it, or set another channel")
        else:
            words = f"the server does not accept this device's credentials ({error.status})"
            yield Finding("server", Level.FAIL, words, "ask its operator whether the device was retired")
    except ServerError as error:
        yield Finding("server", Level.FAIL, str(error), "check server.url, network.proxy and the network")
    else:
        words = "answers, and accepts this device's credentials" if headers else "answers"
        yield Finding("server", Level.OK if status == _OK else Level.WARN, f"{settings.server_url} {words}")


def _apt_source(around: Surroundings, settings: Settings, memory: Memory) -> Iterator[Finding]:
    identity = _identity(around)
    if identity is None or not memory.registered:
        yield Finding("apt source", Level.WARN, "is written once the device is registered")
        return
    wanted = apt_settings(settings, memory.channel, around.debian, identity)
    if differing := AptSourceFiles(around.root).differing(wanted):
        words = f"not as the settings say: {', '.join(differing)}"
        yield Finding("apt source", Level.FAIL, words, f"{_RESTART} writes them anew")
    else:
        yield Finding("apt source", Level.OK, "source, credentials, pins and hook are as the settings say")
