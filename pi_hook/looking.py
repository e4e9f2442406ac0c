"""Gathers what is true of the device now, for the state machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pi_hook.effects import Facts
from pi_hook.ports import Installed, ReleaseTerms

if TYPE_CHECKING:
    from pi_hook.ports import Hands
    from pi_hook.update import Update


def look(hands: Hands, update: Update | None) -> Facts:
    """The facts; what is told of a version is told of the update's."""
    service = hands.service.state()
    try:
        installed = hands.packages.installed()
    except OSError as error:  # nothing is known to be installed then, so nothing is proven
        installed = Installed(None, broken=f"dpkg cannot be asked: {error}")
    terms = ReleaseTerms() if update is None else hands.releases.terms(update.version)
    return Facts(
        installed=installed,
        active=hands.releases.active(),
        complete=update is not None and hands.releases.complete(update.version),
        running=service.release if service.main_pid else None,
        serving=service.active,
        problems=hands.conditions.read().problems,
        terms=terms,
        reinstall=update is not None and update.previous is not None and hands.releases.reinstalls(update.previous),
        barred=terms.oldest_rollback if _is_older(hands, update, terms.oldest_rollback) else None,
    )


def _is_older(hands: Hands, update: Update | None, oldest: str | None) -> bool:
    """Whether the version before the update's is older than the oldest that can be gone back to."""
    if update is None or update.previous is None or oldest is None:
        return False
    return hands.packages.compare(update.previous, oldest) < 0
