"""Signing what is published anew, so that devices can tell the repository from a frozen copy of it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from pkgbuild import locking
from pkgbuild.aptly import Aptly

if TYPE_CHECKING:
    from collections.abc import Callable

    from pkgbuild.config import Settings


def resign(settings: Settings, say: Callable[[str], None]) -> list[str]:
    """Publish every distribution once more as it is, with a new date; returns them as ``trixie/stable``.

    Waits for a release that is being published. Raises ``PkgbuildError``.
    """
    with locking.publishing(settings.state / "publish.lock", say), closing(Aptly.of(settings)) as aptly:
        done = []
        for prefix, distribution, snapshot in aptly.published():
            aptly.switch(prefix, distribution, snapshot)
            done.append(f"{prefix}/{distribution}")
        return done
