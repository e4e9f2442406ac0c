"""The three layers of a release as directory trees: what goes where (docs/INTERFACES.md, "Packages of one release")."""

from __future__ import annotations

import json
import os
import shutil
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from pkgbuild import control, requirements, wheels
from pkgbuild.deb import Documents
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.payload import Application, Payload, Wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from pkgbuild.control import PackageFields, Release
    from pkgbuild.requirements import Resolved
    from pkgbuild.targets import Target

_NEVER_RELEASED = frozenset({"release.toml", "locks", "__pycache__"})


def deps_fields(payload: Payload, target: Target, resolved: Resolved) -> PackageFields:
    """What the deps layer is called and says."""
    contents = [f"{pin.name} {pin.version}" for pin in resolved.lock.pins]
    return control.deps_fields(payload.file, target, resolved.lock.identity(target), contents)


def stage_deps(
    payload: Payload, target: Target, resolved: Resolved, fields: PackageFields, *, tree: Path, epoch: int
) -> Documents:
    """Fill ``tree`` with the deps layer."""
    home = f"usr/lib/{payload.name}/deps/{resolved.lock.identity(target)}"
    folder = tree / home
    folder.mkdir(parents=True)
    wheels.install(resolved.path, target, folder)
    return Documents(
        changelog=control.changelog(fields, payload.file.maintainer, f"Third-party code for {target}.", epoch),
        copyright=control.copyright_file(control.About.of(payload.file), _licences(folder)),
        scripts=_layer_scripts(target, f"/{home}"),
    )


def stage_app(
    payload: Payload,
    release: Release,
    target: Target,
    deps: str | None,
    *,
    tree: Path,
    epoch: int,
    say: Callable[[str], None],
) -> tuple[PackageFields, Documents]:
    """Fill ``tree`` with the release directory."""
    home = f"usr/lib/{release.name}/releases/{release.version}"
    folder = tree / home
    (folder / "site").mkdir(parents=True)
    kind = payload.file.payload
    if isinstance(kind, Application):
        copy_application(payload, kind, folder / "app")
    elif isinstance(kind, Wheel):
        (folder / "app").mkdir()
        requirements.unpack_own_wheel(payload, release.version, target, folder / "app", say)
    else:
        assert_never(kind)
    if deps:
        (folder / "deps").symlink_to(f"../../deps/{deps}")
    run = folder / "run"
    run.write_text(control.launcher(release, target), encoding="utf-8")
    run.chmod(0o755)
    site = control.template("sitecustomize.py.in", PYTHON_VERSION=target.python)
    (folder / "site/sitecustomize.py").write_text(site, encoding="utf-8")
    content = json.dumps(control.release_json(release, target, deps), indent=1, ensure_ascii=False) + "\n"
    (folder / "release.json").write_text(content, encoding="utf-8")
    fields = control.app_fields(release, target, deps)
    return fields, Documents(
        changelog=control.changelog(fields, payload.file.maintainer, release.notes, epoch),
        copyright=control.copyright_file(control.About.of(payload.file), []),
        scripts=_layer_scripts(target, f"/{home}/app", f"/{home}/site"),
    )


def stage_service(
    payload: Payload, release: Release, target: Target, deps: str | None, *, tree: Path, epoch: int
) -> tuple[PackageFields, Documents]:
    """Fill ``tree`` with ``NAME``: unit and user, no file of any release."""
    units, users = tree / "usr/lib/systemd/system", tree / "usr/lib/sysusers.d"
    if target.debian == "bookworm":  # there /lib may still be a directory of its own, and systemd looks in it
        units = tree / "lib/systemd/system"
    for folder in (units, users):
        folder.mkdir(parents=True)
    (units / f"{release.name}.service").write_text(control.unit(payload.file), encoding="utf-8")
    (users / f"{release.name}.conf").write_text(control.sysusers(payload.file), encoding="utf-8")
    fields = control.service_fields(release, target, deps)
    values = {"NAME": release.name, "VERSION": release.version}
    return fields, Documents(
        changelog=control.changelog(fields, payload.file.maintainer, release.notes, epoch),
        copyright=control.copyright_file(control.About.of(payload.file), []),
        scripts={name: control.template(f"service.{name}", **values) for name in ("postinst", "prerm", "postrm")},
    )


def copy_application(payload: Payload, kind: Application, folder: Path) -> None:
    """Copy the payload's own code. Raises ``BAD_INPUT`` for sockets and for links that lead out of it."""
    root = payload.folder.resolve()
    left_out = _NEVER_RELEASED | set(kind.exclude)

    def ignore(where: str, names: list[str]) -> list[str]:
        top = Path(where).resolve() == root
        return [
            n for n in names if n.startswith(".") or n.endswith(".pyc") or n in (left_out if top else {"__pycache__"})
        ]

    for where, folders, names in os.walk(root):
        skipped = set(ignore(where, folders + names))
        folders[:] = [name for name in folders if name not in skipped]
        for name in {*folders, *names} - skipped:
            _check_releasable(Path(where) / name, root)
    shutil.copytree(root, folder, symlinks=True, ignore=ignore)


def _check_releasable(path: Path, root: Path) -> None:
    if path.is_symlink():
        if path.readlink().is_absolute() or not path.resolve().is_relative_to(root) or not path.exists():
            raise PkgbuildError(
                Kind.BAD_INPUT,
                f"{path} is a link that leads out of the payload: put what it names in its place.",
            )
    elif not path.is_dir() and not path.is_file():
        raise PkgbuildError(Kind.BAD_INPUT, f"{path} is no ordinary file: remove it, or name it in `exclude`.")


def _layer_scripts(target: Target, *folders: str) -> dict[str, str]:
    values = {"PYTHON": f"/usr/bin/python{target.python}", "FOLDERS": " ".join(folders)}
    return {name: control.template(f"layer.{name}", **values) for name in ("postinst", "prerm")}


def _licences(folder: Path) -> list[tuple[str, str]]:
    """(project and version, licence) of every wheel, as its metadata states them."""
    found = []
    for info in sorted(folder.glob("*.dist-info")):
        metadata = PathDistribution(info).metadata
        words = [*(metadata.get_all(field, [""])[0] for field in ("License-Expression", "License"))]
        words += [c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier") or [] if c.startswith("License ::")]
        stated = next((w.strip() for w in words if w and w.strip()), "see its metadata")
        found.append((f"{metadata['Name']} {metadata['Version']}", stated.splitlines()[0][:80]))
    return found
