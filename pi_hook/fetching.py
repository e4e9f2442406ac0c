"""Fetching with libapt: true byte counts, and every error that apt only mutters about."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apt_pkg
from apt.progress.base import AcquireProgress

from pi_hook.apt_errors import StepError, cause
from pi_hook.apt_session import our_file
from pi_hook.ports import Problem

if TYPE_CHECKING:
    from pathlib import Path

    from pi_hook.apt_session import AptSession

_FAILED = (
    apt_pkg.AcquireItem.STAT_ERROR,
    apt_pkg.AcquireItem.STAT_AUTH_ERROR,
    apt_pkg.AcquireItem.STAT_TRANSIENT_NETWORK_ERROR,
)


class Progress(AcquireProgress):
    """Collects what failed; ``fetched_bytes`` is set by libapt when a run ends."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[str] = []
        self.total = 0

    def fail(self, item: apt_pkg.AcquireItemDesc) -> None:
        """Take an item's error; one that libapt itself ignores (an optional file) is none."""
        if item.owner.status in _FAILED:
            self.errors.append(f"{item.uri}: {item.owner.error_text or 'failed'}")

    def stop(self) -> None:
        """Add up the bytes: a run may have several rounds."""
        super().stop()
        self.total += int(self.fetched_bytes)


def refresh(session: AptSession) -> int:
    """Fetch the session's lists; returns the bytes fetched.

    Raises ``StepError``. apt takes a list over only where all of its signatures and hashes hold; otherwise the lists
    stay as they were. It reports most of this as warnings and success: hence the items' own errors.
    """
    progress = Progress()
    raised = ""
    try:
        session.cache.update(progress, session.sources, 0)
    except SystemError as error:
        raised = str(error)
    if progress.errors or raised:
        raise _error("\n".join([*progress.errors, raised]), "the lists of our repository could not be fetched")
    return progress.total


def fetch(fetcher: apt_pkg.Acquire, progress: Progress) -> int:
    """Run a prepared fetcher; returns the bytes fetched. Raises ``StepError``."""
    raised = ""
    try:
        fetcher.run()
    except SystemError as error:
        raised = str(error)
    errors = [*progress.errors, raised] if raised else list(progress.errors)
    errors += [
        f"{item.desc_uri}: {item.error_text or 'is not complete'}"
        for item in fetcher.items
        if not (item.complete and item.status == item.STAT_DONE)
    ]
    if errors:
        raise _error("\n".join(errors), "a package could not be fetched")
    return progress.total


_ADVICE = {
    Problem.REFUSED: "the repository does not accept this device's credentials",
    Problem.UNTRUSTED: "a signature or hash does not hold, so nothing was taken over",
    Problem.UNREACHABLE: "it will be tried again",
    Problem.NOT_PUBLISHED: "the channel may not be published yet, its lists too old, or this device's clock wrong",
}


def _error(text: str, what: str) -> StepError:
    found = cause(text, Problem.UNREACHABLE)
    advice = _ADVICE.get(found.problem)
    return StepError(found.problem, f"{what}{'; ' + advice if advice else ''}: {found.line}")


def fetch_installed(session: AptSession, archives: Path) -> tuple[Path, int]:
    """Fetch the .deb of the installed version of the assistant once more; returns its place and the bytes fetched.

    Raises ``StepError``: NOT_PUBLISHED where our repository does not have it (any more).
    """
    name = session.run.name
    current = session.cache[name].current_ver
    found = our_file(current) if current else None
    if current is None or found is None:
        raise StepError(Problem.NOT_PUBLISHED, f"the installed version of {name} is not in our repository")
    records = session.records
    records.lookup(found)
    deb = archives / f"{name}_{current.ver_str.replace(':', '%3a')}_{current.arch}.deb"
    progress = Progress()
    fetcher = apt_pkg.Acquire(progress)
    uri = session.sources.find_index(found[0]).archive_uri(records.filename)
    sha256 = str(records.hashes.find("SHA256"))
    item = apt_pkg.AcquireFile(fetcher, uri, sha256, current.size, name, name, destfile=str(deb))
    fetched = fetch(fetcher, progress)
    del item  # kept until now: the fetcher writes into it
    return deb, fetched
