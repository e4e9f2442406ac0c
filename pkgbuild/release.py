"""One release, from a payload folder to announced packages: the steps and what each needs of the others."""

from __future__ import annotations

import functools
import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pkgbuild import assets, catalogue, control, expiry, history, keys, payload, plan, requirements, session, versions
from pkgbuild.announce import package_row
from pkgbuild.aptly import Aptly
from pkgbuild.build import Builder, TargetPackages
from pkgbuild.control import Release, Urgency
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.plan import Starting
from pkgbuild.publisher import Part, Publisher
from pkgbuild.session import Published
from pkgbuild.targets import Target

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager

    from pkgbuild.config import Settings
    from pkgbuild.journal import Entry
    from pkgbuild.payload import Payload
    from pkgbuild.progress import Progress
    from pkgbuild.requirements import Resolved
    from pkgbuild.session import Session
    from pkgbuild.signing import Signer

STEPS = 6


@dataclass(frozen=True, slots=True)
class Request:
    """What the builder asked for."""

    src: Path
    version: str
    notes: str
    urgency: str
    channel: str
    targets: tuple[Target, ...] | None
    """None: those of ``release.toml``, else those of the settings."""
    dry_run: bool = False
    """Build everything, publish nothing: the summary is the plan."""


def run(settings: Settings, request: Request, progress: Progress) -> dict[str, Any]:
    """Make the release; returns the summary of ``--json``. Raises ``PkgbuildError``; then nothing has changed."""
    with session.signing(settings, "release-", progress) as opened:
        return _Run(opened, request, progress).run()


def describe(source: Payload, version: str, urgency: Urgency, notes: str) -> Release:
    """What is released, as the builder, the payload and its git repository say. Raises ``BAD_INPUT``."""
    return Release(
        file=source.file,
        version=version,
        urgency=urgency,
        notes=control.one_line(notes or history.last_subject(source.folder)),
        assets={asset.name: asset.identity for asset in assets.find(source)},
        changes=history.changes(source.folder),
    )


