"""Asset layers: folders of large files, such as models and voices, each a package named by its content.

The same content is the same package in every release, on every channel and on every target, so it is built, signed,
uploaded and downloaded once.
"""

from __future__ import annotations

import hashlib
import json
import lzma
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pkgbuild import control, deb, overrides, trees
from pkgbuild.deb import Documents
from pkgbuild.errors import Kind, PkgbuildError

if TYPE_CHECKING:
    from pathlib import Path

    from pkgbuild.control import PackageFields
    from pkgbuild.payload import Payload

LAYOUT = 1
"""Part of every asset layer's identity; raised when the same files would be laid out otherwise."""
_SAMPLE = 1 << 20
_SAMPLES = 16
_WORTH_IT = 0.9


@dataclass(frozen=True, slots=True)
class AssetLayer:
    """One asset folder as the builder has it now."""

    name: str
    folder: Path
    identity: str
    """HASH12: over the files' paths, contents and whether they are programs."""
    size: int
    """Bytes of its files."""


def find(payload: Payload) -> list[AssetLayer]:
    """The payload's asset folders. Raises ``BAD_INPUT`` for one that is missing, empty, or has links that lead out."""
    return [_read(asset.name, payload.folder / asset.folder, payload.revoked) for asset in payload.file.assets]


def _read(name: str, folder: Path, revoked: tuple[str, ...]) -> AssetLayer:
    if not folder.is_dir():
        raise PkgbuildError(Kind.BAD_INPUT, f"release.toml names the asset folder {folder}, but there is none.")
    root = folder.resolve()  # a folder of models may lie elsewhere, behind a link
    content, size = [], 0
    for path in sorted(trees.walk(root)):
        relative = str(path.relative_to(root))
        if path.is_symlink():
            content.append([relative, "link", str(path.readlink())])
            continue
        status = path.stat()
        size += status.st_size
        content.append([relative, "program" if status.st_mode & 0o100 else "file", deb.sha256(path)])
    if not content:
        raise PkgbuildError(Kind.BAD_INPUT, f"The asset folder {folder} is empty: put files into it, or remove it.")
    identity = {"layout": LAYOUT, "content": content, **({"revoked": sorted(revoked)} if revoked else {})}
    words = json.dumps(identity, sort_keys=True, ensure_ascii=True)
    return AssetLayer(name, root, hashlib.sha256(words.encode()).hexdigest()[:12], size)


def stage(payload: Payload, layer: AssetLayer, *, tree: Path, epoch: int) -> tuple[PackageFields, Documents]:
    """Fill ``tree`` with the layer."""
    trees.copy(layer.folder, tree / f"usr/lib/{payload.name}/assets/{layer.identity}", lambda _where, _names: [])
    fields = control.asset_fields(payload.file, layer.name, layer.identity)
    return fields, Documents(
        changelog=control.changelog(fields, payload.file.maintainer, [f"Content of {layer.name}."], epoch),
        copyright=control.copyright_file(control.About.of(payload.file), []),
        scripts={},
        overrides=overrides.of_asset(payload.file),
    )


def worth_compressing(layer: AssetLayer) -> bool:
    """Whether xz makes its files smaller by a tenth, judged by the beginnings of the largest; the same on any machine.

    Weights of models hardly shrink, and unpacking them would keep a Pi busy for minutes.
    """
    regular = sorted((path for path in trees.walk(layer.folder) if not path.is_symlink()), key=_by_size)
    before = after = 0
    for path in regular[:_SAMPLES]:
        with path.open("rb") as file:
            sample = file.read(_SAMPLE)
        before += len(sample)
        after += len(lzma.compress(sample, preset=1))
    return after <= before * _WORTH_IT


def _by_size(path: Path) -> tuple[int, str]:
    return -path.stat().st_size, str(path)
