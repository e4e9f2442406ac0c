"""The two steps of the system, each run in a systemd unit of its own (``worker``): its lists, and its upgrade.

The agent itself comes last: its upgrade replaces the program that runs here, so nothing is imported after it.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

import apt_pkg

from pi_hook import fetching, fleet_packages, hostinfo, installing, keyring, repair
from pi_hook.apt_config import ARCHIVES, Run
from pi_hook.apt_errors import StepError, cause
from pi_hook.apt_session import AptSession
from pi_hook.apt_source import SOURCE
from pi_hook.dpkg import compare_versions, query
from pi_hook.names import KEYRING_PACKAGE
from pi_hook.obtaining import fetch_plan
from pi_hook.ports import Problem, Step, StepRequest, StepResult, SystemRequest
from pi_hook.system_origins import Origin, origins
from pi_hook.transaction import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pi_hook.files import Root

_log = logging.getLogger(__name__)

_ONLY_NAMES = re.compile(r"(?:Packages that|The following|Allowed origins|Initial|No packages)\b")
"""Lines that name packages and say nothing of a failure: a package may be called ``debian-archive-keyring``."""


def lists(request: SystemRequest, root: Root) -> StepResult:
    """Fetch the lists. Each source counts for itself: one that cannot be had does not keep the others from it."""
    fetched, problems = 0, []
    runs = [Run(request.name, "")] if root.at(SOURCE).exists() else []
    if request.packages != "none":
        runs.append(Run(request.name, "", only_our_source=False))
    for run in runs:
        try:
            fetched += fetching.refresh(AptSession(run, root))
        except StepError as error:
            problems.append(error)
    if problems:
        raise problems[0]
    return StepResult(Step.LISTS, request.version, None, f"the lists are fetched, {fetched} bytes", None, fetched)


def upgrade(request: SystemRequest, root: Root) -> StepResult:
    """Upgrade the system's packages, then the agent; what one of them meets does not keep the other from it."""
    installing.require_ready(root)
    before = _versions(root)
    problem: Problem | None = None
    words: list[str] = []
    for part in (_system, _agent):
        try:
            words += part(request, root)
        except StepError as error:
            problem = problem or error.problem
            words.append(str(error))
    changed = changes(before, _versions(root))
    count = "1 package" if len(changed) == 1 else f"{len(changed)} packages"
    words.insert(0, f"{count} upgraded" if changed else "nothing to upgrade")
    return StepResult(Step.SYSTEM, request.version, problem, "; ".join(words), changed=changed)


def changes(before: dict[str, str | None], after: dict[str, str | None]) -> tuple[str, ...]:
    """What dpkg has otherwise than before, sorted: ``PACKAGE VERSION``, or ``PACKAGE removed``; pure.

    The version is None where a package is not wholly installed: that is no upgrade, and no removal either.
    """
    new = [f"{package} {version}" for package, version in after.items() if version not in {None, before.get(package)}]
    return tuple(sorted([*new, *(f"{package} removed" for package in before.keys() - after.keys())]))


def _versions(root: Root) -> dict[str, str | None]:
    return {state.package: state.version if state.whole else None for state in query(root) if state.present}


def _system(request: SystemRequest, root: Root) -> list[str]:
    """The system's own packages, by unattended-upgrades. Raises ``StepError`` for what another try may put right."""
    allowed = origins(request.packages, hostinfo.codename(root.at("/etc/os-release")))
    if not allowed:
        return []
    run = Run(request.name, "", only_our_source=False, system=allowed)
    if not _upgradable(run, root):
        return []
    output = installing.run_apt([installing.UNATTENDED_UPGRADE, "--verbose"], run, root)
    if repair.needed(root):
        _log.warning("the upgrade left dpkg's state broken; mending it")
        if not repair.repair(root):
            found = cause(_failures(output), Problem.DPKG_FAILED)
            raise StepError(found.problem, f"dpkg is not clean after the upgrade: {found.line}")
    left = _upgradable(run, root)
    if not left:
        return []
    # unattended-upgrades also leaves alone what a person does not want, and what would need a question.
    found = cause(_failures(output), Problem.DEPENDENCY_BLOCKED)
    if found.problem is Problem.DEPENDENCY_BLOCKED:
        return [f"kept back: {', '.join(left)}"]
    raise StepError(found.problem, f"{', '.join(left)} could not be upgraded: {found.line}")


