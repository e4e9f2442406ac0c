"""The three layers of a release as directory trees: what goes where (docs/INTERFACES.md, "Packages of one release")."""

from __future__ import annotations

import json
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from pkgbuild import compiled, control, overrides, requirements, running, trees, versions, wheels
from pkgbuild.deb import Documents
from pkgbuild.payload import Application, Deb, Payload, Wheel
from pkgbuild.ready import any_debian

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
    payload: Payload, target: Target, resolved: Resolved, *, tree: Path, epoch: int
) -> tuple[PackageFields, Documents]:
    """Fill ``tree`` with the deps layer. Raises ``NO_WHEEL`` for wheels that are for another machine."""
    home = f"usr/lib/{payload.name}/deps/{resolved.lock.identity(target)}"
    folder = tree / home
    folder.mkdir(parents=True)
    wheels.install(resolved.path, target, folder)
    needs = compiled.check(folder, target)
    fields = control.with_needs(deps_fields(payload, target, resolved), needs)
    return fields, Documents(
        changelog=control.changelog(fields, payload.file.maintainer, [f"Third-party code for {target}."], epoch),
        copyright=control.copyright_file(control.About.of(payload.file), _licences(folder)),
        scripts=_layer_scripts(fields, target, f"/{home}", armv7=needs.armv7),
        overrides=overrides.of_deps(needs),
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
    home = versions.release_home(release.name, release.version)[1:]
    folder = tree / home
    (folder / "site").mkdir(parents=True)
    kind = payload.file.payload
    if isinstance(kind, Application):
        copy_application(payload, kind, folder / "app")
    elif isinstance(kind, Wheel):
        (folder / "app").mkdir()
        requirements.unpack_own_wheel(payload, release.version, target, folder / "app", say)
    elif isinstance(kind, Deb):
        raise TypeError(f"{release.name} is a ready .deb: it has no layers")
    else:
        assert_never(kind)
    needs = compiled.check(folder / "app", target)
    if deps:
        (folder / "deps").symlink_to(f"../../deps/{deps}")
    for name, identity in release.assets.items():
        (folder / "assets").mkdir(exist_ok=True)
        (folder / "assets" / name).symlink_to(f"../../../assets/{identity}")
    run = folder / "run"
    run.write_text(running.launcher(release, target), encoding="utf-8")
    run.chmod(0o755)
    site = control.template("sitecustomize.py.in", PYTHON_VERSION=target.python)
    (folder / "site/sitecustomize.py").write_text(site, encoding="utf-8")
    content = json.dumps(running.release_json(release, target, deps), indent=1, ensure_ascii=False) + "\n"
    (folder / "release.json").write_text(content, encoding="utf-8")
    fields = control.with_needs(control.app_fields(release, target, deps), needs)
    return fields, Documents(
        changelog=control.changelog(fields, payload.file.maintainer, [release.notes, *release.changes], epoch),
        copyright=control.copyright_file(control.About.of(payload.file), []),
        scripts=_layer_scripts(fields, target, f"/{home}/app", f"/{home}/site", armv7=needs.armv7),
        overrides=overrides.of_app(payload.file, needs),
    )


def stage_service(
    payload: Payload, release: Release, target: Target, deps: str | None, *, tree: Path, epoch: int
) -> tuple[PackageFields, Documents]:
    """Fill ``tree`` with ``NAME``: unit and user, no file of any release."""
    units = tree / f"usr/lib/systemd/{payload.file.run.unit}"
    if target.debian == "bookworm" and payload.file.run.unit == "system":
        units = tree / "lib/systemd/system"  # there /lib may still be a directory of its own, and systemd looks in it
    units.mkdir(parents=True)
    (units / f"{release.name}.service").write_text(running.unit(payload.file), encoding="utf-8")
    if payload.file.run.account is None:
        users = tree / "usr/lib/sysusers.d"
        users.mkdir(parents=True)
        (users / f"{release.name}.conf").write_text(running.sysusers(payload.file), encoding="utf-8")
    fields = control.service_fields(release, target, deps)
    return fields, Documents(
        changelog=control.changelog(fields, payload.file.maintainer, [release.notes, *release.changes], epoch),
        copyright=control.copyright_file(control.About.of(payload.file), []),
        scripts=running.scripts(release.name, payload.file.run, release.version),
        overrides=overrides.of_service(payload.file),
    )


def copy_application(payload: Payload, kind: Application, folder: Path) -> None:
    """Copy the payload's own code. Raises ``BAD_INPUT`` for sockets and for links that lead out of it."""
    root = payload.folder.resolve()
    left_out = _NEVER_RELEASED | set(kind.exclude)
    apart = [asset.folder for asset in payload.file.assets]
    # files only: a pattern may name debs in a folder that has other things, too
    apart += [
        str(path.relative_to(root)) for pattern in payload.file.packages for path in root.glob(any_debian(pattern))
    ]
    layers_of_their_own = {root / path for path in apart}

    def ignore(where: str, names: list[str]) -> list[str]:
        top = Path(where).resolve() == root
        return [
            n
            for n in names
            if n.startswith(".")
            or n.endswith(".pyc")
            or n in (left_out if top else {"__pycache__"})
            or Path(where, n) in layers_of_their_own
        ]

    trees.copy(root, folder, ignore)
    for path in sorted(folder.rglob("*"), reverse=True):  # what nothing but those layers was in
        if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
            path.rmdir()


def _layer_scripts(fields: PackageFields, target: Target, *folders: str, armv7: bool) -> dict[str, str]:
    values = {"PYTHON": f"/usr/bin/python{target.python}", "FOLDERS": " ".join(folders), "PACKAGE": fields.package}
    names = ("preinst", "postinst", "prerm") if armv7 else ("postinst", "prerm")
    return {name: control.template(f"layer.{name}", **values) for name in names}


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
