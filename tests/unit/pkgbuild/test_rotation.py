"""How keys change: what each command asks for before it does anything, and what is kept of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pkgbuild import expiry, ring_file, rotation
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.keys import Listed
from pkgbuild.ring import Entry, Keyring, Ring, Role, State
from pkgbuild.signed_by import Signed, to_release_anew

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAYS_90 = timedelta(days=90)


def ring(**keyrings: dict[str, str]) -> Ring:
    """B1 and A1; ``v2={"builder": "B1 B2", "stable": "2026-…Z"}`` is a version of the keyring package."""
    first = Ring({Role.BUILDER: (Entry("B1", State.CURRENT),), Role.ARCHIVE: (Entry("A1", State.CURRENT),)})
    for name, words in keyrings.items():
        keys = {role: dict.fromkeys(words.pop(role.value, f"{role.value[0].upper()}1").split(), None) for role in Role}
        first = first.with_keyring(Keyring(name[1:], keys, "B1", words))
    return first


def states(found: Ring, role: Role) -> dict[str, State]:
    return {entry.fingerprint: entry.state for entry in found.entries[role]}


def test_a_builder_key_signs_only_once_devices_can_know_it() -> None:
    begun, words = rotation.rotate_builder(ring(), "B2", {})
    assert states(begun, Role.BUILDER) == {"B1": State.CURRENT, "B2": State.NEXT}
    assert "pkgbuild keys publish" in words
    for channels in ({}, {"stable": frozenset({"1"})}, {"stable": frozenset({"2"}), "beta": frozenset({"1"})}):
        known = begun.with_keyring(Keyring("2", {Role.BUILDER: {"B1": None, "B2": None}, Role.ARCHIVE: {}}, "B1"))
        with pytest.raises(PkgbuildError, match="Run `pkgbuild keys publish` first") as caught:
            rotation.rotate_builder(known, None, channels)
        assert caught.value.kind is Kind.BAD_INPUT
    done, _ = rotation.rotate_builder(known, None, {"stable": frozenset({"1", "2"})})
    assert states(done, Role.BUILDER) == {"B1": State.OLD, "B2": State.CURRENT}
    assert done.trusted(Role.BUILDER) == ("B1", "B2")


def test_rotating_the_archive_key_twice_is_rotating_it_once() -> None:
    begun, words = rotation.rotate_archive(ring(), "A2")
    assert states(begun, Role.ARCHIVE) == {"A1": State.OLD, "A2": State.CURRENT}
    assert rotation.rotate_archive(begun, None) == (begun, words)


def test_the_old_archive_key_is_retired_only_when_every_device_can_know_the_new_one() -> None:
    told = {"builder": "B1", "archive": "A1 A2", "stable": "2026-08-01T00:00:00Z", "beta": "2026-10-01T00:00:00Z"}
    rotated, _ = rotation.rotate_archive(ring(v2=told), "A2")
    everywhere = {"stable": frozenset({"2"}), "beta": frozenset({"2"})}
    with pytest.raises(PkgbuildError, match=r"wait until 2026-12-30 \(90 days\)"):
        rotation.retire_archive(rotated, everywhere, DAYS_90, NOW)
    with pytest.raises(PkgbuildError, match="No keyring package with the new archive key A2"):
        rotation.retire_archive(rotated, {"stable": frozenset({"1"})}, timedelta(0), NOW)
    done, _ = rotation.retire_archive(rotated, everywhere, DAYS_90, datetime(2026, 12, 30, tzinfo=UTC))
    assert states(done, Role.ARCHIVE) == {"A1": State.RETIRED, "A2": State.CURRENT}
    again, words = rotation.retire_archive(done, everywhere, DAYS_90, NOW)
    assert again == done
    assert words.startswith("Nothing to retire")


def test_an_old_builder_key_stays_as_long_as_what_it_signed_is_published() -> None:
    told = {"builder": "B1 B2", "archive": "A1", "stable": "2026-08-01T00:00:00Z"}
    begun, _ = rotation.rotate_builder(ring(v2=told), "B2", {})
    rotated, _ = rotation.rotate_builder(begun, None, {"stable": frozenset({"2"})})
    with pytest.raises(PkgbuildError, match=r"still published: tiny 1\.0\."):
        rotation.retire_builder(rotated, {"stable": frozenset({"2"})}, {"tiny 1.0": "B1", "tiny 1.1": "B2"})
    done, _ = rotation.retire_builder(rotated, {"stable": frozenset({"2"})}, {"tiny 1.1": "B2"})
    assert done.trusted(Role.BUILDER) == ("B2",)
    assert rotation.retire_builder(done, {"stable": frozenset({"2"})}, {})[1].startswith("Nothing to retire")


@pytest.mark.parametrize("role", list(Role))
def test_a_revoked_key_leaves_what_devices_trust_at_once(role: Role) -> None:
    first = ring().current(role)
    done, words = rotation.revoke(ring(), role, first, "N")
    assert states(done, role) == {first: State.REVOKED, "N": State.CURRENT}
    assert done.trusted(role) == ("N",)
    assert "at once" in words
    assert ("goes on to sign" in words) is (role is Role.ARCHIVE), "or no device would hear of the new one"
    assert rotation.revoke(done, role, first, None)[0] == done


def test_a_key_that_waits_takes_the_place_of_a_revoked_one() -> None:
    begun, _ = rotation.rotate_builder(ring(), "B2", {})
    done, _ = rotation.revoke(begun, Role.BUILDER, "B1", None)
    assert states(done, Role.BUILDER) == {"B1": State.REVOKED, "B2": State.CURRENT}


def test_what_has_to_be_released_anew() -> None:
    found = [
        Signed("a", "1.0", "B1", frozenset({"a-app-1.0"})),
        Signed("a", "1.1", "B2", frozenset({"a-app-1.1", "a-deps-0"})),
        Signed("a-app-1.1", "1.1", "B2", frozenset()),
        Signed("a-deps-0", "1", "B1", frozenset()),
        Signed("b", "2.0", "B2", frozenset({"b-app-2.0"})),
        Signed("pi-hook", "3", "B1", frozenset()),
    ]
    assert to_release_anew(found, "XXB1") == ["a 1.1", "pi-hook 3"], "the release reuses a layer that the key signed"
    assert to_release_anew(found, "XXB2") == ["a 1.1", "b 2.0"]


def test_what_is_written_is_read_back_and_a_settings_key_is_followed(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    assert ring_file.load(tmp_path) is None
    told = {"builder": "B1 B2", "archive": "A1", "stable": "2026-08-01T00:00:00Z"}
    written, _ = rotation.revoke(ring(v2=told), Role.BUILDER, "B1", "B3")
    ring_file.save(tmp_path, written)
    read = ring_file.load(tmp_path)
    assert read == written
    for named in ("B1", "b1", "B3"):
        assert ring_file.successor(read, Role.BUILDER, named) == "B3"
    assert ring_file.successor(read, Role.BUILDER, "OTHER") == "OTHER", "somebody put it there"
    assert ring_file.successor(None, Role.BUILDER, "B1") == "B1"


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "cannot be read"), ("{}", "cannot be read"), ('{"schema": 9}', "of schema 9"), ("[]", "cannot be read")],
)
def test_a_ring_that_cannot_be_used_says_so(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "keys").mkdir()
    ring_file.path(tmp_path).write_text(text)
    with pytest.raises(PkgbuildError, match=words) as caught:
        ring_file.load(tmp_path)
    assert caught.value.kind is Kind.BAD_INPUT


@pytest.mark.parametrize(
    ("days", "words"),
    [
        (61, None),
        (60, "expires on 2027-01-24, in 60 days. Devices refuse the repository from then on."),
        (0, "expired on 2026-11-25."),
        (-1, "expired on 2026-11-24."),
        (None, None),
    ],
)
def test_expiry_is_said_sixty_days_ahead(days: int | None, words: str | None) -> None:
    until = None if days is None else NOW + timedelta(days=days)
    said = expiry.sentences(Role.ARCHIVE, [Listed("A1", NOW, until, "x", usable=True)], NOW)
    assert [words in sentence for sentence in said] == ([True] if words else []) if words else said == []
    assert all("`pkgbuild keys extend archive` and `pkgbuild keys publish`" in sentence for sentence in said)
