"""The transaction: unattended-upgrades (or apt, the first time) over our own configuration, believed only by dpkg."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

from pi_hook import apt_config, conditions, repair
from pi_hook.apt_config import Run
from pi_hook.apt_errors import StepError, cause
from pi_hook.dpkg import query
from pi_hook.ports import Problem, StepRequest

if TYPE_CHECKING:
    from pathlib import Path

    from pi_hook.files import Root
    from pi_hook.transaction import Plan

_log = logging.getLogger(__name__)

UNATTENDED_UPGRADE = "/usr/lib/pi-hook/unattended-upgrade"
"""Debian's program, kept from reading ``apt.conf.d`` over our configuration."""
_UU_DPKG_LOG = "/var/log/unattended-upgrades/unattended-upgrades-dpkg.log"
_OUTPUT_CHARACTERS = 200_000


def require_ready(root: Root) -> None:
    """Look before leaping: writable, not locked, dpkg's state clean. Raises ``StepError``."""
    if not all(conditions.writable_for_good(root.at(path)) for path in ("/usr", "/var/lib/dpkg")):
        raise StepError(
            Problem.READ_ONLY_ROOT, "the system is read-only (or an overlay that forgets); nothing can stay"
        )
    if (holder := conditions.lock_holder(root)) is not None:
        raise StepError(Problem.APT_LOCKED, f"another package manager is at work (process {holder or 'unknown'})")
    # unattended-upgrades takes a dirty journal for a lock and would never get to its own repair.
    if repair.needed(root):
        repair.repair(root)


def install(request: StepRequest, plan: Plan, root: Root, assistant: str = "") -> None:
    """Install the plan. Raises ``StepError`` unless dpkg has every package of it wholly installed afterwards.

    ``assistant`` where the package is not the assistant's own (``apt_config.Run``).
    """
    if repair.needed(root):
        repair.repair(root)  # what could not be mended from the cache may be there now
    ours_only = all(planned.ours for planned in plan.packages)
    run = Run(
        request.name,
        request.version,
        only_our_source=ours_only,
        packages=plan.names,
        origins=plan.origins,
        assistant=assistant,
    )
    output = run_apt(_command(request, root), run, root)
    missing = _missing(plan, root)
    if missing and repair.needed(root):
        _log.warning("the transaction left dpkg's state broken; mending it")
        repair.repair(root)
        missing = _missing(plan, root)
    if missing:
        found = cause(output, Problem.DPKG_FAILED)
        raise StepError(found.problem, f"{request.name} {request.version} is not installed ({missing}): {found.line}")


def run_apt(command: list[str], run: Run, root: Root) -> str:
    """Run a command over the configuration of a run; returns all that it and dpkg said. Its status proves nothing."""
    environment = {**apt_config.environment(), "APT_CONFIG": apt_config.write(run, root)}
    log = root.at(_UU_DPKG_LOG)
    logged = log.stat().st_size if log.exists() else 0
    return _run(command, environment) + _read_from(log, logged)


def install_deb(request: StepRequest, deb: Path, root: Root) -> None:
    """Install one .deb of ``NAME`` whose signature was checked (dpkg runs no hook of apt), whatever is installed now.

    Raises ``StepError`` unless dpkg has it wholly installed afterwards.
    """
    at_root = [] if str(root.path) == "/" else [f"--root={root.path}"]
    options = ["--force-confdef", "--force-confold", "--force-downgrade"]
    output = _run(["dpkg", *at_root, "--install", *options, str(deb)], apt_config.environment())
    own = [state for state in query(root, request.name) if state.package == request.name]
    if not any(state.whole and state.version == request.version for state in own):
        found = cause(output, Problem.DPKG_FAILED)
        raise StepError(found.problem, f"{request.name} {request.version} could not be installed again: {found.line}")


def _command(request: StepRequest, root: Root) -> list[str]:
    name = request.name
    whole = any(state.package == name and state.whole for state in query(root, name))
    if whole:
        return [UNATTENDED_UPGRADE, "--verbose"]
    # unattended-upgrades upgrades what is installed and installs nothing by itself: the first time apt has to.
    return ["apt-get", "install", "--yes", "--no-remove", f"{name}={request.version}"]


def _run(command: list[str], environment: dict[str, str]) -> str:
    """Run to the end, however long; everything said goes to our own log (the journal) as well."""
    _log.info("running %s", " ".join(command))
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None  # noqa: S101 - asked for above
        lines = []
        for line in process.stdout:
            sys.stderr.write(line)
            lines.append(line)
    _log.info("%s ended with %d, which proves nothing; asking dpkg", command[0], process.returncode)
    return "".join(lines)[-_OUTPUT_CHARACTERS:]


def _read_from(log: Path, offset: int) -> str:
    try:
        with log.open("rb") as stream:
            stream.seek(offset)
            return stream.read(_OUTPUT_CHARACTERS).decode(errors="replace")
    except FileNotFoundError:
        return ""


def _missing(plan: Plan, root: Root) -> str:
    """What dpkg does not have as planned, in dpkg's words; empty where all is well."""
    states = {state.package: state for state in query(root, *plan.names)} if plan.names else {}
    wrong = []
    for planned in plan.packages:
        state = states.get(planned.package)
        if state is None or not state.whole or state.version != planned.version:
            words = f"{state.version} {state.words}" if state else "not installed"
            wrong.append(f"{planned.package} {planned.version}: dpkg says {words}")
    return "; ".join(wrong)
