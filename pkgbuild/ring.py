"""Which keys a fleet has had, what each is for now, and which keyring packages have told devices so. Pure.

Kept in ``keys/ring.json`` beside the GnuPG homes, so that one backup has all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Role(StrEnum):
    """What a key is for."""

    BUILDER = "builder"
    ARCHIVE = "archive"


class State(StrEnum):
    """Where a key is in its life."""

    NEXT = "next"
    """A builder key that devices are to trust before anything is signed with it."""
    CURRENT = "current"
    OLD = "old"
    """Trusted still, since devices or published packages need it. An old archive key goes on to sign as well."""
    REVOKED = "revoked"
    """Trusted no more. A revoked archive key goes on to sign until it is retired, or no device would hear of it."""
    RETIRED = "retired"


TRUSTED = frozenset({State.NEXT, State.CURRENT, State.OLD})
SIGNS_REPOSITORY = frozenset({State.CURRENT, State.OLD, State.REVOKED})


@dataclass(frozen=True, slots=True)
class Entry:
    """One key and its state."""

    fingerprint: str
    state: State


@dataclass(frozen=True, slots=True)
class Keyring:
    """One version of the keyring package."""

    version: str
    keys: Mapping[Role, Mapping[str, str | None]]
    """Fingerprints, and until when each was good as the package has it (``YYYY-MM-DDTHH:MM:SSZ``)."""
    signed_by: str
    """The builder key."""
    channels: Mapping[str, str] = field(default_factory=dict)
    """Where it was published, and when."""
    allowed: tuple[str, ...] = ()
    """The further packages that it lets devices take (``allowed_packages`` of the settings), sorted."""

    @property
    def builders(self) -> frozenset[str]:
        """The builder keys that a device with this version trusts."""
        return frozenset(self.keys[Role.BUILDER])


@dataclass(frozen=True, slots=True)
class Ring:
    """All of it; both lists and the keyrings in the order in which they came to be."""

    entries: Mapping[Role, tuple[Entry, ...]]
    keyrings: tuple[Keyring, ...] = ()

    def of(self, role: Role, states: Iterable[State] = tuple(State)) -> tuple[str, ...]:
        """Fingerprints of the keys in one of the states."""
        return tuple(entry.fingerprint for entry in self.entries[role] if entry.state in set(states))

    def state(self, role: Role, fingerprint: str) -> State | None:
        """The state of a key; None for one that is not ours."""
        return next((e.state for e in self.entries[role] if e.fingerprint == fingerprint), None)

    def current(self, role: Role) -> str:
        """The key that signs."""
        return self.of(role, {State.CURRENT})[0]

    def trusted(self, role: Role) -> tuple[str, ...]:
        """The keys that belong into the keyring package."""
        return self.of(role, TRUSTED)

    def moved(self, role: Role, changes: Mapping[str, State]) -> Ring:
        """With the keys in these states; one that is not there yet comes last."""
        known = [replace(e, state=changes.get(e.fingerprint, e.state)) for e in self.entries[role]]
        here = {e.fingerprint for e in known}
        new = [Entry(fingerprint, state) for fingerprint, state in changes.items() if fingerprint not in here]
        return replace(self, entries={**self.entries, role: (*known, *new)})

    def with_keyring(self, keyring: Keyring) -> Ring:
        """With a version of the keyring package, in the place of what was known of the same version."""
        others = tuple(other for other in self.keyrings if other.version != keyring.version)
        return replace(self, keyrings=(*others, keyring))

    def noted(self, version: str, channel: str, at: str) -> Ring:
        """With a version published on a channel; the first time counts."""
        keyrings = tuple(
            replace(k, channels={channel: at, **k.channels}) if k.version == version else k for k in self.keyrings
        )
        return replace(self, keyrings=keyrings)

    @property
    def base(self) -> frozenset[str]:
        """The builder keys that every device trusts which has the newest keyring package handed out so far.

        Of those that were built and not published nobody knows whether a device has them, so what counts is what they
        have in common with what was published; where none is known of at all, devices were given the first key.
        """
        newest = max((place for place, keyring in enumerate(self.keyrings) if keyring.channels), default=None)
        if newest is not None:
            base = self.keyrings[newest].builders
            for later in self.keyrings[newest + 1 :]:  # handed out by hand since, or cut off before they were published
                base = base & later.builders or later.builders
            return base
        if self.keyrings:
            return frozenset.intersection(*(keyring.builders for keyring in self.keyrings))
        return frozenset({self.entries[Role.BUILDER][0].fingerprint})


@dataclass(frozen=True, slots=True)
class Step:
    """A keyring package to be made: the builder keys in it, and which of them signs it."""

    builders: tuple[str, ...]
    signed_by: str


def steps(base: frozenset[str], wanted: tuple[str, ...], order: tuple[str, ...], able: frozenset[str]) -> list[Step]:
    """The keyring packages by which a device that trusts ``base`` comes to trust exactly ``wanted``.

    Each is signed by a key that it trusts itself, as boot repair checks it after it was unpacked, and that the one
    before it trusts. Where no such key is left (the only one was revoked) one in between trusts both. ``order`` are all
    keys, the oldest first, ``able`` those that can sign. Empty where no key that devices trust can sign.
    """
    # the oldest that will do: a device that has missed a version or two knows it best
    shared = next((key for key in order if key in base and key in wanted and key in able), None)
    if shared is not None:
        return [Step(wanted, shared)]
    bridge = next((key for key in order if key in base and key in able), None)
    onward = next((key for key in reversed(order) if key in wanted and key in able), None)
    if bridge is None or onward is None:
        return []
    return [Step((bridge, *wanted), bridge), Step(wanted, onward)]
