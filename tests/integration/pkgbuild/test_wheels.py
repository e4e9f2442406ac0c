"""Published wheels, resolved and unpacked for machines this is not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pkgbuild import elf, layers, payload, requirements, wheels
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.targets import Target
from tests.support.aptly import ROOT, BuilderStack

pytestmark = pytest.mark.network

PIPER = ROOT / "examples" / "wyoming_piper"


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_wyoming_piper_shares_one_deps_layer_of_the_right_machine(tmp_path: Path, architecture: str) -> None:
    target = Target("trixie", architecture)
    folder = tmp_path / "payload"
    shutil.copytree(PIPER, folder)
    source = payload.read(folder)
    written: list[str] = []
    found = {
        version: requirements.ensure(source, version, target, tmp_path / version, written.append)
        for version in ("2.5.1", "2.5.2")
    }
    first, second = found.values()
    assert first is not None
    assert second is not None
    assert written == [], "the committed locks are fresh"
    assert first.lock.identity(target) == second.lock.identity(target)
    assert "wyoming-piper" not in {pin.name for pin in first.lock.pins}

    tree = tmp_path / "tree"
    fields, _ = layers.stage_deps(source, target, first, tree=tree, epoch=0)
    layer = tree / "usr/lib/wyoming-piper/deps" / first.lock.identity(target)
    machines = [found.architecture for _, found in elf.files(layer)]
    assert len(machines) > 10
    assert set(machines) == {architecture}
    assert {"onnxruntime", "numpy", "piper", "wyoming"} <= {path.name for path in layer.iterdir()}
    assert not (layer / "wyoming_piper").exists()
    assert not (layer / "bin").exists()
    assert any(line.startswith("numpy 2") for line in fields.extended.splitlines())

    app = tmp_path / "app"
    requirements.unpack_own_wheel(source, "2.5.2", target, app, written.append)
    assert {path.name for path in app.iterdir()} == {"wyoming_piper", "wyoming_piper-2.5.2.dist-info"}


def wheel_payload(folder: Path, wheel: str) -> Path:
    folder.mkdir()
    (folder / "release.toml").write_text(
        f'name = "measured"\nsummary = "x"\nmaintainer = "A <a@b.example>"\n'
        f'[payload]\nkind = "wheel"\nwheel = "{wheel}"\n[service]\nmodule = "wcwidth"\n'
    )
    return folder


def test_wheel_without_requirements_is_released_without_a_deps_layer(stack: BuilderStack, tmp_path: Path) -> None:
    source = wheel_payload(tmp_path / "payload", "wcwidth")
    outcome = stack.release(source, "0.2.13", "--json")
    assert outcome.status == 0, outcome.stderr
    assert [row["package"] for row in outcome.json["packages"]] == ["measured-app-0.2.13", "measured"]
    lock = source / "locks/wcwidth-0.2.13.txt"
    assert f"wrote {lock}: commit it" in outcome.stderr
    assert "--hash=sha256:" in lock.read_text()
    assert stack.packages("trixie", "amd64")["measured-app-0.2.13=0.2.13"]["Depends"] == "python3.13"


def test_wheel_that_does_not_exist_changes_nothing(stack: BuilderStack, tmp_path: Path) -> None:
    outcome = stack.release(wheel_payload(tmp_path / "payload", "wcwidth"), "0.2.99")
    assert outcome.status == 7
    assert "There is no fitting wheel of wcwidth 0.2.99 for trixie/amd64 (Python 3.13)" in outcome.sentence
    assert "wcwidth" in outcome.sentence
    assert stack.tree() == {}


def test_armv7_wheels_are_chosen_on_any_machine_and_marked(tmp_path: Path) -> None:
    folder = tmp_path / "payload"
    folder.mkdir()
    (folder / "requirements.txt").write_text("frozenlist==1.8.0\n")
    (folder / "release.toml").write_text(
        'name = "native"\nsummary = "x"\nmaintainer = "A <a@b.example>"\n'
        '[payload]\nkind = "application"\n[service]\nmodule = "m"\n'
    )
    source, target = payload.read(folder), Target("bookworm", "armhf")
    resolved = requirements.ensure(source, "1.0", target, tmp_path, lambda _: None)
    assert resolved is not None
    fields, documents = layers.stage_deps(source, target, resolved, tree=tmp_path / "tree", epoch=0)
    found = list(elf.files(tmp_path / "tree"))
    assert found
    assert {(one.architecture, one.arm_version) for _, one in found} == {("armhf", 10)}
    assert fields.more["Update-Machine"] == "armv7l"
    assert "libc6" in fields.depends
    assert "preinst" in documents.scripts


def test_an_override_stands_in_for_a_pin_without_a_wheel(tmp_path: Path) -> None:
    target = Target("trixie", "armhf")
    with pytest.raises(PkgbuildError, match=r"no fitting wheel of piper-tts 1\.3\.0 for trixie/armhf"):
        wheels.compile_lock(["piper-tts==1.3.0", "frozenlist==1.8.0"], target)
    overrides = ['piper-tts==1.3.0 ; python_version < "0"']
    text = wheels.compile_lock(["piper-tts==1.3.0", "frozenlist==1.8.0"], target, overrides=overrides)
    assert [line.split("==")[0] for line in text.splitlines() if "==" in line] == ["frozenlist"]


def test_tampered_lock_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "lock.txt"
    lock.write_text(f"wcwidth==0.2.13 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(PkgbuildError, match=r"(?i)hash mismatch"):
        wheels.install(lock, Target("trixie", "arm64"), tmp_path / "out")
    assert not list((tmp_path / "out").glob("wcwidth"))


def test_requirement_without_wheel_for_the_python_names_package_and_target() -> None:
    with pytest.raises(PkgbuildError, match=r"no fitting wheel of numpy 1\.21\.0 for trixie/arm64") as caught:
        wheels.compile_lock(["numpy==1.21.0"], Target("trixie", "arm64"))
    assert caught.value.kind is Kind.NO_WHEEL
