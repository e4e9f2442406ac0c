"""What a release brings that the one before it did not."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from repo_server.comparison import Target, difference, of_target, targets

NAME = "sample-assistant"
ARM = Target("trixie", "arm64")


def package(name: str, version: str = "1.1.0", size: int | None = 1000, **given: Any) -> dict[str, Any]:
    whole = {"package": name, "version": version, "debian": "trixie", "architecture": "arm64",
             "size": size, "sha256": f"{name} {version}"} | given  # fmt: skip
    return {key: value for key, value in whole.items() if value is not None}


VOICE = package(f"{NAME}-asset-voice", "1", 50_000, architecture="all")
OLD = [package(NAME, "1.0.0", 10), package(f"{NAME}-app-1.0.0", "1.0.0", 200), package(f"{NAME}-deps-aaa", "1", 3000),
       VOICE, package("piper", "1:2.0", 7)]  # fmt: skip
NEW = [package(NAME, "1.1.0", 11), package(f"{NAME}-app-1.1.0", "1.1.0", 210), package(f"{NAME}-deps-aaa", "1", 3000),
       VOICE, package(f"{NAME}-asset-model", "1", 400)]  # fmt: skip


def names(packages: Any) -> list[str]:
    return [one["package"] for one in packages]


def test_a_code_only_release_replaces_its_app_layer_and_downloads_no_more() -> None:
    found = difference(NAME, ARM, OLD, NEW)
    pairs = [(one.before["package"], one.after["package"]) for one in found.changed]
    assert pairs == [(NAME, NAME), (f"{NAME}-app-1.0.0", f"{NAME}-app-1.1.0")]
    assert names(found.added) == [f"{NAME}-asset-model"]
    assert names(found.removed) == ["piper"]
    assert names(found.unchanged) == [f"{NAME}-asset-voice", f"{NAME}-deps-aaa"]
    assert (found.download, found.whole) == (11 + 210 + 400, 11 + 210 + 3000 + 50_000 + 400)


def test_other_wheels_take_the_place_of_the_ones_before() -> None:
    found = difference(NAME, ARM, OLD, [package(f"{NAME}-deps-bbb", "1", 4000)])
    assert [one.after["package"] for one in found.changed] == [f"{NAME}-deps-bbb"]
    assert found.download == 4000


def test_of_the_first_release_all_is_added_and_downloaded() -> None:
    found = difference(NAME, ARM, [], NEW)
    assert len(found.added) == len(NEW)
    assert found.download == found.whole


def test_the_same_bytes_under_the_same_version_are_no_download_and_others_are() -> None:
    assert difference(NAME, ARM, OLD, OLD).download == 0
    other = [one | {"sha256": "other"} for one in OLD]
    assert difference(NAME, ARM, OLD, other).download == difference(NAME, ARM, OLD, other).whole


def test_where_an_announcement_does_not_say_sizes_nobody_does() -> None:
    new = [package(NAME, "1.1.0", None)]
    assert difference(NAME, ARM, OLD, new).download is None
    assert difference(NAME, ARM, OLD, [*OLD, package("x", "1", None)]).whole is None


def test_each_target_is_told_by_itself() -> None:
    everywhere = [package("voice", architecture="all"), package(NAME), package(NAME, architecture="armhf"),
                  package(NAME, debian="bookworm", architecture="all")]  # fmt: skip
    assert targets(everywhere) == [Target("bookworm", "all"), ARM, Target("trixie", "armhf")]
    assert names(of_target(everywhere, Target("trixie", "armhf"))) == [NAME, "voice"]
    assert str(ARM) == "trixie arm64"


@st.composite
def releases(draw: st.DrawFn) -> list[dict[str, Any]]:
    known = draw(st.sets(st.sampled_from(["a", "b", "c", f"{NAME}-app-1", f"{NAME}-app-2", f"{NAME}-deps-1", NAME])))
    one_app = sorted(known - {f"{NAME}-app-1"} if f"{NAME}-app-2" in known else known)
    return [package(name, draw(st.sampled_from(["1", "2"])), draw(st.integers(0, 100))) for name in one_app]


@given(releases(), releases())
def test_every_package_is_in_one_list_and_only_new_bytes_are_downloaded(old: Any, new: Any) -> None:
    found = difference(NAME, ARM, old, new)
    changed = [one.after["package"] for one in found.changed]
    assert sorted([*names(found.added), *changed, *names(found.unchanged)]) == sorted(names(new))
    gone = [one.before["package"] for one in found.changed]
    assert sorted([*names(found.removed), *gone, *names(found.unchanged)]) == sorted(names(old))
    had = {one["sha256"] for one in old}
    assert found.download == sum(one["size"] for one in new if one["sha256"] not in had)
