"""However keys change, a device that has been off since any moment finds its way to the newest keys."""

from __future__ import annotations

from itertools import count

from hypothesis import example, given
from hypothesis import strategies as st

from pkgbuild import ring as rings
from pkgbuild import rotation
from pkgbuild.errors import PkgbuildError
from pkgbuild.ring import Entry, Keyring, Ring, Role, State

_CHANNEL = "stable"


class Builder:
    """``pkgbuild keys`` without gpg and aptly: the same rules over names of keys."""

    def __init__(self) -> None:
        self.names = (f"B{number}" for number in count(2))
        self.ring = Ring({Role.BUILDER: (Entry("B1", State.CURRENT),), Role.ARCHIVE: (Entry("A1", State.CURRENT),)})

    def channels(self) -> rotation.Channels:
        published = frozenset(k.version for k in self.ring.keyrings if k.channels)
        return {_CHANNEL: published} if published else {}

    def rotate(self) -> None:
        fresh = None if self.ring.of(Role.BUILDER, {State.NEXT}) else next(self.names)
        self.ring, _ = rotation.rotate_builder(self.ring, fresh, self.channels())

    def revoke(self) -> None:
        fresh = None if self.ring.of(Role.BUILDER, {State.NEXT}) else next(self.names)
        self.ring, _ = rotation.revoke(self.ring, Role.BUILDER, self.ring.current(Role.BUILDER), fresh)

    def retire(self) -> None:
        self.ring, _ = rotation.retire_builder(self.ring, self.channels(), {})

    def package(self) -> None:
        """Build without publishing, and be cut off before the second of two."""
        self.build(most=1)

    def build(self, most: int = 2) -> None:
        ring, wanted = self.ring, self.ring.trusted(Role.BUILDER)
        if ring.keyrings and ring.keyrings[-1].builders == set(wanted):
            return
        order = ring.of(Role.BUILDER)
        for step in rings.steps(ring.base, wanted, order, frozenset(order))[:most]:
            keys = {Role.BUILDER: dict.fromkeys(step.builders), Role.ARCHIVE: {"A1": None}}
            self.ring = self.ring.with_keyring(Keyring(str(len(self.ring.keyrings) + 1), keys, step.signed_by))

    def publish(self) -> None:
        self.build()
        for keyring in self.ring.keyrings:
            self.ring = self.ring.noted(keyring.version, _CHANNEL, "2026-11-25T00:00:00Z")


def come_back(trusted: frozenset[str], version: int, published: list[Keyring]) -> tuple[frozenset[str], int]:
    """As ``pi_hook.keyring.way`` goes: to the highest version that is trusted, and on from there."""
    while newer := [k for k in published if int(k.version) > version and k.signed_by in trusted]:
        highest = max(newer, key=lambda keyring: int(keyring.version))
        trusted, version = highest.builders, int(highest.version)
    return trusted, version


@given(st.lists(st.sampled_from(["rotate", "revoke", "retire", "publish", "package"]), max_size=25))
# A keyring was built and never published when its only key was revoked.
@example(["rotate", "publish", "rotate", "retire", "package", "revoke"])
def test_a_device_finds_its_way_from_any_version(actions: list[str]) -> None:
    builder = Builder()
    builder.build()  # given out by hand
    for action in [*actions, "publish"]:
        try:
            getattr(builder, action)()
        except PkgbuildError:
            continue  # refused, with nothing changed
    published = list(builder.ring.keyrings)
    wanted = frozenset(builder.ring.trusted(Role.BUILDER))
    for start in published:
        assert start.signed_by in start.builders, "boot repair checks it by what it has just brought"
        assert come_back(start.builders, int(start.version), published) == (wanted, int(published[-1].version))
    revoked = set(builder.ring.of(Role.BUILDER, {State.REVOKED, State.RETIRED}))
    assert wanted.isdisjoint(revoked)
    assert builder.ring.current(Role.BUILDER) in wanted
