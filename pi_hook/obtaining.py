"""Having the .debs of a version in our cache: what apt plans, fetched, and each the file that the signed lists name."""

from __future__ import annotations

import hashlib
import logging
import os
from typing import TYPE_CHECKING

import apt_pkg

from pi_hook import conditions, fetching
from pi_hook.apt_config import ARCHIVES, Run
from pi_hook.apt_errors import StepError
from pi_hook.apt_session import AptSession
from pi_hook.ports import Problem, StepRequest
from pi_hook.transaction import Plan, Transaction

if TYPE_CHECKING:
    from pathlib import Path

    from pi_hook.files import Root

_log = logging.getLogger(__name__)
_CHUNK = 1 << 20


def fetch_plan(request: StepRequest, root: Root, assistant: str = "") -> tuple[Plan, int]:
    """Work out the transaction and have its .debs in the cache; returns the bytes fetched as well.

    ``assistant`` where the package is not the assistant's own (``apt_config.Run``).
    """
    transaction = _resolve(request, root, assistant)
    plan = transaction.plan()
    archives = root.at(ARCHIVES)
    for planned in plan.packages:
        # apt looks at the size of a cached file only.
        if (cached := archives / planned.file_name).exists() and _sha256(cached) != planned.sha256:
            _log.warning("%s is damaged and will be fetched again", cached)
            cached.unlink()
    progress = fetching.Progress()
    fetcher = apt_pkg.Acquire(progress)
    transaction.prepare(fetcher)
    _require_space(root, int(fetcher.fetch_needed) - int(fetcher.partial_present), plan.unpacked_bytes)
    fetched = fetching.fetch(fetcher, progress)
    for planned in plan.packages:
        if not (deb := archives / planned.file_name).exists() or _sha256(deb) != planned.sha256:
            raise StepError(Problem.UNTRUSTED, f"{deb.name} is not the file that the signed lists name")
    os.sync()  # boot repair relies on these files
    return plan, fetched


def _resolve(request: StepRequest, root: Root, assistant: str) -> Transaction:
    """Among our own packages and what is installed if that suffices: a third of the memory. Else among all sources."""
    try:
        return Transaction(AptSession(Run(request.name, request.version, assistant=assistant), root))
    except StepError as error:
        if error.problem is not Problem.DEPENDENCY_BLOCKED:
            raise
        _log.info("looking further than our own repository: %s", error)
    run = Run(request.name, request.version, only_our_source=False, assistant=assistant)
    return Transaction(AptSession(run, root))


def _require_space(root: Root, to_fetch: int, to_unpack: int) -> None:
    """Raise ``StepError`` where download and unpacking would fill the disk."""
    archives, system = root.at(ARCHIVES), root.at("/usr")
    needs = [(archives, max(to_fetch, 0)), (system, max(to_unpack, 0))]
    if archives.stat().st_dev == system.stat().st_dev:
        needs = [(system, sum(need for _, need in needs))]
    for place, need in needs:
        free = conditions.free_bytes(place)
        if need and free < need + conditions.FREE_MARGIN_BYTES:
            raise StepError(
                Problem.DISK_FULL,
                f"{need // 1_000_000 + 1} MB and a reserve of {conditions.FREE_MARGIN_BYTES // 1_000_000} MB are needed"
                f" where {place} lies, {free // 1_000_000} MB are free; make room there",
            )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
