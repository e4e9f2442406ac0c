"""Mending dpkg after an interruption, from our own cache and without network (FACTS.md, dpkg and power cuts)."""

from __future__ import annotations

import functools
import logging
import re
import subprocess
from typing import TYPE_CHECKING

from pi_hook import apt_config, fleet_packages
from pi_hook.apt_source import HOOK
from pi_hook.dpkg import PackageState, compare_versions, query
from pi_hook.names import AGENT_PACKAGES, is_layer, is_ours
from pi_hook.ports import Step
from pi_hook.release_dir import ReleaseDir
from pi_hook.step_files import read_request
from pi_hook.verify import policy_installed, signature_problem

if TYPE_CHECKING:
    from pathlib import Path

    from pi_hook.files import Root

_log = logging.getLogger(__name__)

_JOURNAL = "/var/lib/dpkg/updates"
_FORCE = ("--force-confdef", "--force-confold")
_ASSISTANT = re.compile(r'^PiHook::Assistant "([^"]+)";$', re.MULTILINE)


def assistant_name(root: Root) -> str | None:
    """The assistant's name as apt's configuration has it; None where no repository was ever set up here."""
    try:
        found = _ASSISTANT.search(root.at(HOOK).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found.group(1) if found else None


def needed(root: Root) -> bool:
    """Whether dpkg was interrupted: a journal that was not taken over, or a package that is not wholly installed."""
    return _journal_dirty(root) or bool(_broken(root))


def _broken(root: Root) -> list[PackageState]:
    return [state for state in query(root) if state.present and not state.whole]


def _journal_dirty(root: Root) -> bool:
    folder = root.at(_JOURNAL)
    return folder.is_dir() and any(entry.name.isdigit() for entry in folder.iterdir())


def repair(root: Root) -> bool:
    """Configure what waits, reinstall what was cut off, complete what lacks a layer. True: dpkg is clean now.

    Each part may fail and the next still help. Nothing is fetched, and nothing is removed but a broken layer that no
    release uses: its removal was cut off, or its .deb is gone with the release.
    """
    _dpkg(root, "--configure", "--pending", *_FORCE)
    if name := assistant_name(root):
        # A package that only fails to be configured fails again when unpacked again; a cut-off one needs its .deb.
        cut_off = [s for s in _broken(root) if s.status != "half-configured"]
        debs = [deb for state in cut_off if (deb := _cached(state, name, root))]
        if debs:
            _dpkg(root, "--install", *_FORCE, *map(str, debs))
        if any(is_ours(name, state.package) for state in cut_off) and needed(root):
            _apt_fix(name, root)
            _dpkg(root, "--configure", "--pending", *_FORCE)
        if unused := _unused(name, root):
            _dpkg(root, "--purge", "--force-remove-reinstreq", *unused)
    if needed(root):
        left = ", ".join(f"{s.package} {s.version} ({s.words})" for s in _broken(root))
        _log.error("dpkg is still not clean: %s; run `dpkg --audit` for more", left or "its journal is dirty")
        return False
    return True


def _unused(name: str, root: Root) -> list[str]:
    """Broken layers that neither the release ``current`` names nor the installed ``NAME`` needs."""
    broken = [state.package for state in _broken(root) if is_layer(name, state.package)]
    if not broken:
        return []
    releases = ReleaseDir(name, root)
    named = releases.named()
    used = releases.layers_in_use([named] if named else [])
    return [package for package in broken if package not in used]


def _cached(state: PackageState, name: str, root: Root) -> Path | None:
    """The .deb to put a broken package right with: the version being installed, else the highest we keep.

    A package of the system is in apt's own cache, whose files apt has checked and root alone can write; it never goes
    down.
    """
    ours = is_ours(name, state.package) or state.package in _further(root)
    folder = apt_config.ARCHIVES if ours else apt_config.SYSTEM_ARCHIVES
    versions = {}
    for deb in root.at(folder).glob(f"{state.package}_*.deb"):
        fields = _fields(deb)
        if fields and fields[0] == state.package and (ours or compare_versions(fields[1], state.version) >= 0):
            versions[fields[1]] = deb
    wanted = _version_in_transaction(root) if state.package == name else None
    order = sorted(versions, key=functools.cmp_to_key(compare_versions), reverse=True)
    order.sort(key=lambda version: version != wanted)
    for version in order:
        why = signature_problem(versions[version], root) if ours and policy_installed(root) else None
        if why is None:
            return versions[version]
        _log.error("%s is not used for the repair: %s", versions[version], why)
    if state.package not in AGENT_PACKAGES:
        _log.warning("no .deb of %s is in %s to mend it with", state.package, folder)
    return None


def _further(root: Root) -> tuple[str, ...]:
    try:
        return fleet_packages.listed(root)
    except ValueError as error:
        _log.error("%s", error)
        return ()


def _fields(deb: Path) -> tuple[str, str] | None:
    done = subprocess.run(
        ["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(deb)],
        capture_output=True,
        text=True,
        check=False,
    )
    package, _, version = done.stdout.strip().partition(" ")
    return (package, version) if done.returncode == 0 and version else None


def _version_in_transaction(root: Root) -> str | None:
    try:
        return read_request(root, Step.INSTALL).request.version
    except ValueError:
        return None


def _apt_fix(name: str, root: Root) -> None:
    """``apt-get -f install`` over our own packages and the cache alone; with our pins, so never a newer version."""
    version = _version_in_transaction(root)
    if version is None:
        return
    config = apt_config.write(apt_config.Run(name, version), root)
    _say(
        ["apt-get", "--fix-broken", "install", "--yes", "--no-download", "--no-remove"],
        {**apt_config.environment(), "APT_CONFIG": config},
    )


def _dpkg(root: Root, *arguments: str) -> None:
    at_root = [] if str(root.path) == "/" else [f"--root={root.path}"]
    _say(["dpkg", *at_root, *arguments], apt_config.environment())


def _say(command: list[str], environment: dict[str, str]) -> None:
    _log.info("running %s", " ".join(command))
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        env=environment,
    )
    for line in done.stdout.splitlines():
        _log.log(logging.INFO if done.returncode == 0 else logging.WARNING, "%s: %s", command[0], line)
