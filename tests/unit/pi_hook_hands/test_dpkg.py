from __future__ import annotations

import subprocess
from typing import Any

import apt_pkg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_hook.dpkg import Dpkg, compare_versions, layers_in_depends
from pi_hook.ports import Installed

from .conftest import NAME, SmallRoot

apt_pkg.init_system()
PART = st.from_regex(r"[0-9][0-9a-zA-Z.+~]{0,7}", fullmatch=True)
VERSIONS = st.builds(
    lambda epoch, upstream, revision: f"{epoch}{upstream}{revision}",
    st.sampled_from(["", "0:", "1:", "12:"]),
    PART,
    st.one_of(st.just(""), st.from_regex(r"-[0-9a-zA-Z+.~]{1,4}", fullmatch=True)),
)


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


@given(VERSIONS, VERSIONS)
def test_orders_versions_as_dpkg_does(a: str, b: str) -> None:
    assert sign(compare_versions(a, b)) == sign(apt_pkg.version_compare(a, b))


@given(PART, st.text("019~a.+", max_size=3), st.text("019~a.+", max_size=3))
def test_orders_near_versions_as_dpkg_does(common: str, a: str, b: str) -> None:
    assert sign(compare_versions(common + a, common + b)) == sign(apt_pkg.version_compare(common + a, common + b))


def test_nothing_installed(small: SmallRoot) -> None:
    assert Dpkg(NAME, small.root).installed() == Installed(version=None)


def test_wholly_installed(small: SmallRoot) -> None:
    small.package(NAME, "1.1.0")
    assert Dpkg(NAME, small.root).installed() == Installed(version="1.1.0")


def test_held(small: SmallRoot) -> None:
    small.package(NAME, "1.1.0", "hold ok installed")
    assert Dpkg(NAME, small.root).installed() == Installed(version="1.1.0", held=True)


@pytest.mark.parametrize(
    "status", ["install ok unpacked", "install ok half-configured", "install reinstreq half-installed"]
)
def test_broken_states_are_no_installation(small: SmallRoot, status: str) -> None:
    small.package(NAME, "1.1.0", status)
    found = Dpkg(NAME, small.root).installed()
    assert found.version is None
    assert found.broken == f"{NAME} 1.1.0: {status}"


def test_a_broken_layer_is_told(small: SmallRoot) -> None:
    small.package(NAME, "1.1.0")
    small.package(f"{NAME}-app-1.1.0", "1.1.0", "install ok unpacked")
    found = Dpkg(NAME, small.root).installed()
    assert found.version == "1.1.0"
    assert found.broken is not None
    assert f"{NAME}-app-1.1.0" in found.broken


def test_removed_packages_do_not_count(small: SmallRoot) -> None:
    small.package(NAME, "1.1.0", "deinstall ok config-files")
    assert Dpkg(NAME, small.root).installed() == Installed(version=None)


def test_an_unreadable_database_is_an_error(small: SmallRoot) -> None:
    (small.path / "var/lib/dpkg/status").write_text("no: status: file\n\x00")
    with pytest.raises(OSError, match="dpkg's database"):
        Dpkg(NAME, small.root).installed()


def test_dpkg_is_asked_again_only_after_a_change(small: SmallRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    small.package(NAME, "1.1.0")
    asked: list[object] = []
    run = subprocess.run

    def counting(*command: Any, **more: Any) -> Any:
        asked.append(command)
        return run(*command, **more)

    monkeypatch.setattr(subprocess, "run", counting)
    dpkg = Dpkg(NAME, small.root)
    assert dpkg.installed() == dpkg.installed() == Installed(version="1.1.0")
    assert len(asked) == 1
    small.package(NAME, "1.2.0", "install ok unpacked")
    assert dpkg.installed().broken == f"{NAME} 1.2.0: install ok unpacked"
    (small.path / "var/lib/dpkg/updates/0000").write_text("")  # a transaction has begun to write its journal
    dpkg.installed()
    assert len(asked) == 3


def test_layers_in_depends(small: SmallRoot) -> None:
    small.package(NAME, "1", depends=f"{NAME}-app-1 (= 1), {NAME}-deps-a:all | bash, bash, {NAME}-extra")
    assert layers_in_depends(small.root, NAME, NAME) == {f"{NAME}-app-1", f"{NAME}-deps-a"}
    assert layers_in_depends(small.root, NAME, "unknown") == set()
