"""The way from the fleet's keys on this device to the newest ones: keyring packages, each signed by a key known before.

A device that was off while keys changed knows the old ones only. The repository keeps every version of the keyring
package, so it goes from one that it trusts to the next (docs/adr/0030-from-key-to-key.md).
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pi_hook import installing
from pi_hook.apt_config import ARCHIVES, Run
from pi_hook.apt_errors import StepError
from pi_hook.apt_session import AptSession
from pi_hook.apt_source import SOURCE
from pi_hook.dpkg import compare_versions, query
from pi_hook.names import KEYRING_PACKAGE
from pi_hook.obtaining import fetch_plan
from pi_hook.ports import Problem, StepRequest
from pi_hook.verify import signature_problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pi_hook.dpkg import PackageState
    from pi_hook.files import Root
    from pi_hook.transaction import Plan

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Link:
    """A version of the keyring package that the one before it vouches for; its .deb is in our cache."""

    request: StepRequest
    plan: Plan
    deb: Path
    fetched: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Way:
    """From the installed version to the newest that can be had."""

    links: tuple[Link, ...]
    problem: StepError | None
    """Why it ends before the newest version."""


@contextmanager
def way(assistant: str, root: Root) -> Iterator[tuple[Way, Path | None]]:
    """The links in their order, and a folder with the trust that the last one brings; None where there is none.

    Nothing is installed. Raises ``StepError`` where apt's lists cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="pi-hook-keyring-") as folder:
        links: list[Link] = []
        trust: Path | None = None
        problem: StepError | None = None
        left = [] if _held(root) else _newer(assistant, root)
        while left:
            step, problem = _next(left, assistant, root, trust)
            if step is None:
                break
            trust = _unpacked(step.deb, Path(folder, str(len(links))))
            links.append(step)
            left = left[: left.index(step.request.version)]
        yield Way(tuple(links), problem if left else None), trust


def take(assistant: str, root: Root) -> list[str]:
    """Install what ``way`` finds; returns a sentence for each version. Raises ``StepError`` where it ends early."""
    if _held(root):
        return [f"{KEYRING_PACKAGE} is held back by `apt-mark hold`"] if _newer(assistant, root) else []
    words = []
    with way(assistant, root) as (found, _):
        for link in found.links:
            installing.install(link.request, link.plan, root, assistant)
            words.append(f"{KEYRING_PACKAGE} is {link.request.version} now")
        if found.problem is not None:
            raise found.problem
    return words


def _newer(assistant: str, root: Root) -> list[str]:
    """The versions in our signed lists above the installed one, highest first; none where none is installed."""
    if not root.at(SOURCE).exists():
        return []
    present = _present(root)
    if not present:
        return []
    offered = AptSession(Run(KEYRING_PACKAGE, "", assistant=assistant), root).versions(KEYRING_PACKAGE)
    newer = [found.version for found in offered if compare_versions(found.version, present[0].version) > 0]
    return newer[::-1]


def _present(root: Root) -> list[PackageState]:
    return [state for state in query(root, KEYRING_PACKAGE) if state.present]


def _held(root: Root) -> bool:
    return any(state.want == "hold" for state in _present(root))


def _next(versions: list[str], assistant: str, root: Root, trust: Path | None) -> tuple[Link | None, StepError | None]:
    """The highest version that is trusted already, else why the highest of all is not."""
    problem = None
    for version in versions:
        request = StepRequest(KEYRING_PACKAGE, version, "scheduled")
        try:
            plan, fetched = fetch_plan(request, root, assistant)
        except StepError as error:
            problem = problem or error
            continue
        deb = next(root.at(ARCHIVES) / planned.file_name for planned in plan.packages)
        why = signature_problem(deb, root, trust)
        if why is None:
            return Link(request, plan, deb, fetched), None
        deb.unlink()
        problem = problem or StepError(Problem.UNTRUSTED, f"{deb.name} is refused: {why}")
    return None, problem


def _unpacked(deb: Path, folder: Path) -> Path:
    """What the package would bring: read only after its signature was found good."""
    done = subprocess.run(["dpkg-deb", "--extract", str(deb), str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(folder, ignore_errors=True)
        raise StepError(Problem.UNTRUSTED, f"{deb.name} cannot be unpacked: {' '.join(done.stderr.split())}")
    return folder
