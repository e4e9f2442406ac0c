"""What ``pi-hook doctor`` looks at on the machine itself: clock, disk, dpkg, units, keys, the release that runs."""

from __future__ import annotations

import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pi_hook import apt_config, conditions, manager, repair
from pi_hook.apt_source import KEYRING
from pi_hook.doctor import Finding, Level
from pi_hook.dpkg import Dpkg, query
from pi_hook.names import app_package
from pi_hook.ports import ServiceError
from pi_hook.release_dir import ReleaseDir, read_record
from pi_hook.verify import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pi_hook.files import Root
    from pi_hook.ports import Clock

_SECONDS = 30
_EXPIRES_SOON = timedelta(days=60)  # as builder and server warn
_AMPLE = 4
"""Times the reserve: below that a larger release may not fit."""
_RECOVER = "systemctl start pi-hook-recover"
_READABLE_BY_ALL = 0o004


def clock(reading: Clock) -> Iterator[Finding]:
    """Whether the time is known."""
    if reading.read().synchronised:
        yield Finding("clock", Level.OK, "the time is synchronised")
    else:
        yield Finding(
            "clock",
            Level.WARN,
            "the time is not synchronised; the server's is used as soon as it answers",
            "timedatectl timesync-status",
        )


def disk(root: Root) -> Iterator[Finding]:
    """Whether there is room, and whether what is written stays."""
    free, margin = conditions.free_bytes(root.at("/usr")), conditions.FREE_MARGIN_BYTES
    words = f"{free // 1_000_000} MB are free, {margin // 1_000_000} MB are the reserve"
    level = Level.FAIL if free < margin else Level.WARN if free < _AMPLE * margin else Level.OK
    yield Finding("disk", level, words, None if level is Level.OK else "apt-get clean; journalctl --vacuum-size=50M")
    lost = [path for path in ("/usr", "/var/lib/dpkg", "/var/lib/pi-hook") if not _stays(root, path)]
    if lost:
        words = f"what is written to {', '.join(lost)} does not stay (read-only, or an overlay in memory)"
        yield Finding("writable", Level.FAIL, words, "raspi-config nonint disable_overlayfs, then reboot")
    else:
        yield Finding("writable", Level.OK, "what is written stays")


def _stays(root: Root, path: str) -> bool:
    return conditions.writable_for_good(root.at(path))


def packages(root: Root, assistant: str) -> Iterator[Finding]:
    """The state of dpkg, its lock, and a hold."""
    if repair.needed(root):
        broken = ", ".join(f"{s.package} ({s.words})" for s in query(root) if s.present and not s.whole)
        yield Finding("dpkg", Level.FAIL, f"an installation was cut off: {broken or 'its journal is dirty'}", _RECOVER)
    else:
        yield Finding("dpkg", Level.OK, "every package is wholly installed")
    if (holder := conditions.lock_holder(root)) is not None:
        yield Finding("apt", Level.WARN, f"another program is using apt (process {holder or 'unknown'})")
    if Dpkg(assistant, root).installed().held:
        yield Finding("hold", Level.WARN, f"{assistant} is held by apt-mark", f"apt-mark unhold {assistant}")


def release(root: Root, assistant: str) -> Iterator[Finding]:
    """The release that runs, and what it would be mended with."""
    releases, installed = ReleaseDir(assistant, root), Dpkg(assistant, root).installed().version
    active = releases.active()
    if active is None and not releases.versions():
        yield Finding("current", Level.WARN, f"no release of {assistant} is installed yet")
        return
    if active is None:
        yield Finding("current", Level.FAIL, f"/var/lib/{assistant}/current names no complete release", _RECOVER)
        return
    words = f"{active} is active" + (f", {installed} is installed" if installed != active else " and installed")
    yield Finding("current", Level.OK, words)
    wanted = {f"{assistant}_{version}": version for version in {installed, active} if version}
    wanted |= {f"{app_package(assistant, active)}_{active}": active}
    lacking = sorted({version for stem, version in wanted.items() if not _cached(root, stem)})
    if lacking:
        yield Finding(
            "archives",
            Level.WARN,
            f"the .debs of {', '.join(lacking)} are not in {apt_config.ARCHIVES}; a repair would need "
            f"the network after a power cut",
        )
    else:
        yield Finding("archives", Level.OK, "the .debs that a repair needs are kept")


def built_for(root: Root, assistant: str, debian: str) -> Iterator[Finding]:
    """After an upgrade of Debian: that the release that runs is still one for the Debian release before."""
    releases = ReleaseDir(assistant, root)
    if (active := releases.active()) is None:
        return
    target = read_record(releases.folder(active)).get("target") or {}
    built, python = target.get("debian"), target.get("python")
    if built in {None, debian}:
        return
    if root.at(f"/usr/bin/python{python}").exists():
        words = f"{active} was built for {built} and runs with its Python {python}, which {debian} no longer mends"
        yield Finding("built for", Level.WARN, words, f"release a newer version of {assistant} for {debian}")
    else:
        words = f"{active} was built for {built}, and its Python {python} is gone: it cannot start"
        yield Finding("built for", Level.FAIL, words, f"release a newer version of {assistant} for {debian}")


