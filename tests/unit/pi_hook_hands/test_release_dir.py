from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pi_hook.apt_source import KEEP
from pi_hook.ports import ReleaseError, ReleaseTerms
from pi_hook.release_dir import ReleaseDir

from .conftest import NAME

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import SmallRoot


def current(small: SmallRoot) -> Path:
    return small.path / f"var/lib/{NAME}/current"


def test_activate_points_current_at_the_release_by_an_absolute_link(small: SmallRoot) -> None:
    small.release("1.0.0")
    releases = ReleaseDir(NAME, small.root)
    assert releases.active() is None
    releases.activate("1.0.0")
    assert current(small).readlink() == Path(f"/usr/lib/{NAME}/releases/1.0.0")
    assert releases.active() == "1.0.0"
    small.release("1.1.0")
    releases.activate("1.1.0")
    assert releases.active() == "1.1.0"
    assert [path.name for path in current(small).parent.iterdir()] == ["current"]


def test_a_leftover_of_an_interrupted_flip_is_no_obstacle(small: SmallRoot) -> None:
    small.release("1.0.0")
    current(small).parent.mkdir(parents=True)
    current(small).with_name(".current.new").symlink_to("/nowhere")
    ReleaseDir(NAME, small.root).activate("1.0.0")
    assert ReleaseDir(NAME, small.root).active() == "1.0.0"


def test_current_never_names_nothing_while_it_is_flipped(small: SmallRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    small.release("1.0.0")
    small.release("1.1.0")
    releases = ReleaseDir(NAME, small.root)
    releases.activate("1.0.0")

    def cut(self: Path, target: Path) -> None:
        raise OSError(5, "power cut")

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(ReleaseError, match="power cut"):
        releases.activate("1.1.0")
    assert releases.active() == "1.0.0"


def test_a_release_says_what_its_activation_and_its_start_need(small: SmallRoot) -> None:
    small.release("1.0.0")
    hooks = {"before_activation": ["./app/migrate"], "after_rollback": None}
    health = {"command": ["./app/check"], "timeout_seconds": 10}
    small.release("1.1.0", hooks=hooks, oldest_rollback="1.0.0", health={**health, "starting_seconds": 90})
    small.release("1.2.0", health=health)
    releases = ReleaseDir(NAME, small.root)
    assert releases.terms("1.0.0") == releases.terms("1.2.0") == releases.terms("unknown") == ReleaseTerms()
    assert releases.terms("1.1.0") == ReleaseTerms(True, False, "1.0.0", 90.0)


def rewrite(folder: Path, old: str, new: str) -> None:
    record = folder / "release.json"
    record.write_text(record.read_text().replace(old, new))


DAMAGES: dict[str, Callable[[SmallRoot, Path], object]] = {
    "run": lambda _, folder: (folder / "run").unlink(),
    "mode": lambda _, folder: (folder / "run").chmod(0o644),
    "json": lambda _, folder: (folder / "release.json").write_text('{"schema": 1, "na'),
    "empty": lambda _, folder: (folder / "release.json").write_text(""),
    "other": lambda _, folder: rewrite(folder, "1.0.0", "1.0.1"),
    "schema": lambda _, folder: rewrite(folder, '"schema": 1', '"schema": 2'),
    "deps": lambda small, _: (small.path / f"usr/lib/{NAME}/deps/0123456789ab").rmdir(),
    "dpkg": lambda small, _: small.forget(f"{NAME}-deps-0123456789ab"),
    "unpacked": lambda small, _: small.package(f"{NAME}-app-1.0.0", "1.0.0", "install ok unpacked"),
    "gone": lambda _, folder: (folder / "release.json").unlink(),
}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("run", "launcher"),
        ("mode", "launcher"),
        ("json", "damaged"),
        ("empty", "damaged"),
        ("other", "another release"),
        ("schema", "form"),
        ("deps", "deps"),
        ("dpkg", "wholly installed"),
        ("unpacked", "wholly installed"),
        ("gone", "cannot be read"),
    ],
)
def test_an_incomplete_release_is_not_activated(small: SmallRoot, damage: str, words: str) -> None:
    folder = small.release("1.0.0")
    DAMAGES[damage](small, folder)
    releases = ReleaseDir(NAME, small.root)
    assert not releases.complete("1.0.0")
    with pytest.raises(ReleaseError, match=words):
        releases.activate("1.0.0")


@pytest.mark.parametrize("target", ["/usr/lib/sample-assistant/releases/9", "/etc", "../1.0.0", "/x/releases/1.0.0"])
def test_a_current_that_leads_elsewhere_is_not_active(small: SmallRoot, target: str) -> None:
    small.release("1.0.0")
    current(small).parent.mkdir(parents=True)
    current(small).symlink_to(target)
    assert ReleaseDir(NAME, small.root).active() is None


def test_a_release_without_third_party_layer_is_complete(small: SmallRoot) -> None:
    small.release("1.0.0", deps=None)
    assert ReleaseDir(NAME, small.root).complete("1.0.0")


