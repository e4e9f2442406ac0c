"""``pkgbuild build`` and ``deb``: packages as files, and ready files into the repository."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import click

from pkgbuild import agent, config, packages, payload, ready, release, requirements, versions
from pkgbuild.build import Builder, Nothing
from pkgbuild.cli import output
from pkgbuild.control import Urgency
from pkgbuild.progress import Progress, human_size

_STEPS = 3


@click.command("build")
@click.option("--src", required=True, type=click.Path(path_type=Path), help="The folder with release.toml.")
@click.option("--version", required=True, help="Of the release, as 1.2.0.")
@click.option("--notes", default="", help="What is new, in one line; without it the last commit's first line.")
@click.option("--urgency", default="scheduled", show_default=True, help="scheduled or urgent.")
@click.option(
    "--output",
    "folder",
    default="build/packages",
    show_default=True,
    type=click.Path(path_type=Path),
    help="The folder for the packages, in it one for each target.",
)
@output.target_option
@click.option(
    "--allow", multiple=True, metavar="PACKAGE", help="A ready package that may be among them (for more, again)."
)
@output.json_option
def build_command(
    *,
    src: Path,
    version: str,
    notes: str,
    urgency: str,
    folder: Path,
    targets: tuple[str, ...],
    allow: tuple[str, ...],
    as_json: bool,
) -> None:
    """Build the packages of a release into a folder, unsigned: to look at them, and for lintian. Needs no keys."""
    with output.errors(as_json=as_json), tempfile.TemporaryDirectory(prefix="pkgbuild-build-") as name:
        work, progress, source = Path(name), Progress(_STEPS), payload.read(src)
        described = release.describe(source, versions.check_version(version), Urgency.read(urgency), notes)
        chosen = output.parse_targets(targets or tuple(source.file.targets or ()) or output.DEFAULT_TARGETS) or ()
        progress.step("checking the locks")
        resolved = {
            target: requirements.ensure(source, version, target, work / f"lock-{target.slug}", progress.detail)
            for target in chosen
        }
        builder = Builder(source, described, None, work=work, cache=work / "cache", progress=progress, allowed=allow)
        files = []
        for packages in builder.build(resolved, Nothing()):
            place = folder / packages.target.slug
            place.mkdir(parents=True, exist_ok=True)
            for built in packages.built:
                files.append(str(shutil.copy(built.path, place / built.fields.file_name)))
                click.echo(f"{files[-1]} {human_size(built.size)}", err=as_json)
        if as_json:
            output.print_json(files)


@click.command("deb")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--debian", "debians", multiple=True, help="Only for this Debian release (again for more), as trixie.")
@output.channel_option
@output.json_option
def deb_command(*, files: tuple[Path, ...], debians: tuple[str, ...], channel: str | None, as_json: bool) -> None:
    """Sign and publish ready .deb FILES as they are: devices that have them take newer ones in their next night.

    Their names have to be among `allowed_packages` of the settings, which the package with the fleet's keys carries.
    """
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        debs = [ready.read(path) for path in files]
        ready.check_allowed(debs, {*settings.file.allowed_packages, *agent.PACKAGES})
        chosen = settings.channel(channel)
        done = packages.publish(settings, debs, chosen, Progress(packages.STEPS), debians=debians)
        if as_json:
            output.print_json(done)
        for one in [] if as_json else done["packages"]:
            click.echo(f"{one['package']} {one['version']} is published on {chosen} ({', '.join(done['debians'])})")
