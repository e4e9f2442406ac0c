"""The three steps, each run in a systemd unit of its own (``worker``). Raise ``StepError`` where one cannot work."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pi_hook import __version__, classic, fetching, installing, keyring
from pi_hook.apt_config import ARCHIVES, Run
from pi_hook.apt_errors import StepError
from pi_hook.apt_session import AptSession
from pi_hook.dpkg import compare_versions, query
from pi_hook.obtaining import fetch_plan
from pi_hook.ports import Problem, Step, StepRequest, StepResult
from pi_hook.release_dir import ReleaseDir
from pi_hook.verify import signature_problem

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pi_hook.dpkg import PackageState
    from pi_hook.files import Root

_log = logging.getLogger(__name__)


def refresh(request: StepRequest, root: Root) -> StepResult:
    """Fetch our lists and hold the offer against what is signed in them."""
    run = Run(request.name, request.version)
    fetched = fetching.refresh(AptSession(run, root))
    session = AptSession(run, root)  # the first one still shows the old lists
    versions = session.versions(request.name)
    offered = [(found.version, found.urgency) for found in versions]
    base = session.installed_version(request.name)
    if base == request.version:  # installed by an attempt before, and to be activated: what runs is what it comes from
        base = ReleaseDir(request.name, root).active()
    urgency = check_offer(request, offered, base)
    check_agent(request, next(found.minimum_agent for found in versions if found.version == request.version))
    message = f"{request.name} {request.version} is in the signed lists, {urgency}"
    return StepResult(Step.REFRESH, request.version, None, message, urgency, fetched, session.signed_at())


def check_offer(request: StepRequest, offered: Iterable[tuple[str, str]], installed: str | None) -> str:
    """The signed urgency of going from the version ``installed`` to the offered one; pure.

    The most urgent of the versions above that one up to the granted one counts: the urgency of a release that
    was skipped is not lost. On a first installation nothing is skipped, and nobody is interrupted by it: there the
    version's own urgency is accepted as well. Raises ``StepError``: NOT_PUBLISHED, URGENCY_MISMATCH.
    """
    signed = dict(offered)
    if request.version not in signed:
        known = ", ".join(signed) or "none"
        raise StepError(
            Problem.NOT_PUBLISHED, f"{request.name} {request.version} is not in the signed lists (there: {known})"
        )
    passed = [
        urgency
        for version, urgency in signed.items()
        if compare_versions(version, request.version) <= 0
        and (installed is None or compare_versions(version, installed) > 0)
    ]
    own = signed[request.version]
    highest = "urgent" if "urgent" in passed or (not passed and own == "urgent") else own
    if request.urgency not in ({highest, own} if installed is None else {highest}):
        raise StepError(
            Problem.URGENCY_MISMATCH,
            f"the server offers {request.name} {request.version} as {request.urgency}, "
            f"but it is signed as {highest or 'of no urgency'}; it is not installed",
        )
    return request.urgency if installed is None else highest


def check_agent(request: StepRequest, minimum: str | None, agent: str = __version__) -> None:
    """Whether this agent may install the version; pure. Raises ``StepError``: DEPENDENCY_BLOCKED."""
    if minimum is not None and compare_versions(agent, minimum) < 0:
        raise StepError(
            Problem.DEPENDENCY_BLOCKED,
            f"{request.name} {request.version} needs pi-hook {minimum} or higher, and this device has {agent}; "
            f"upgrade the package pi-hook first",
        )


def download(request: StepRequest, root: Root) -> StepResult:
    """Fetch every .deb of the granted version that is not here yet, and check hash and signature of each."""
    plan, fetched = fetch_plan(request, root)
    fetched += keep_installed(request, root)
    # By the keys that there will be when it is installed: a device that was off may have to learn the builder's first.
    with keyring.way(request.name, root) as (way, trust):
        if way.problem is not None:
            _log.warning("the newest keyring package cannot be taken: %s", way.problem)
        fetched += sum(link.fetched for link in way.links)
        for planned in plan.packages:
            if planned.ours:
                _require_signature(root.at(ARCHIVES) / planned.file_name, root, trust)
    message = f"{len(plan.packages)} packages of {request.name} {request.version} are here, {fetched} bytes fetched"
    return StepResult(Step.DOWNLOAD, request.version, None, message, None, fetched)


def reinstall(request: StepRequest, root: Root) -> StepResult:
    """Install a version of ``NAME`` that is gone back to, from our own cache and without the network."""
    name, version = request.name, request.version
    installing.require_ready(root)
    if not _whole(request, root):
        deb = classic.cached_deb(name, version, root)
        if deb is None:
            raise StepError(
                Problem.NOT_PUBLISHED, f"no .deb of {name} {version} is in {ARCHIVES}; release a higher version"
            )
        if why := signature_problem(deb, root):
            raise StepError(Problem.UNTRUSTED, f"{deb.name} is refused: {why}")
        installing.install_deb(request, deb, root)
    classic.note_unpacked(version, root)
    return StepResult(Step.REINSTALL, version, None, f"dpkg has {name} {version} wholly installed again")


def keep_installed(request: StepRequest, root: Root) -> int:
    """Have the .deb of the installed version in the cache where that is one ordinary package: it is the only way back.

    Returns the bytes fetched. Where it is not to be had the log says so: the update is not held up by it.
    """
    own = classic.installed(request.name, root)
    if own is None or own.version == request.version or classic.cached_deb(request.name, own.version, root):
        return 0
    try:
        deb, fetched = fetching.fetch_installed(AptSession(Run(request.name, request.version), root), root.at(ARCHIVES))
        _require_signature(deb, root)
    except StepError as error:
        _log.warning("there will be no way back to %s %s: %s", request.name, own.version, error)
        return 0
    return fetched


def install(request: StepRequest, root: Root) -> StepResult:
    """Install exactly the granted version. Success is what dpkg says afterwards."""
    installing.require_ready(root)
    if not _whole(request, root):
        plan, fetched = fetch_plan(request, root)
        _take_keys(request.name, root)
        installing.install(request, plan, root)
        if not _whole(request, root):
            # Nothing was left to be installed, and yet something of it is broken.
            words = "; ".join(f"{state.package} {state.version}: {state.words}" for state in _present(request, root))
            raise StepError(Problem.DPKG_FAILED, f"dpkg has not all of {request.name} installed: {words}")
        classic.note_unpacked(request.version, root)
    else:
        fetched = 0
    message = f"dpkg has {request.name} {request.version} and its layers wholly installed"
    return StepResult(Step.INSTALL, request.version, None, message, None, fetched)


def _take_keys(assistant: str, root: Root) -> None:
    """Have the newest keys first. Where that fails, apt's hook decides by the keys that are here."""
    try:
        keyring.take(assistant, root)
    except StepError as error:
        _log.warning("the newest keyring package is not taken: %s", error)


def _whole(request: StepRequest, root: Root) -> bool:
    present = _present(request, root)
    own = any(state.package == request.name and state.version == request.version for state in present)
    return own and all(state.whole for state in present)


def _present(request: StepRequest, root: Root) -> list[PackageState]:
    states = query(root, request.name, *(f"{request.name}-{kind}-*" for kind in ("app", "deps", "asset")))
    return [state for state in states if state.present]


def _require_signature(deb: Path, root: Root, trust: Path | None = None) -> None:
    """Find out by day what apt's hook would find out in the window; the hook looks again all the same."""
    if why := signature_problem(deb, root, trust):
        deb.unlink()
        raise StepError(Problem.UNTRUSTED, f"{deb.name} is refused: {why}")
