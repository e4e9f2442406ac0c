"""Rules of names and versions that hold for every input."""

from __future__ import annotations

import re

import apt_pkg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkgbuild import locks, versions
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.locks import Lock, Pin
from pkgbuild.targets import ARCHITECTURES, PYTHON_OF, Target

apt_pkg.init_system()

tails = st.text("0123456789abzABZ.+~-", max_size=20).filter(lambda text: not text.endswith("-"))
valid = st.builds(lambda digit, tail: digit + tail, st.sampled_from("0129"), tails)
hashes = st.integers(0, 2**256 - 1).map(lambda number: f"sha256:{number:064x}")
pins = st.builds(
    Pin,
    name=st.from_regex(r"[a-z][a-z0-9]{0,6}(-[a-z0-9]{1,4})?", fullmatch=True),
    version=st.from_regex(r"[0-9]\.[0-9]{1,2}", fullmatch=True),
    hashes=st.lists(hashes, min_size=1, max_size=4, unique=True).map(lambda found: tuple(sorted(found))),
)
pin_lists = st.lists(pins, min_size=1, max_size=5, unique_by=lambda pin: pin.name)
targets = st.builds(Target, st.sampled_from(sorted(PYTHON_OF)), st.sampled_from(ARCHITECTURES))


def unmapped(text: str) -> str:
    """The inverse of the mapping, by its table in docs/INTERFACES.md."""
    escape = re.compile(r"\+(\+|t|c|u[a-z])")
    back = {"+": "+", "t": "~", "c": ":"}
    return escape.sub(lambda found: back.get(found[1]) or found[1][1].upper(), text)


@given(valid)
def test_mapping_can_be_undone_so_no_two_versions_share_a_package(version: str) -> None:
    assert unmapped(versions.mapped(version)) == version


@given(st.text("aAbB+~:.-t cu01", max_size=12).map(lambda text: text.replace(" ", "")))
def test_mapping_can_be_undone_for_epochs_and_any_other_text(text: str) -> None:
    assert unmapped(versions.mapped(text)) == text


@given(valid)
def test_every_release_makes_a_debian_package_name_and_a_path_component(version: str) -> None:
    versions.check_version(version)
    assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", versions.app_package("assistant", version))
    assert "/" not in version
    assert version not in {".", ".."}


@given(valid, valid)
def test_versions_compare_as_apt_and_dpkg_do(a: str, b: str) -> None:
    ours, theirs = versions.compare(a, b), apt_pkg.version_compare(a, b)
    assert (ours > 0, ours < 0) == (theirs > 0, theirs < 0)


@given(st.lists(valid, min_size=1, max_size=6), valid)
def test_a_release_is_refused_unless_it_is_above_all_published(published: list[str], version: str) -> None:
    above = all(apt_pkg.version_compare(version, other) > 0 for other in published)
    if above:
        versions.check_higher("assistant", version, published, "stable")
    else:
        with pytest.raises(PkgbuildError, match="is not higher than") as caught:
            versions.check_higher("assistant", version, published, "stable")
        assert caught.value.kind is Kind.VERSION_NOT_HIGHER


@given(st.text(max_size=12) | tails | valid)
def test_exactly_the_documented_form_is_a_version(text: str) -> None:
    if re.fullmatch(r"[0-9][A-Za-z0-9.+~-]*(?<!-)", text):
        assert versions.check_version(text) == text
    else:
        with pytest.raises(PkgbuildError) as caught:
            versions.check_version(text)
        assert caught.value.kind is Kind.BAD_INPUT


def written(found: list[Pin]) -> str:
    return "".join(
        f"{pin.name}=={pin.version} \\\n    " + " \\\n    ".join(f"--hash={value}" for value in pin.hashes) + "\n"
        for pin in found
    )


@given(pin_lists, targets, st.randoms())
def test_identity_of_a_layer_ignores_order_and_comments(found: list[Pin], target: Target, random: object) -> None:
    text = locks.header(["a"], target) + written(found)
    shuffled = list(found)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis types it as object
    other = locks.header(["b"], target) + "# a comment\n\n" + written(shuffled)
    assert locks.parse(text, "x").identity(target) == locks.parse(other, "y").identity(target)


@given(pin_lists, targets, targets, hashes)
def test_identity_of_a_layer_follows_every_pin_hash_and_target(
    found: list[Pin], target: Target, other: Target, fresh: str
) -> None:
    identity = Lock(None, tuple(sorted(found))).identity(target)
    assert re.fullmatch(r"[0-9a-f]{12}", identity)
    changed = [
        tuple(sorted([Pin(found[0].name, found[0].version + ".1", found[0].hashes), *found[1:]])),
        tuple(sorted([Pin(found[0].name, found[0].version, (*found[0].hashes, fresh)), *found[1:]])),
        tuple(sorted(found[1:])),
    ]
    assert identity not in {Lock(None, pins_).identity(target) for pins_ in changed}
    assert (Lock(None, tuple(sorted(found))).identity(other) == identity) == (other == target)
    # what a revoked builder key has signed is not taken up again: its layer had another name
    revoked = Lock(None, tuple(sorted(found)), revoked=("B1", "B2"))
    assert revoked.identity(target) == Lock(None, revoked.pins, revoked=("B2", "B1")).identity(target)
    assert len({identity, revoked.identity(target), Lock(None, revoked.pins, revoked=("B1",)).identity(target)}) == 3
