"""``pi-hook check-image``: whether an image may be flashed more than once, or holds what only one device may have.

Two cards with one identity are one device to the server, and two with one host key cannot be told apart by anybody.
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from pi_hook import apt_source, config
from pi_hook.doctor import Finding, Level
from pi_hook.files import Root

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    _Problems = Iterator[tuple[Level, str, str | None]]

_STATE = "/var/lib/pi-hook"
_MADE_AT_FIRST_BOOT = {
    "/var/lib/systemd/random-seed": "what another machine drew its random numbers from",
    "/var/lib/urandom/random-seed": "what another machine drew its random numbers from",
    "/var/lib/systemd/credential.secret": "the key of another machine's credentials",
    "/var/lib/NetworkManager/secret_key": "what another machine's addresses are made from",
}
_UNSET = {"", "uninitialized"}
_WANTED = "/etc/systemd/system/multi-user.target.wants/pi-hook.service"


def examine(root: Root, *, allow_token: bool) -> Iterator[Finding]:
    """What is wrong with the image that is unpacked in ``root``, and that nothing is where nothing is.

    ``allow_token``: an image that nobody else gets may hold an enrollment token. Raises ``OSError``.
    """
    for check, found in (
        ("agent", _agent(root)),
        ("identity", _identity(root)),
        ("apt", _apt(root)),
        ("token", _tokens(root, allow_token=allow_token)),
        ("machine-id", _machine_id(root)),
        ("ssh", _host_keys(root)),
        ("first boot", _first_boot(root)),
        ("journal", _journal(root)),
    ):
        problems = [Finding(check, level, words, mend) for level, words, mend in found]
        yield from problems or [Finding(check, Level.OK, _GOOD[check])]


_GOOD = {
    "agent": "pi-hook is installed and will start, and the fleet's keys are there",
    "identity": "no device has been made here",
    "apt": "no credentials of a device",
    "token": "no enrollment token",
    "machine-id": "made at the first start",
    "ssh": "no host key: they are made at the first start",
    "first boot": "nothing that is made at the first start",
    "journal": "no log of another machine",
}


def _agent(root: Root) -> _Problems:
    if not _is_there(root.at("/usr/bin/pi-hook")):
        yield Level.FAIL, "pi-hook is not installed", "install pi-hook_*_all.deb into the image"
    elif not _is_there(root.at(_WANTED)):
        yield Level.FAIL, "pi-hook.service is not enabled, so the agent would not start", "systemctl enable pi-hook"
    if not _is_there(root.at(apt_source.KEYRING)):
        words = "the fleet's keys are missing, so a device could verify nothing"
        yield Level.FAIL, words, "install pi-ota-keyring_*_all.deb into the image"


def _identity(root: Root) -> _Problems:
    for path in _files(root.at(_STATE)):
        yield Level.FAIL, f"{_shown(root, path)} is of one device", f"rm {path}"


def _apt(root: Root) -> _Problems:
    for name in (apt_source.AUTH, apt_source.SOURCE, "/etc/apt/auth.conf.d/pi-ota-bootstrap.conf"):
        if _is_there(path := root.at(name)):
            yield Level.FAIL, f"{name} is of one device", f"rm {path}"
    ours = {root.at(apt_source.AUTH), root.at("/etc/apt/auth.conf.d/pi-ota-bootstrap.conf")}
    others = {*root.at("/etc/apt/auth.conf.d").glob("*.conf"), root.at("/etc/apt/auth.conf")} - ours
    for path in sorted(others):
        if _is_there(path):
            yield Level.WARN, f"{_shown(root, path)} holds credentials that every card would have", None


def _tokens(root: Root, *, allow_token: bool) -> _Problems:
    folder = root.at(str(config.SETTINGS_FOLDER))
    own = [root.at(str(path)) for path in (config.SETTINGS_FILE, config.BOOT_FILE)]
    for path in [*own, *sorted(folder.glob("*.toml"))]:
        token, problem = _token_in(path)
        shown = _shown(root, path)
        if problem is not None:
            yield Level.FAIL, f"{shown} cannot be read: {problem}", f"mend {path}"
        elif token and allow_token:
            yield Level.WARN, f"{shown} holds an enrollment token: give this image to nobody", None
        elif token:
            words = f"{shown} holds an enrollment token: whoever gets the image can register devices"
            yield Level.FAIL, words, f"delete it from {path}, or say --allow-enrollment-token for an image of your own"


def _token_in(path: Path) -> tuple[bool, str | None]:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False, None
    except ValueError as error:
        return False, str(error)
    held = tables.get("enrollment")
    return isinstance(held, dict) and bool(held.get("token")), None


def _machine_id(root: Root) -> _Problems:
    path = root.at("/etc/machine-id")
    given = path.read_text(encoding="utf-8", errors="replace") if path.exists() and not path.is_symlink() else ""
    if given.strip() not in _UNSET:
        yield Level.FAIL, "/etc/machine-id is of one machine", f"echo uninitialized > {path}"
    path = root.at("/var/lib/dbus/machine-id")
    if path.exists() and not path.is_symlink() and path.stat().st_size:
        yield Level.FAIL, "/var/lib/dbus/machine-id is of one machine", f"rm {path}"


def _host_keys(root: Root) -> _Problems:
    for path in sorted(root.at("/etc/ssh").glob("ssh_host_*_key")):
        yield Level.FAIL, f"{_shown(root, path)} would be the host key of every card", f"rm {path}*"


def _first_boot(root: Root) -> _Problems:
    for name, words in _MADE_AT_FIRST_BOOT.items():
        if _is_there(path := root.at(name)):
            yield Level.FAIL, f"{name} is {words}", f"rm {path}"


def _journal(root: Root) -> _Problems:
    for path in sorted(root.at("/var/log/journal").glob("*")):
        yield Level.FAIL, f"{_shown(root, path)} is the log of another machine", f"rm -r {path}"


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _is_there(path: Path) -> bool:
    """Also as a link, whose target is another than it will be on a device."""
    return path.is_symlink() or path.exists()


def _shown(root: Root, path: Path) -> str:
    return f"/{path.relative_to(root.path)}"
