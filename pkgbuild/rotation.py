"""How the keys of a ring change: rotate, retire, revoke. Pure: a ring in, a ring out, or why not.

Each may be done again at any time: what has been done is not done twice, and what was cut off goes on.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pkgbuild import versions
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.ring import Ring, Role, State

if TYPE_CHECKING:
    from collections.abc import Mapping

Channels = dict[str, frozenset[str]]
"""Of each channel the versions of the keyring package that every Debian release of it carries."""
PUBLISH = "pkgbuild keys publish"


def rotate_builder(ring: Ring, fresh: str | None, channels: Channels) -> tuple[Ring, str]:
    """First a key comes beside the present one; once devices can know it, it is the one that signs.

    ``fresh`` is a key that was just made, where the ring had none that waits. Returns what to do next as well. Raises
    ``BAD_INPUT`` where a device could not know the new key yet.
    """
    if fresh is not None:
        return ring.moved(Role.BUILDER, {fresh: State.NEXT}), (
            f"The new builder key {fresh} signs nothing yet. Next: `{PUBLISH}`, so that devices trust it; then run"
            " `pkgbuild keys rotate builder` again."
        )
    (coming,) = ring.of(Role.BUILDER, {State.NEXT})
    _require_known(ring, Role.BUILDER, coming, channels)
    present = ring.current(Role.BUILDER)
    ring = ring.moved(Role.BUILDER, {present: State.OLD, coming: State.CURRENT})
    return ring, (
        f"From now on releases are signed by {coming}. {present} stays trusted as long as what it signed is in use;"
        " `pkgbuild keys retire builder` says whether it still is."
    )


def rotate_archive(ring: Ring, fresh: str | None) -> tuple[Ring, str]:
    """The new key signs beside the old one from now on; devices that know either are content."""
    if fresh is not None:
        ring = ring.moved(Role.ARCHIVE, {ring.current(Role.ARCHIVE): State.OLD, fresh: State.CURRENT})
    old = ", ".join(ring.of(Role.ARCHIVE, {State.OLD}))
    return ring, (
        f"{ring.current(Role.ARCHIVE)} and {old} sign the repository together from its next publication on. Next:"
        f" `{PUBLISH}`, so that devices learn the new key; when every device has been online since,"
        " `pkgbuild keys retire archive`."
    )


def revoke(ring: Ring, role: Role, fingerprint: str, fresh: str | None) -> tuple[Ring, str]:
    """The key leaves what devices trust with the next keyring package.

    ``fresh`` is a key that was just made, where no other is there to sign.
    """
    changes = {fingerprint: State.REVOKED}
    if ring.state(role, fingerprint) is State.CURRENT:
        waiting = ring.of(role, {State.NEXT})
        changes[fresh or waiting[0]] = State.CURRENT
    ring = ring.moved(role, changes)
    words = f"{fingerprint} is revoked; {ring.current(role)} is the {role} key. Next, at once: `{PUBLISH}`."
    if role is Role.ARCHIVE:
        words += (
            " The revoked key goes on to sign beside the new one, or no device would hear of it; end that with"
            " `pkgbuild keys retire archive`."
        )
    return ring, words


def retire_archive(ring: Ring, channels: Channels, offline: timedelta, now: datetime) -> tuple[Ring, str]:
    """The new key signs alone. Raises ``BAD_INPUT`` where a device that was off for ``offline`` would be locked out."""
    leaving = ring.of(Role.ARCHIVE, {State.OLD, State.REVOKED})
    current = ring.current(Role.ARCHIVE)
    if not leaving:
        return ring, f"Nothing to retire: {current} is the only archive key in use."
    _require_known(ring, Role.ARCHIVE, current, channels)
    since = max(_known_since(ring, Role.ARCHIVE, current, channel, now) for channel in channels)
    if now < since + offline:
        raise PkgbuildError(
            Kind.BAD_INPUT,
            f"The keyring package with {current} is on every channel since {since:%Y-%m-%d %H:%M} UTC only. A device"
            f" that has been off since before knows only the old key and would be locked out: wait until"
            f" {since + offline:%Y-%m-%d} ({offline.days} days), or say with --offline-days for how long devices may"
            " have been off.",
        )
    return ring.moved(Role.ARCHIVE, dict.fromkeys(leaving, State.RETIRED)), (
        f"{', '.join(leaving)} signs nothing any more. Next: `{PUBLISH}`, which signs what is published by {current}"
        " alone and drops the old key from devices. One that was off all the time needs the keyring package by hand."
    )


def retire_builder(ring: Ring, channels: Channels, needed: Mapping[str, str]) -> tuple[Ring, str]:
    """The old key is dropped. ``needed``: packages in use, with the key that signed each. Raises ``BAD_INPUT``."""
    leaving = ring.of(Role.BUILDER, {State.OLD})
    if not leaving:
        return ring, f"Nothing to retire: {ring.current(Role.BUILDER)} is the only builder key in use."
    _require_known(ring, Role.BUILDER, ring.current(Role.BUILDER), channels)
    if held := sorted(package for package, key in needed.items() if any(k.endswith(key) for k in leaving)):
        raise PkgbuildError(
            Kind.BAD_INPUT,
            f"{', '.join(leaving)} has signed what is still published: {', '.join(held)}. A device that runs it could"
            " not repair it without that key. The key does no harm meanwhile; once these were released anew and are no"
            " longer published, run this again. If the key was stolen, use `pkgbuild keys revoke builder`.",
        )
    return ring.moved(Role.BUILDER, dict.fromkeys(leaving, State.RETIRED)), (
        f"{', '.join(leaving)} is retired. Next: `{PUBLISH}`, which drops it from devices."
    )


def _require_known(ring: Ring, role: Role, fingerprint: str, channels: Channels) -> None:
    without = sorted(name for name, found in channels.items() if not _knows(ring, role, fingerprint, found))
    if not channels or without:
        where = f"the channel {', '.join(without)}" if without else "any channel"
        raise PkgbuildError(
            Kind.BAD_INPUT,
            f"No keyring package with the new {role} key {fingerprint} is published on {where} yet: devices would"
            f" refuse what it signs. Run `{PUBLISH}` first.",
        )


def _knows(ring: Ring, role: Role, fingerprint: str, published: frozenset[str]) -> bool:
    """Whether a device that takes the newest of these versions knows the key."""
    newest = versions.highest(published)
    return any(k.version == newest and fingerprint in k.keys[role] for k in ring.keyrings)


def _known_since(ring: Ring, role: Role, fingerprint: str, channel: str, now: datetime) -> datetime:
    times = [k.channels[channel] for k in ring.keyrings if fingerprint in k.keys[role] and channel in k.channels]
    return datetime.fromisoformat(min(times)) if times else now
