"""What every command that publishes works with: aptly, the publish lock, the journal, the server, a work folder."""

from __future__ import annotations

from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pkgbuild import keys, locking, unfinished
from pkgbuild.announce import Announcer
from pkgbuild.aptly import Aptly
from pkgbuild.journal import Journal
from pkgbuild.publisher import Publisher
from pkgbuild.signing import Signer
from pkgbuild.workfolder import work_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pkgbuild.config import Settings
    from pkgbuild.journal import Entry
    from pkgbuild.keys import Listing
    from pkgbuild.progress import Progress
    from pkgbuild.publisher import Part


@dataclass(frozen=True, slots=True)
class Published:
    """What came of publishing a release."""

    snapshots: list[str]
    update_id: str | None
    """The server's; None where the settings name no server."""
    uploaded_bytes: int


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

    def signer(self, what: str, listing: Listing | None = None) -> Signer:
        """The builder's, which remembers under ``what`` what it has signed. Raises ``MISSING_KEY``."""
        home, named = self.settings.builder_home, self.settings.file.builder.key
        key = keys.find(home, named, whose="builder", listing=listing)
        return Signer(key, self.settings.state / "cache/signed" / key.fingerprint / what)

    def publish(self, publisher: Publisher, parts: Sequence[Part], title: str, update: dict[str, Any]) -> Published:
        """Publish a release's parts and tell the server, if there is one. Raises ``PkgbuildError``."""
        self.progress.step(f"publishing on {update['channel']} ({', '.join(part.debian for part in parts)})")
        publisher.check_room(parts)
        answers: list[dict[str, Any]] = []

        def announce() -> None:
            if self.announcer is None:
                self.progress.step("not announced: the settings name no server")
            else:
                self.progress.step("announcing to the server")
                answers.append(self.announcer.announce(update))

        snapshots = publisher.publish(parts, title, announce, update)
        return Published(snapshots, answers[0].get("id") if answers else None, uploaded_bytes(parts))

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


def uploaded_bytes(parts: Sequence[Part]) -> int:
    """What of the parts aptly did not hold before."""
    return sum(deb.size for part in parts for deb in part.built)


@contextmanager
def signing(settings: Settings, prefix: str, progress: Progress) -> Iterator[Session]:
    """``opened`` for a run that signs: it leaves no gpg-agent behind."""
    with keys.no_agent_left_behind(settings.builder_home), opened(settings, prefix, progress) as session:
        yield session


@contextmanager
def opened(settings: Settings, prefix: str, progress: Progress) -> Iterator[Session]:
    """For one run; ``prefix`` begins its work folder's name. Raises ``BAD_INPUT`` for a server without a key."""
    with closing(Aptly.of(settings)) as aptly, work_folder(settings.state / "build", prefix) as work:
        yield Session(settings, aptly, work, Announcer.of(settings), progress)
