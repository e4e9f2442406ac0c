from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_hook.names import app_package, checked_name, checked_version, exact_pattern, is_layer, is_ours, mapped

VERSIONS = st.from_regex(r"[0-9][A-Za-z0-9.+~-]{0,12}", fullmatch=True)


@given(VERSIONS, VERSIONS)
def test_no_two_versions_share_a_package_name(a: str, b: str) -> None:
    assert (mapped(a) == mapped(b)) == (a == b)


@given(VERSIONS)
def test_a_mapped_version_is_fit_for_a_package_name(version: str) -> None:
    assert re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", app_package("name", version))


@pytest.mark.parametrize(
    ("version", "name"), [("1.1.0", "1.1.0"), ("1.0~rc1", "1.0+trc1"), ("1+b2", "1++b2"), ("1.0RC", "1.0+ur+uc")]
)
def test_the_mapping_of_interfaces(version: str, name: str) -> None:
    assert mapped(version) == name


@given(st.text("ab.+-", min_size=2, max_size=6), st.text("ab.+-", min_size=2, max_size=6))
def test_the_exact_pattern_matches_one_name_only(a: str, b: str) -> None:
    assert bool(re.match(exact_pattern(a), b)) == (a == b)


@pytest.mark.parametrize("name", ["x-app-1", "x-deps-y", "Upper", "", "a", "-a", "a b", "a\n", "x-asset-z"])
def test_names_that_an_assistant_cannot_have(name: str) -> None:
    with pytest.raises(ValueError, match=re.escape("assistant.name")):
        checked_name(name)


@pytest.mark.parametrize("version", ["", "v1", "1:2", "1 2", "1/../2", "1\n", "../1"])
def test_versions_that_a_release_cannot_have(version: str) -> None:
    with pytest.raises(ValueError, match="not a release version"):
        checked_version(version)


def test_what_is_ours() -> None:
    ours = ["kitchen", "kitchen-app-1", "kitchen-deps-0", "kitchen-asset-x", "pi-hook", "pi-ota-keyring"]
    assert all(is_ours("kitchen", package) for package in ours)
    assert not any(is_ours("kitchen", package) for package in ["bash", "kitchen-extra", "kitchens", "other-app-1"])
    assert not is_layer("kitchen", "kitchen")