def _cached(root: Root, stem: str) -> bool:
    return any(root.at(apt_config.ARCHIVES).glob(f"{stem.replace(':', '%3a')}_*.deb"))


def units(assistant: str, root: Root) -> Iterator[Finding]:
    """The units of the agent and, once it is installed, of the assistant."""
    yield _active("pi-hook.service", None)
    if Dpkg(assistant, root).installed().version is not None:
        yield _of_assistant(assistant, root)
    if (enabled := _systemctl("is-enabled", "pi-hook.service")) != "enabled":
        yield Finding("unit", Level.WARN, f"pi-hook.service is {enabled}", "systemctl enable pi-hook")
    for step in ("recover", "refresh", "download", "install"):
        unit = f"pi-hook-{step}.service"
        if _systemctl("is-failed", unit) == "failed":
            yield Finding("unit", Level.WARN, f"{unit} has failed", f"journalctl -u {unit}")


def _of_assistant(assistant: str, root: Root) -> Finding:
    try:
        account = manager.account_of(assistant, root)
    except ServiceError as error:
        return Finding("unit", Level.FAIL, str(error), f"apt install --reinstall {assistant}")
    return _active(f"{assistant}.service", account)


def _active(unit: str, account: manager.Account | None) -> Finding:
    state = _systemctl("is-active", unit, account)
    if state == "active":
        return Finding("unit", Level.OK, f"{unit} is active")
    whose = "" if account is None else f"--user --machine={account.name}@ "
    selects = f"-u {unit}" if account is None else " ".join(manager.journal_matches(account, unit))
    return Finding("unit", Level.FAIL, f"{unit} is {state}", f"journalctl {selects}; systemctl {whose}restart {unit}")


def _systemctl(question: str, unit: str, account: manager.Account | None = None) -> str:
    try:
        done = manager.systemctl(account, question, unit, seconds=_SECONDS)
    except ServiceError as error:
        raise OSError(str(error)) from error
    return " ".join((done.stdout or done.stderr).split()) or "unknown"


def keys(root: Root, now: datetime) -> Iterator[Finding]:
    """The fleet's keys: there, readable, not expired."""
    install = "apt install ./pi-ota-keyring_VERSION_all.deb"
    archive = root.at(KEYRING)
    if not archive.exists():
        yield Finding("keyring", Level.FAIL, f"{KEYRING} is missing, so no list can be verified", install)
    elif not archive.stat().st_mode & _READABLE_BY_ALL:
        yield Finding("keyring", Level.FAIL, f"{KEYRING} is not readable by apt's own user", f"chmod 644 {KEYRING}")
    else:
        yield from _expiry("keyring", archive, now, grave=True)
    policies = sorted(root.at("/etc/debsig/policies").glob(f"*/{POLICY}"))
    if not policies:
        yield Finding("builder key", Level.FAIL, "no builder key is installed, so no package can be verified", install)
    for policy in policies:
        key = root.at(f"/usr/share/debsig/keyrings/{policy.parent.name}/debsig.gpg")
        if key.exists():
            # debsig-verify does not look at expiry: a key stays good until its policy goes.
            yield from _expiry("builder key", key, now, grave=False)
        else:
            yield Finding("builder key", Level.FAIL, f"the key of {policy} is missing", install)


def _expiry(check: str, keyring: Path, now: datetime, *, grave: bool) -> Iterator[Finding]:
    try:
        with tempfile.TemporaryDirectory() as home:  # it makes files of its own, which nobody wants in root's
            command = [
                "gpg",
                "--homedir",
                home,
                "--no-options",
                "--batch",
                "--with-colons",
                "--show-keys",
                str(keyring),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except FileNotFoundError:
        yield Finding(check, Level.WARN, "its expiry cannot be looked at: gpg is not installed", "apt install gpg")
        return
    listed = [line.split(":") for line in done.stdout.splitlines() if line.startswith("pub:")]
    if not listed:
        yield Finding(check, Level.FAIL, f"{keyring} holds no key", "install the fleet's pi-ota-keyring again")
        return
    ends = [int(fields[6]) if fields[6] else None for fields in listed]
    if None in ends:
        yield Finding(check, Level.OK, f"{len(listed)} known, one without expiry")
        return
    last = datetime.fromtimestamp(max(end for end in ends if end is not None), UTC)
    words = f"the last key {'expired' if last <= now else 'expires'} on {last:%Y-%m-%d}"
    if last - now > _EXPIRES_SOON:
        yield Finding(check, Level.OK, words)
    else:
        level = Level.FAIL if last <= now and grave else Level.WARN
        yield Finding(check, level, words, "install a pi-ota-keyring with the new key")
