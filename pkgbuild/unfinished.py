"""Finishing or taking back what a run has begun: after a failure within it, or in the next run after it was killed.

Once every snapshot is there and compared, a killed run is finished: devices may have seen a part of it. Before that it
is taken back: no device has seen anything. The published snapshot is what counts; the local repository follows it.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from pkgbuild.announce import AnnouncementRefusedError
from pkgbuild.aptly import repository_name
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.journal import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from pkgbuild.aptly import Aptly
    from pkgbuild.journal import Change, Entry, Journal

    Announce = Callable[[dict[str, Any]], None]

_STAMP = r"-\d{8}T\d{12}"


def recover(aptly: Aptly, journal: Journal, announce: Announce, say: Callable[[str], None]) -> Entry | None:
    """Bring to an end what a killed run has left; returns it where it was finished, None where it was taken back.

    Raises ``PkgbuildError`` where that fails; the next run tries again.
    """
    entry = journal.read()
    if entry is None:
        return None
    aptly.wait_until_idle()  # it may still be doing what the killed run has asked for
    if entry.stage is Stage.SWITCHING:
        say(f"finishing {entry.title} on {entry.channel}: the run before was ended in the middle of publishing it")
        _finish(aptly, journal, entry, announce)
        return entry
    say(f"taking back {entry.title} on {entry.channel}: the run before was ended before it was published")
    if failures := take_back(aptly, journal, entry):
        raise PkgbuildError(
            Kind.PUBLISH_FAILED, f"Taking back {entry.title} failed ({'; '.join(failures)}): mend that, then try again."
        )
    return None


def switch(aptly: Aptly, channel: str, change: Change, *, first: bool, tidy: bool = True) -> None:
    """Let devices see the new snapshot, the ``first`` that is published there or one in the place of another.

    Switching once more changes nothing but the signature's time. Without ``tidy`` files that nothing needs any more
    stay: there are none after a snapshot that has everything of the one before.
    """
    if first:
        aptly.publish(change.debian, channel, change.snapshot)
    else:
        aptly.switch(change.debian, channel, change.snapshot, tidy=tidy)


def take_back(aptly: Aptly, journal: Journal, entry: Entry) -> list[str]:
    """Put everything back as it was before the run; returns a sentence for each step that failed.

    One that fails does not keep the others from being taken. The journal is cleared where none has.
    """
    if entry.stage is Stage.SWITCHING:
        entry = entry.at(Stage.TAKING_BACK)
        journal.write(entry)
    failures = []
    for change in reversed(entry.changes):
        repository = repository_name(change.debian, entry.channel)
        for doing, step in (
            (f"going back to {change.previous or 'nothing'}", partial(_unswitch, aptly, entry, change)),
            (f"putting {repository} back", partial(restore, aptly, repository, change.previous)),
            (f"deleting {change.snapshot}", partial(_forget, aptly, change.snapshot)),
        ):
            try:
                step()
            except PkgbuildError as error:
                failures.append(f"{doing}: {error}")
    if not failures:
        journal.clear()
    return failures


def tidy(aptly: Aptly, entry: Entry, *, previous_too: bool = False) -> None:
    """Delete the snapshots of the channel that are neither published now nor were before this run."""
    for change in entry.changes:
        ours = re.compile(re.escape(repository_name(change.debian, entry.channel)) + _STAMP)
        with suppress(PkgbuildError):  # the next run deletes them
            staying = {change.snapshot, None if previous_too else change.previous}
            for name in sorted(aptly.snapshots() - staying):
                if ours.fullmatch(name):
                    aptly.delete_snapshot(name)


def restore(aptly: Aptly, repository: str, snapshot: str | None) -> None:
    """Let a local repository hold what a snapshot holds; without a snapshot there is no repository either."""
    if repository not in aptly.repositories():
        return
    if snapshot is None:
        aptly.delete_repository(repository)
        return
    have, want = aptly.keys(repository), aptly.snapshot_keys(snapshot)
    if have - want:
        aptly.remove(repository, sorted(have - want))
    if want - have:
        aptly.add_listed(repository, sorted(want - have))


def _finish(aptly: Aptly, journal: Journal, entry: Entry, announce: Announce) -> None:
    for change in entry.changes:
        # what the killed run found there says nothing: it may have published its own since
        switch(aptly, entry.channel, change, first=aptly.published_snapshot(change.debian, entry.channel) is None)
    if entry.update is not None:
        try:
            announce(entry.update)
        except AnnouncementRefusedError:
            take_back(aptly, journal, entry)
            raise
    tidy(aptly, entry)
    journal.clear()


def _unswitch(aptly: Aptly, entry: Entry, change: Change) -> None:
    if entry.stage is Stage.FILLING:
        return
    if change.previous is not None:
        # also where it is published still: a failed switch may leave by-hash files of it missing (aptly 1.5)
        aptly.switch(change.debian, entry.channel, change.previous)
    elif aptly.published_snapshot(change.debian, entry.channel) is not None:
        aptly.unpublish(change.debian, entry.channel)


def _forget(aptly: Aptly, snapshot: str) -> None:
    if snapshot in aptly.snapshots():
        aptly.delete_snapshot(snapshot)
    if snapshot in aptly.uploads():
        aptly.discard_upload(snapshot)
