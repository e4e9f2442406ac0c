"""The assistant's releases, whichever form each has (``ports.Releases``): layers behind ``current``, or one package."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from pi_hook import classic
from pi_hook.apt_source import SHUN
from pi_hook.dpkg import compare_versions, query
from pi_hook.files import Root, write_atomic
from pi_hook.ports import ReleaseError
from pi_hook.release_dir import ReleaseDir

if TYPE_CHECKING:
    from pi_hook.ports import ReleaseTerms


class AssistantReleases:
    """Asks dpkg which form is installed; a device may have come from one to the other."""

    def __init__(self, name: str, root: Root | None = None) -> None:
        self._name = name
        self._root = root or Root()
        self._layered = ReleaseDir(name, self._root)

    def active(self) -> str | None:
        """What ``current`` names and is complete; of one ordinary package, what is wholly installed."""
        own = classic.installed(self._name, self._root)
        if own is None:
            return self._layered.active()
        return own.version if own.whole else None

    def complete(self, version: str) -> bool:
        """Whether it can be run as it is."""
        own = classic.installed(self._name, self._root)
        return (own is not None and own.whole and own.version == version) or self._layered.complete(version)

    def present(self) -> list[str]:
        """The versions that are complete here, or in the cache as one package, highest first."""
        own = classic.installed(self._name, self._root)
        found = {*self._layered.present(), *classic.cached_versions(self._name, self._root)}
        found |= {own.version} if own is not None and own.whole else set()
        return sorted(found, key=functools.cmp_to_key(compare_versions), reverse=True)

    def reinstalls(self, version: str) -> bool:
        """Whether going to this version takes its .deb: it is one package, or would take the place of one."""
        if any(state.version == version for state in query(self._root, self._name) if state.whole):
            return False
        if classic.installed(self._name, self._root) is not None:
            return True
        return not self._layered.complete(version) and classic.cached_deb(self._name, version, self._root) is not None

    def activate(self, version: str) -> None:
        """Point ``current`` at it; one package that is installed needs no pointing. Raises ``ReleaseError``."""
        own = classic.installed(self._name, self._root)
        if own is None:
            self._layered.activate(version)
        elif own.version != version or not own.whole:
            raise ReleaseError(f"{self._name} {version} cannot be activated: dpkg has {own.version} ({own.words})")

    def protect(self, versions: frozenset[str]) -> None:
        """Of layers only: one package is not removed by itself."""
        self._layered.protect(versions)

    def remove_others(self, keep: frozenset[str]) -> list[str]:
        """Layers and cached .debs of other versions."""
        return self._layered.remove_others(keep)

    def terms(self, version: str) -> ReleaseTerms:
        """Of one package: none."""
        return self._layered.terms(version)

    def shun(self, versions: frozenset[str]) -> None:
        """Pin these versions away from a person's own ``apt upgrade``, which would bring a bad one at once again."""
        pins = "".join(
            f"Package: {self._name}\nPin: version {version}\nPin-Priority: -1\n\n"
            for version in sorted(versions, key=functools.cmp_to_key(compare_versions))
        )
        notice = "Explanation: Written by pi-hook: versions that failed on this device; `pi-hook status` names them.\n"
        if pins or self._root.at(SHUN).exists():
            write_atomic(self._root.at(SHUN), notice + pins if pins else "")
