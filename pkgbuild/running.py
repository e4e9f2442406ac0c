"""The files by which a release of layers runs: unit, user, launcher, release.json. Pure: values in, text out."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from pkgbuild.control import template
from pkgbuild.versions import release_home

if TYPE_CHECKING:
    from pkgbuild.control import Release
    from pkgbuild.payload import ReleaseFile, Service
    from pkgbuild.targets import Target


def unit(file: ReleaseFile) -> str:
    """``NAME.service``. It never depends on the version: it runs whatever ``current`` names."""
    documentation = file.homepage or f"file:///usr/share/doc/{file.name}/copyright"
    return template(
        f"{file.run.unit}.unit",
        NAME=file.name,
        ACCOUNT=file.run.account or file.name,
        SUMMARY=file.summary.replace("%", "%%"),
        DOCUMENTATION=documentation.replace("%", "%%"),
    )


def scripts(name: str, service: Service, version: str) -> dict[str, str]:
    """The maintainer scripts of the package ``name``, by their names."""
    values = {"NAME": name, "VERSION": version, "ACCOUNT": service.account or name}
    values["USERS"] = "# The account is the device's own." if service.account else f"systemd-sysusers {name}.conf"
    values["CURRENT"] = template("current.sh", **values).rstrip("\n")
    return {script: template(f"{service.unit}.{script}", **values) for script in ("postinst", "prerm", "postrm")}


def sysusers(file: ReleaseFile) -> str:
    """The sysusers.d file of the system user NAME and its groups."""
    lines = [f'u {file.name} - "{file.name} service" /var/lib/{file.name}/state']
    lines += [f"m {file.name} {group}" for group in file.run.groups]
    return "\n".join(lines) + "\n"


def launcher(release: Release, target: Target) -> str:
    """``run``: knows its own absolute path, so that a running process never sees half of two releases."""
    home = release_home(release.name, release.version)
    environment = {key: _placed(value, home) for key, value in release.file.run.environment.items()}
    variables = {
        "PI_OTA_RELEASE": release.version,
        "PI_OTA_RELEASE_DIR": home,
        "PYTHONPATH": f"{home}/site",
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
        **environment,
    }
    return template(
        "run.sh",
        NAME=release.name,
        VERSION=release.version,
        EXPORTS="\n".join(f"export {key}={shlex.quote(value)}" for key, value in variables.items()),
        PYTHON=f"/usr/bin/python{target.python}",
        MODULE=release.file.run.module,
        ARGUMENTS="".join(f"{shlex.quote(_placed(word, home))} " for word in release.file.run.arguments),
    )


def _placed(words: str, home: str) -> str:
    """``{release}`` stands for the release directory, so that arguments can name its assets."""
    return words.replace("{release}", home)


def release_json(release: Release, target: Target, deps: str | None) -> dict[str, Any]:
    """``release.json`` of the release directory (docs/INTERFACES.md)."""
    file = release.file
    home = release_home(release.name, release.version)
    return {
        "schema": 1,
        "name": file.name,
        "version": release.version,
        "urgency": str(release.urgency),
        "notes": release.notes,
        "target": {"debian": target.debian, "python": target.python, "architecture": target.architecture},
        "deps": deps,
        "assets": dict(release.assets),
        "environment": {key: _placed(value, home) for key, value in file.run.environment.items()},
        "health": file.health.model_dump() if file.health else None,
        "hooks": file.hooks.model_dump(),
        "oldest_rollback": file.oldest_rollback,
    }
