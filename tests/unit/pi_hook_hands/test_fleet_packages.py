from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pi_hook import fleet_packages, verify
from pi_hook.verify import Request
from pkgbuild import keyring
from tests.support.apt_repo import build_deb

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import SmallRoot


def put(small: SmallRoot, text: str) -> None:
    path = small.root.at(fleet_packages.LIST)
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_no_list_no_packages(small: SmallRoot) -> None:
    assert fleet_packages.listed(small.root) == ()


def test_the_builders_list_is_read(small: SmallRoot) -> None:
    put(small, "# a comment\n\n" + keyring.list_text(["vosk", "libvox1", "vosk"]))
    assert f"/{keyring.LIST}" == fleet_packages.LIST
    assert fleet_packages.listed(small.root) == ("libvox1", "vosk")


@pytest.mark.parametrize("line", ["two words", "../x", "Upper", "x"])
def test_a_damaged_list_is_no_list(small: SmallRoot, line: str) -> None:
    put(small, f"vosk\n{line}\n")
    with pytest.raises(ValueError, match="install pi-ota-keyring again"):
        fleet_packages.listed(small.root)


def test_what_is_listed_needs_the_builders_signature(small: SmallRoot, tmp_path: Path) -> None:
    deb = build_deb(tmp_path, "vosk", "1", {"/usr/share/vosk": "x"})
    request = Request("kitchen", strict=True, files=(("vosk", deb),))
    assert verify.check(request, small.root) == []
    put(small, "vosk\n")
    (refused,) = verify.check(request, small.root)
    assert refused.startswith("vosk_1_amd64.deb is refused: no builder key is installed")


def test_a_damaged_list_stops_what_may_be_listed_and_not_what_brings_it_anew(small: SmallRoot, tmp_path: Path) -> None:
    put(small, "two words\n")
    files = {name: build_deb(tmp_path, name, "1", {f"/usr/share/{name}": "x"}) for name in ("vosk", "pi-ota-keyring")}
    request = Request("kitchen", strict=True, files=tuple(files.items()))
    vosk, keys = verify.check(request, small.root)
    assert vosk.startswith("vosk_1_amd64.deb is refused: whether it has to be signed is not known")
    assert vosk.endswith("install pi-ota-keyring again")
    assert keys.startswith("pi-ota-keyring_1_amd64.deb is refused: no builder key is installed"), "as ever"