class _Run:
    def __init__(self, opened: Session, request: Request, progress: Progress) -> None:
        self._session = opened
        self._settings = opened.settings
        self._request = request
        self._progress = progress
        self._work = opened.work
        self._publisher = opened.publisher(request.channel)
        self._listed = functools.cache(keys.listed)
        self._finished: list[Entry] = []

    def run(self) -> dict[str, Any]:
        progress, request = self._progress, self._request
        progress.step(f"checking {request.src}, the keys, aptly and the server")
        version = versions.check_version(request.version)
        urgency, source = Urgency.read(request.urgency), payload.read(request.src)
        source = replace(source, revoked=self._settings.revoked)
        targets = self._targets(source)
        with ThreadPoolExecutor(3) as aside:  # git, gpg, the server and aptly are asked beside each other
            describing = aside.submit(describe, source, version, urgency, request.notes)
            finding = aside.submit(self._signer, source.name, version)
            asking = aside.submit(self._check_server)
            seen = self._check_aptly(source.name, version, targets)
            release, signer = describing.result(), finding.result()
            asking.result()

        progress.step("checking the locks")
        resolved = {target: self._resolve(source, version, target) for target in targets}

        with self._locked() as finished:
            self._remember(finished, release.name, version)
            builder = Builder(
                source,
                release,
                signer,
                work=self._work,
                cache=self._settings.state / "cache/layers",
                progress=progress,
                allowed=self._settings.file.allowed_packages,
            )
            with ThreadPoolExecutor(2) as aside:
                probe = aside.submit(self._probe, release, targets, seen)
                warnings = aside.submit(expiry.warnings, self._settings, listing=self._listed)
                packages = builder.build(resolved, self._publisher)
                probe.result()
            parts = self._parts(packages)
            update = _update(release, request.channel, packages)
            if request.dry_run:
                progress.step("nothing is published: this is a dry run")
                return plan.plan(update, packages, self._starting(release, targets))
            if self._finished:
                done = self._published_before(self._finished[0], parts, update)
            else:
                title = f"{release.name} {release.version} ({release.urgency})"
                done = self._session.publish(self._publisher, parts, title, update)
        signer.forget()
        return {**update, **asdict(done), "warnings": warnings.result()}

    def _check_server(self) -> None:
        if self._session.announcer:
            self._session.announcer.check()

    def _check_aptly(self, name: str, version: str, targets: Sequence[Target]) -> list[tuple[str, str, str]]:
        """Whether it answers, and the version is new; what is published there by now."""
        aptly = self._session.aptly
        with aptly.busy():
            self._progress.detail(f"aptly {aptly.version()} at {aptly.url}")
            with self._locked() as finished:
                self._remember(finished, name, version)
                self._check_version(self._publisher, name, version, targets)
                return aptly.published()

    def _probe(self, release: Release, targets: Sequence[Target], seen: list[tuple[str, str, str]]) -> None:
        """See whether the version is new still and aptly can sign: beside the building, over an own connection."""
        with closing(Aptly.of(self._settings)) as own:
            publisher = self._session.publisher(self._request.channel, own)
            if own.published() != seen:  # another release was quicker
                self._check_version(publisher, release.name, release.version, targets)
            if not self._request.dry_run:
                publisher.check_can_sign()

    def _locked(self) -> AbstractContextManager[Entry | None]:
        """A dry run changes nothing, so it waits for nobody and leaves what a killed run has left."""
        return nullcontext() if self._request.dry_run else self._session.locked()

    def _starting(self, release: Release, targets: Sequence[Target]) -> list[Starting]:
        """Which versions devices may come from: none, the newest on the channel, and what the server knows of."""
        aptly, announcer = self._session.aptly, self._session.announcer
        in_use = announcer.releases(release.name)["in_use"] if announcer else []
        found = []
        for target in targets:
            counts = {
                row["version"]: row["devices"]
                for row in in_use
                if (row["debian"], row["architecture"]) == (target.debian, target.architecture)
            }
            newest = versions.highest(self._publisher.published_versions(release.name, target.debian))
            found.append(Starting(target, None, frozenset()))
            for version in sorted({*counts, *([newest] if newest else [])}, key=versions.order):
                have = catalogue.hashes(aptly, release.name, version, target)
                found.append(Starting(target, version, have, counts.get(version, 0) if announcer else None))
        return found

    def _remember(self, finished: Entry | None, name: str, version: str) -> None:
        """Whether the run before, which was killed, has published this very release."""
        update = finished.update if finished else None
        wanted = (name, version, self._request.channel)
        if finished and update and (update["name"], update["version"], update["channel"]) == wanted:
            self._finished.append(finished)

    def _published_before(self, entry: Entry, parts: Sequence[Part], update: dict[str, Any]) -> Published:
        """As ``Session.publish`` answers. Raises ``VERSION_NOT_HIGHER`` where something else was published."""
        if _comparable(update) != _comparable(entry.update or {}):
            raise PkgbuildError(
                Kind.VERSION_NOT_HIGHER,
                f"The run before was ended while it published {update['name']} {update['version']}, which is finished"
                " now. What you release now is not the same: release it as a higher version.",
            )
        self._progress.step("this very release was published by the run before, and is finished now")
        announcer = self._session.announcer
        update_id = announcer.announce(update).get("id") if announcer else None
        snapshots = [change.snapshot for change in entry.changes]
        return Published(snapshots, update_id, session.uploaded_bytes(parts))

    def _targets(self, source: Payload) -> tuple[Target, ...]:
        named = source.file.targets
        own = tuple(Target.parse(words) for words in named) if named else self._settings.targets
        chosen = tuple(dict.fromkeys(self._request.targets or own))
        if not chosen:
            raise PkgbuildError(Kind.BAD_INPUT, "There is no target: set `targets` in the settings, or give --target.")
        return chosen

    def _signer(self, name: str, version: str) -> Signer:
        archive = self._settings.file.archive
        signer = self._session.signer(f"{name}_{version}", self._listed)
        if archive.gnupghome:
            keys.find(self._settings.archive_home, archive.key, whose="archive", listing=self._listed)
        return signer

    def _check_version(self, publisher: Publisher, name: str, version: str, targets: Sequence[Target]) -> None:
        if self._finished:
            return
        for debian in sorted({target.debian for target in targets}):
            publisher.check_new(name, version, debian)

    def _resolve(self, source: Payload, version: str, target: Target) -> Resolved | None:
        with tempfile.TemporaryDirectory(dir=self._work) as scratch:
            found = requirements.ensure(source, version, target, Path(scratch), self._progress.detail)
        if found:
            found = replace(found, lock=replace(found.lock, revoked=self._settings.revoked))
        words = (
            f"{len(found.lock.pins)} wheels, layer {found.lock.identity(target)}" if found else "no third-party wheels"
        )
        self._progress.detail(f"{target}: {words}")
        return found

    @staticmethod
    def _parts(packages: Sequence[TargetPackages]) -> list[Part]:
        releases = sorted({p.target.debian for p in packages})
        return [
            Part(
                debian=debian,
                built=tuple({deb.path: deb for p in packages if p.target.debian == debian for deb in p.built}.values()),
                reused=tuple(
                    {one.key: one for p in packages if p.target.debian == debian for one in p.reused}.values()
                ),
            )
            for debian in releases
        ]


def _comparable(update: dict[str, Any]) -> dict[str, Any]:
    packages = sorted(json.dumps(row, sort_keys=True) for row in update.get("packages", ()))
    return {**update, "packages": packages}


def _update(release: Release, channel: str, packages: Sequence[TargetPackages]) -> dict[str, Any]:
    """The announcement (docs/INTERFACES.md): every package of the release, the reused layers included."""
    return {
        "name": release.name,
        "version": release.version,
        "channel": channel,
        "urgency": str(release.urgency),
        "notes": release.notes,
        "minimum_agent": release.file.minimum_agent,
        "packages": [
            *(package_row(one, p.target.debian, p.target.architecture) for p in packages for one in p.built),
            *(package_row(one, p.target.debian, p.target.architecture) for p in packages for one in p.reused),
        ],
        # Left out where there is nothing to say: a server older than this field refuses it.
        **({"rollout": release.file.rollout.announced()} if release.file.rollout else {}),
    }