def with_asset(small: SmallRoot, version: str, identity: str) -> None:
    folder = small.release(version, assets={"voice": identity})
    (small.path / f"usr/lib/{NAME}/assets/{identity}").mkdir(parents=True)
    (folder / "assets").mkdir()
    (folder / "assets/voice").symlink_to(f"../../../assets/{identity}")
    small.package(f"{NAME}-asset-{identity}", "1")


def test_a_release_is_complete_with_its_assets_only(small: SmallRoot) -> None:
    releases = ReleaseDir(NAME, small.root)
    with_asset(small, "1.0.0", "aaaaaaaaaaaa")
    assert releases.complete("1.0.0")
    small.forget(f"{NAME}-asset-aaaaaaaaaaaa")
    with pytest.raises(ReleaseError, match=f"dpkg does not have {NAME}-asset-aaaaaaaaaaaa wholly installed"):
        releases.activate("1.0.0")
    (small.path / f"usr/lib/{NAME}/assets/aaaaaaaaaaaa").rmdir()
    with pytest.raises(ReleaseError, match="its `assets/voice` leads nowhere"):
        releases.activate("1.0.0")


def test_assets_are_protected_with_their_release(small: SmallRoot) -> None:
    releases = ReleaseDir(NAME, small.root)
    with_asset(small, "1.0.0", "aaaaaaaaaaaa")
    releases.protect(frozenset({"1.0.0"}))
    assert f'"^{NAME}-asset-aaaaaaaaaaaa$";' in (small.path / KEEP.lstrip("/")).read_text()
    assert f"{NAME}-asset-aaaaaaaaaaaa" in releases.layers_in_use(["1.0.0"])


def test_versions_are_ordered_as_dpkg_does(small: SmallRoot) -> None:
    for version in ("1.9.0", "1.10.0", "1.10.0~rc1"):
        small.release(version)
    assert ReleaseDir(NAME, small.root).versions() == ["1.10.0", "1.10.0~rc1", "1.9.0"]


def test_protect_names_exactly_the_layers(small: SmallRoot) -> None:
    small.release("1.0.0+b")
    releases = ReleaseDir(NAME, small.root)
    releases.protect(frozenset({"1.0.0+b", "2.0.0"}))
    assert (small.path / KEEP.lstrip("/")).read_text() == (
        "// Written by pi-hook: the layers of the active and of the last good release.\n"
        "APT::NeverAutoRemove {\n"
        f'  "^{NAME}-app-1[.]0[.]0[+][+]b$";\n'
        f'  "^{NAME}-app-2[.]0[.]0$";\n'
        f'  "^{NAME}-deps-0123456789ab$";\n'
        "};\n"
    )
    releases.protect(frozenset())
    assert "sample" not in (small.path / KEEP.lstrip("/")).read_text()


def test_remove_others_leaves_what_is_kept_active_or_depended_on(
    small: SmallRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pi_hook import outside  # noqa: PLC0415 - patched below

    for version, deps in (("1.0.0", "aaa"), ("1.1.0", "bbb"), ("1.2.0", "ccc"), ("0.9.0", "ddd")):
        small.release(version, deps)
    small.package(NAME, "1.2.0", depends=f"{NAME}-app-1.2.0 (= 1.2.0), {NAME}-deps-ccc")
    small.package(f"{NAME}-tools", "1")
    releases = ReleaseDir(NAME, small.root)
    releases.activate("1.1.0")
    archives = small.path / "var/lib/pi-hook/archives"
    archives.mkdir(parents=True)
    debs = [f"{NAME}_{v}_all.deb" for v in ("0.9.0", "1.0.0", "1.1.0", "1.2.0")] + [
        f"{NAME}-app-0.9.0_0.9.0_all.deb",
        "x_1_all.deb",
    ]
    for deb in debs:
        (archives / deb).touch()
    asked: list[list[str]] = []

    def purge(command: list[str], *, seconds: float) -> outside.Done:
        asked.append(command)
        for package in command[command.index("--purge") + 1 :]:
            small.forget(package)
        return outside.Done(0, "")

    monkeypatch.setattr(outside, "run", purge)
    removed = releases.remove_others(frozenset({"1.0.0"}))
    assert removed == [f"{NAME}-app-0.9.0", f"{NAME}-deps-ddd"]
    assert len(asked) == 1
    left = {path.name for path in archives.iterdir()}
    assert left == {f"{NAME}_1.0.0_all.deb", f"{NAME}_1.1.0_all.deb", f"{NAME}_1.2.0_all.deb", "x_1_all.deb"}
    assert releases.remove_others(frozenset({"1.0.0"})) == []
    assert len(asked) == 1


def test_a_busy_dpkg_loses_nothing(
    small: SmallRoot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from pi_hook import outside  # noqa: PLC0415 - patched below

    small.release("1.0.0", "aaa")
    small.release("1.1.0", "bbb")
    monkeypatch.setattr(outside, "run", lambda *_, **__: outside.Done(2, "dpkg frontend lock was locked"))
    assert ReleaseDir(NAME, small.root).remove_others(frozenset({"1.1.0"})) == []
    assert "lock was locked" in caplog.text
