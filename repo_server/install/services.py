"""systemd's units and the two commands that people type."""

from __future__ import annotations

from pathlib import Path

from repo_server.install import places
from repo_server.install.machine import Machine

_SOURCE = places.CHECKOUT / "repo_server" / "systemd"
_COMMAND = """\
#!/bin/sh
# {purpose}, as the user that it runs as. Made by `make install-server` of pi-ota.
set -eu
[ "$(id -un)" != {user} ] && [ "$(id -u)" != 0 ] && exec sudo -- "$0" "$@"
as=
[ "$(id -u)" = 0 ] && as="runuser -u {user} --"
umask 0027
# shellcheck disable=SC2086 # the list is meant to be split
exec $as env HOME={home} PYTHONPATH={checkout} {setting} {checkout}/.venv/bin/python -P -m {module} "$@"
"""
_COMMANDS = {
    "repo-server": {
        "purpose": "The fleet's server: keys, devices, doctor",
        "user": places.SERVER,
        "home": places.SERVER_STATE,
        "setting": f"REPO_SERVER_CONFIG={places.SETTINGS}",
        "module": "repo_server",
    },
    "pkgbuild": {
        "purpose": "The builder: releases, signing keys",
        "user": places.BUILDER,
        "home": places.BUILDER_STATE,
        "setting": f"PKGBUILD_CONFIG={places.BUILDER_STATE}/pkgbuild.toml",
        "module": "pkgbuild",
    },
}
SOCKET, SERVER, APTLY = "pi-ota-server.socket", "pi-ota-server.service", "pi-ota-aptly.service"


def sources() -> tuple[Path, ...]:
    """The unit files of this checkout."""
    return tuple(sorted(_SOURCE.iterdir()))


def enabled() -> tuple[str, ...]:
    """The units that are started at boot: those that say where they are wanted."""
    return tuple(path.name for path in sources() if "[Install]" in path.read_text(encoding="utf-8"))


def commands(machine: Machine) -> None:
    """``repo-server`` and ``pkgbuild`` for everybody who may use sudo."""
    for name, words in _COMMANDS.items():
        machine.write(places.COMMANDS / name, _COMMAND.format(checkout=places.HOME, **words), 0o755)


def make(machine: Machine) -> None:
    """Units as this checkout has them, started at boot. Changes of one's own belong into `systemctl edit`."""
    for source in sources():
        machine.write(places.UNITS / source.name, source.read_text(encoding="utf-8"), 0o644)
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--quiet", *enabled())


def start(machine: Machine) -> None:
    """Everything started; what ran already runs this checkout's code. The socket holds the port meanwhile."""
    machine.run("systemctl", "start", SOCKET)
    machine.run("systemctl", "restart", SERVER, APTLY)
    machine.run("systemctl", "start", *(name for name in enabled() if name.endswith(".timer")))
    machine.tell("started", " ".join(enabled()))


def remove(machine: Machine) -> None:
    """Units stopped and gone, and the commands with them."""
    names = [source.name for source in sources() if machine.path(places.UNITS / source.name).exists()]
    if names:
        machine.run("systemctl", "disable", "--quiet", "--now", *names)
    for name in names:
        machine.remove(places.UNITS / name)
    machine.run("systemctl", "daemon-reload")
    for name in _COMMANDS:
        machine.remove(places.COMMANDS / name)
