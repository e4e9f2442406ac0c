"""What every command that publishes works with: aptly, the publish lock, the journal, the server, a work folder."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pkgbuild import locking, unfinished
from pkgbuild.announce import Announcer
from pkgbuild.aptly import Aptly
from pkgbuild.journal import Journal
from pkgbuild.publisher import Publisher
from pkgbuild.workfolder import work_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pkgbuild.config import Settings
    from pkgbuild.journal import Entry
    from pkgbuild.progress import Progress


@dataclass(frozen=True, slots=True)
class Session:
    """One run of a command."""

    settings: Settings
    aptly: Aptly
    work: Path
    """A folder that goes with the run."""
    announcer: Announcer | None
    """None where the settings name no server."""
    progress: Progress

    @property
    def journal(self) -> Journal:
        """Of the builder's state folder."""
        return Journal(self.settings.state)

    def publisher(self, channel: str, aptly: Aptly | None = None) -> Publisher:
        """For one channel; over another connection where one is given."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        return Publisher(
            aptly or self.aptly,
            channel,
            journal=self.journal,
            aptly_root=self.settings.aptly_root,
            stamp=stamp,
            progress=self.progress,
        )

    @contextmanager
    def locked(self) -> Iterator[Entry | None]:
        """Hold the publish lock, after bringing to an end what a killed run has left.

        The value is that run's entry where it was finished. Raises ``PkgbuildError``.
        """
        with locking.publishing(self.settings.state / "publish.lock", self.progress.detail):
            yield unfinished.recover(self.aptly, self.journal, self._announce, self.progress.detail)

    def _announce(self, update: dict[str, Any]) -> None:
        if self.announcer is not None:
            self.announcer.announce(update)


@contextmanager
def opened(settings: Settings, prefix: str, progress: Progress) -> Iterator[Session]:
    """For one run; ``prefix`` begins its work folder's name. Raises ``BAD_INPUT`` for a server without a key."""
    with closing(Aptly.of(settings)) as aptly, work_folder(settings.state / "build", prefix) as work:
        yield Session(settings, aptly, work, Announcer.of(settings), progress)
