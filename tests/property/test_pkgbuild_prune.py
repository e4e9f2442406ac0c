"""What prune may remove: no layer that anything needs which stays, and nothing that a device needs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pkgbuild import versions
from pkgbuild.aptly import Listed
from pkgbuild.prune import decide, superfluous

VERSIONS = ["1.0~rc1", "1.0", "1.1", "1.10", "2.0"]
LAYERS = ["tiny-deps-aaa", "tiny-deps-bbb", "tiny-asset-ccc"]

some_versions = st.sets(st.sampled_from(VERSIONS))


def listed(package: str, version: str, *depends: str) -> Listed:
    fields = {"Depends": ", ".join(depends)}
    return Listed(f"P {package} {version}", package, version, "arm64", 1, "0", fields)


@st.composite
def shelves(draw: st.DrawFn) -> list[Listed]:
    """Releases with any of the layers, the layers on the shelf, and perhaps one that nobody needs."""
    packages = [listed(layer, "1") for layer in LAYERS]
    packages[0] = listed(LAYERS[0], "1", *draw(st.sets(st.sampled_from(LAYERS[1:]))))  # layers may need layers
    for version in draw(some_versions):
        app = versions.app_package("tiny", version)
        needed = draw(st.sets(st.sampled_from(LAYERS)))
        packages += [
            listed(app, version, "python3.13", *needed),
            listed("tiny", version, f"{app} (= {version})", "systemd"),
        ]
    return packages


@given(shelves(), some_versions, st.integers(1, 4))
def test_what_stays_is_whole_and_nothing_else_stays(packages: list[Listed], needed: set[str], count: int) -> None:
    published = {p.version for p in packages if p.package == "tiny"}
    kept = decide(published, needed, count)
    gone = {p.key for p in superfluous("tiny", packages, kept.newest | kept.needed)}
    stay = [p for p in packages if p.key not in gone]
    names = {p.package for p in stay}
    for package in stay:
        words = package.fields["Depends"].replace(",", " ").split()
        assert {word for word in words if word.startswith("tiny-")} <= names
    assert {p.version for p in stay if p.package == "tiny"} == published & (kept.newest | needed)
    reachable = {word for p in stay for word in p.fields["Depends"].replace(",", " ").split()} | {"tiny"}
    assert names <= reachable


@given(some_versions, some_versions, st.integers(1, 4))
def test_the_newest_stay_and_all_that_is_needed(published: set[str], needed: set[str], count: int) -> None:
    kept = decide(published, needed, count)
    assert len(kept.newest) == min(count, len(published))
    assert kept.needed == published & needed
    older = published - kept.newest
    assert all(versions.compare(old, new) < 0 for old in older for new in kept.newest)
