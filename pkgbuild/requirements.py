"""Keeping a payload's locks: finding them fresh, or making them anew and saying so."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PathDistribution
from typing import TYPE_CHECKING, assert_never

from pkgbuild import locks, wheels
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.payload import Application, Deb, Payload, Wheel

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pkgbuild.locks import Lock
    from pkgbuild.targets import Target


@dataclass(frozen=True, slots=True)
class Resolved:
    """The third-party wheels of a payload for one target."""

    path: Path
    lock: Lock


def ensure(
    payload: Payload, version: str, target: Target, scratch: Path, say: Callable[[str], None], *, anew: bool = False
) -> Resolved | None:
    """The payload's lock for ``target``, made where missing, stale, or ``anew``; None without third-party requirements.

    ``say`` is told of every file written, since the builder has to commit it. ``scratch`` is an empty folder.
    Raises ``NO_WHEEL`` and ``BAD_INPUT``.
    """
    kind = payload.file.payload
    given = None
    if isinstance(kind, Application):
        given = _given_lock(payload, kind)
        recorded = wanted = _application_requirements(payload, kind)
        own = None
    elif isinstance(kind, Wheel):
        recorded = _wheel_requirements(payload, kind, version, target, scratch=scratch, say=say)
        wanted, own = [_own_requirement(kind, version)], kind.wheel
    elif isinstance(kind, Deb):
        return None
    else:
        assert_never(kind)
    if not recorded:
        return None
    overrides = kind.overriding(target)
    recorded = [*recorded, *(f"override: {line}" for line in overrides), *(given.marks if given else ())]
    path = payload.lock(target)
    if path.is_file() and not anew:
        lock = locks.parse(path.read_text(encoding="utf-8"), str(path))
        if lock.requirements_hash == locks.requirements_hash(recorded):
            return Resolved(path, lock) if lock.pins else None
    previous = None if anew else path
    text = wheels.compile_lock(wanted, target, without=own, previous=previous, overrides=overrides)
    if given:
        text = locks.restricted(locks.parse(text, f"the lock for {target}"), given.lock, str(given.path), target)
    _write(path, locks.header(recorded, target) + text, say)
    lock = locks.parse(path.read_text(encoding="utf-8"), str(path))
    return Resolved(path, lock) if lock.pins else None


def unpack_own_wheel(payload: Payload, version: str, target: Target, folder: Path, say: Callable[[str], None]) -> None:
    """Unpack the wheel that a wheel payload releases into ``folder``, pinned by hash from its first release on."""
    kind = payload.file.payload
    if not isinstance(kind, Wheel):
        raise TypeError(f"not a wheel payload: {kind.kind}")
    path = payload.locks / f"{kind.wheel}-{version}.txt"
    if not path.is_file():
        text = wheels.compile_lock([f"{kind.wheel}=={version}"], target, dependencies=False)
        _write(path, "# The released wheel itself, pinned by hash at its first release.\n" + text, say)
    wheels.install(path, target, folder)


@dataclass(frozen=True, slots=True)
class _Given:
    """A lock that the builder made elsewhere."""

    path: Path
    lock: Lock

    @property
    def marks(self) -> list[str]:
        """What makes our own lock stale when the hashes in this one change."""
        return [f"given: {pin.name}=={pin.version} {' '.join(pin.hashes)}" for pin in self.lock.pins]


def _given_lock(payload: Payload, kind: Application) -> _Given | None:
    if kind.lock is None:
        return None
    path = payload.folder / kind.lock
    if not path.is_file():
        raise PkgbuildError(Kind.BAD_INPUT, f"release.toml names the lock {kind.lock}, but there is no {path}.")
    return _Given(path, locks.parse(path.read_text(encoding="utf-8"), str(path)))


def _application_requirements(payload: Payload, kind: Application) -> list[str]:
    if kind.lock is not None:
        return locks.wanted_by((payload.folder / kind.lock).read_text(encoding="utf-8"))
    path = payload.folder / kind.requirements
    if not path.is_file():
        if "requirements" in kind.model_fields_set:
            raise PkgbuildError(Kind.BAD_INPUT, f"release.toml names {kind.requirements}, but there is no {path}.")
        return []
    return locks.requirement_lines(path.read_text(encoding="utf-8"), str(path))


def _wheel_requirements(
    payload: Payload, kind: Wheel, version: str, target: Target, *, scratch: Path, say: Callable[[str], None]
) -> list[str]:
    """What the released wheel itself asks for: two versions that ask for the same share one lock."""
    unpack_own_wheel(payload, version, target, scratch, say)
    infos = [info for info in scratch.glob("*.dist-info") if _normalised(info.name).startswith(_normalised(kind.wheel))]
    if len(infos) != 1:
        raise PkgbuildError(Kind.BUILD_FAILED, f"{kind.wheel} {version} is not one ordinary wheel: found {infos}.")
    asked = PathDistribution(infos[0]).requires or []
    return sorted([*asked, *(f"[{extra}]" for extra in kind.extras)])


def _own_requirement(kind: Wheel, version: str) -> str:
    extras = f"[{','.join(sorted(kind.extras))}]" if kind.extras else ""
    return f"{kind.wheel}{extras}=={version}"


def _normalised(name: str) -> str:
    return name.replace("_", "-").replace(".", "-").lower()


def _write(path: Path, text: str, say: Callable[[str], None]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    say(f"wrote {path}: commit it, so that the next release uses the same wheels")
