from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pkgbuild import assets, control, deb, layers, payload, running
from pkgbuild.control import About, Release, Urgency
from pkgbuild.epoch import LAYER_EPOCH
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.payload import Application, Payload
from pkgbuild.targets import Target
from tests.support.aptly import plain_payload

ASSET = '[[assets]]\nname = "voice"\nfolder = "models/en"\n'


def with_voice(folder: Path, words: str = "spoken") -> Payload:
    source = plain_payload(folder, more=ASSET)
    (source / "models/en/sub").mkdir(parents=True)
    (source / "models/en/voice.onnx").write_text(words)
    (source / "models/en/sub/config.json").write_text("{}")
    (source / "models/README").write_text("of the app layer")
    return payload.read(source)


def identity(source: Payload) -> str:
    (found,) = assets.find(source)
    return found.identity


def test_the_name_is_that_of_the_content_and_of_nothing_else(tmp_path: Path) -> None:
    first = with_voice(tmp_path / "a")
    second = with_voice(tmp_path / "b")
    for path in second.folder.rglob("*"):
        os.utime(path, (1, 1))
    (second.folder / "models/en/voice.onnx").chmod(0o600)
    assert identity(first) == identity(second)
    (second.folder / "models/en/voice.onnx").chmod(0o755)
    assert identity(first) != identity(second)
    assert identity(with_voice(tmp_path / "c", "sung")) != identity(first)
    moved = with_voice(tmp_path / "d")
    (moved.folder / "models/en/voice.onnx").rename(moved.folder / "models/en/other.onnx")
    assert identity(moved) != identity(first)


def test_a_revoked_builder_key_gives_the_same_content_another_name(tmp_path: Path) -> None:
    source = with_voice(tmp_path / "a")
    one, both = replace(source, revoked=("B1",)), replace(source, revoked=("B1", "B2"))
    assert len({identity(source), identity(one), identity(both)}) == 3
    assert identity(both) == identity(replace(source, revoked=("B2", "B1")))


def test_the_layer_is_the_same_bytes_for_every_builder(tmp_path: Path) -> None:
    built = []
    for name, mask in (("a", 0o022), ("b", 0o077)):
        before = os.umask(mask)
        try:
            source = with_voice(tmp_path / name / "payload")
            (layer,) = assets.find(source)
            tree = tmp_path / name / "tree"
            tree.mkdir()
            fields, documents = assets.stage(source, layer, tree=tree, epoch=LAYER_EPOCH)
            out = tmp_path / name / "out"
            built.append(deb.build(tree, fields, About.of(source.file), documents, out=out, epoch=LAYER_EPOCH))
        finally:
            os.umask(before)
    assert deb.sha256(built[0]) == deb.sha256(built[1])
    package = f"tiny-assistant-asset-{layer.identity}"
    assert built[0].name == f"{package}_1_all.deb"
    listed = subprocess.run(["dpkg-deb", "-c", built[0]], check=True, capture_output=True, text=True).stdout
    assert f"./usr/lib/tiny-assistant/assets/{layer.identity}/sub/config.json" in listed


def test_the_release_names_its_assets_and_leaves_them_out_of_the_app_layer(tmp_path: Path) -> None:
    source = with_voice(tmp_path / "payload")
    target = Target("trixie", "arm64")
    release = Release(source.file, "1.0", Urgency.URGENT, "x", {"voice": identity(source)})
    tree = tmp_path / "tree"
    fields, _ = layers.stage_app(source, release, target, None, tree=tree, epoch=0, say=print)
    home = tree / "usr/lib/tiny-assistant/releases/1.0"
    assert (home / "assets/voice").readlink() == Path(f"../../../assets/{identity(source)}")
    (home / f"../../assets/{identity(source)}").resolve().mkdir(parents=True)
    assert (home / "assets/voice").is_dir()
    assert {str(path.relative_to(home / "app")) for path in (home / "app").rglob("*")} == {
        "tiny",
        "tiny/__init__.py",
        "tiny/__main__.py",
        "models",
        "models/README",
    }
    package = f"tiny-assistant-asset-{identity(source)}"
    assert package in fields.depends
    assert package in control.service_fields(release, target, None).depends
    assert f'"voice": "{identity(source)}"' in (home / "release.json").read_text()


def test_a_folder_of_nothing_but_assets_is_not_in_the_app_layer(tmp_path: Path) -> None:
    source = with_voice(tmp_path / "payload")
    (source.folder / "models/README").unlink()
    assert isinstance(source.file.payload, Application)
    layers.copy_application(source, source.file.payload, tmp_path / "app")
    assert not (tmp_path / "app/models").exists()


def test_arguments_name_files_of_the_release(tmp_path: Path) -> None:
    source = with_voice(tmp_path / "payload")
    service = source.file.run.model_copy(
        update={"arguments": ("--voice", "{release}/assets/voice"), "environment": {"VOICE": "{release}/assets/voice"}}
    )
    release = Release(source.file.model_copy(update={"service": service}), "1.0", Urgency.URGENT, "x")
    text = running.launcher(release, Target("trixie", "arm64"))
    assert "--voice /usr/lib/tiny-assistant/releases/1.0/assets/voice" in text
    assert "export VOICE=/usr/lib/tiny-assistant/releases/1.0/assets/voice" in text


def test_a_folder_behind_a_link_may_lie_elsewhere(tmp_path: Path) -> None:
    first = with_voice(tmp_path / "a")
    second = with_voice(tmp_path / "b")
    (second.folder / "models/en").rename(tmp_path / "shared")
    (second.folder / "models/en").symlink_to(tmp_path / "shared")
    assert identity(first) == identity(second)
    assert isinstance(second.file.payload, Application)
    layers.copy_application(second, second.file.payload, tmp_path / "app")
    assert not (tmp_path / "app/models/en").exists()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("rm -r models/en", "names the asset folder .*models/en, but there is none"),
        ("rm -r models/en/*", "models/en is empty"),
        ("ln -s /etc/passwd models/en/link", "leads out of the payload"),
        ("ln -s ../README models/en/link", "leads out of the payload"),
    ],
)
def test_what_cannot_be_a_layer_is_refused(tmp_path: Path, damage: str, words: str) -> None:
    source = with_voice(tmp_path / "payload")
    subprocess.run(["sh", "-c", damage], cwd=source.folder, check=True)
    with pytest.raises(PkgbuildError, match=words) as caught:
        assets.find(source)
    assert caught.value.kind is Kind.BAD_INPUT


@pytest.mark.parametrize(("content", "compressed"), [(b"the same words again " * 10_000, True), (None, False)])
def test_what_does_not_shrink_is_not_compressed(tmp_path: Path, content: bytes | None, *, compressed: bool) -> None:
    source = with_voice(tmp_path / "payload")
    data = os.urandom(200_000) if content is None else content
    (source.folder / "models/en/voice.onnx").write_bytes(data)
    (layer,) = assets.find(source)
    assert assets.worth_compressing(layer) is compressed
    tree = tmp_path / "tree"
    tree.mkdir()
    fields, documents = assets.stage(source, layer, tree=tree, epoch=0)
    about = About.of(source.file)
    path = deb.build(tree, fields, about, documents, out=tmp_path / "out", epoch=0, compress=compressed)
    assert deb.read_back(path, fields).size == path.stat().st_size
    names = subprocess.run(["ar", "t", path], check=True, capture_output=True, text=True).stdout.split()
    assert names[-1] == ("data.tar.xz" if compressed else "data.tar")