def _failures(output: str) -> str:
    return "\n".join(line for line in output.splitlines() if not _ONLY_NAMES.match(line))


def _upgradable(run: Run, root: Root) -> list[str]:
    """The installed packages of which a newer version is to be had from the system's archives; held ones left out."""
    session = AptSession(run, root)
    depcache = apt_pkg.DepCache(session.cache)
    unwanted = [re.compile(pattern) for pattern in apt_pkg.config.value_list("Unattended-Upgrade::Package-Blacklist")]
    found = []
    for package in session.cache.packages:
        installed, candidate = package.current_ver, depcache.get_candidate_ver(package)
        if installed is None or candidate is None or package.selected_state == apt_pkg.SELSTATE_HOLD:
            continue
        newer = apt_pkg.version_compare(candidate.ver_str, installed.ver_str) > 0
        if newer and _is_from(candidate, run.system) and not any(p.match(package.name) for p in unwanted):
            found.append(package.name)
    return sorted(found)


def _is_from(version: apt_pkg.Version, allowed: Iterable[Origin]) -> bool:
    known = set(allowed)
    return any(Origin(file.origin, file.codename, file.label) in known for file, _ in version.file_list)


def _agent(request: SystemRequest, root: Root) -> list[str]:
    """The fleet's further packages, then the agent's own, to the highest version in our signed lists.

    Never down. Raises ``StepError``.
    """
    if not root.at(SOURCE).exists():
        return []
    words = keyring.take(request.name, root)
    _forget_debs(KEYRING_PACKAGE, root)
    problems = []
    for package in _further(root):
        try:
            words += _to_newest(package, request, root)
        except StepError as error:  # what others have built does not keep the agent from its upgrade
            problems.append(error)
    words += _to_newest("pi-hook", request, root)
    if problems:
        raise problems[0]
    return words


def _to_newest(package: str, request: SystemRequest, root: Root) -> list[str]:
    states = {state.package: state for state in query(root, package)}
    state = states.get(package)
    if state is None or not state.present:
        return []
    newest = _newest(package, request.name, root)
    if newest is None or compare_versions(newest, state.version) <= 0:
        return []
    if state.want == "hold":
        return [f"{package} is held back by `apt-mark hold`"]
    wanted = StepRequest(package, newest, "scheduled")
    plan, _ = fetch_plan(wanted, root, request.name)
    installing.install(wanted, plan, root, request.name)
    _forget_debs(package, root)
    return [f"{package} is {newest} now"]


def _further(root: Root) -> tuple[str, ...]:
    """The fleet's list, which the newest keyring brings, and with it the key by which the rest is signed."""
    try:
        return fleet_packages.listed(root)
    except ValueError as error:
        raise StepError(Problem.UNTRUSTED, str(error)) from error


def _newest(package: str, assistant: str, root: Root) -> str | None:
    versions = AptSession(Run(package, "", assistant=assistant), root).versions(package)
    return versions[-1].version if versions else None


def _forget_debs(package: str, root: Root) -> None:
    """Only the .deb of what is installed serves a repair."""
    kept = [state.version for state in query(root, package) if state.present]
    heads = tuple(f"{package}_{quote(version, '_:')}_" for version in kept)
    for deb in root.at(ARCHIVES).glob(f"{package}_*.deb"):
        if not deb.name.startswith(heads):
            deb.unlink(missing_ok=True)
