"""``pkgbuild release`` and ``lock``: from a payload to published packages."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from pkgbuild import config, payload, plan, release, requirements, versions
from pkgbuild.cli import output
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.progress import human_size

_src_option = click.option(
    "--src", required=True, type=click.Path(path_type=Path), help="The folder with release.toml."
)


@click.command("release")
@click.option("--version", required=True, help="Higher than every published one, as 1.2.0.")
@click.option("--notes", default="", help="What is new, in one line; without it the last commit's first line.")
@click.option("--urgency", required=True, help="scheduled (in the night) or urgent (as soon as nobody is active).")
@_src_option
@output.channel_option
@output.target_option
@output.dry_run_option
@output.json_option
@output.quiet_option
def release_command(
    *,
    version: str,
    notes: str,
    urgency: str,
    src: Path,
    channel: str | None,
    targets: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Build, sign, publish and announce one release. If anything fails, the channel stays what it was."""
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        request = release.Request(
            src=src,
            version=version,
            notes=notes,
            urgency=urgency,
            channel=settings.channel(channel),
            targets=output.parse_targets(targets),
            dry_run=dry_run,
        )
        progress = output.progress(release.STEPS, quiet=quiet)
        summary = release.run(settings, request, progress)
        if dry_run:
            if as_json:
                output.print_json(summary)
            else:
                click.echo("\n".join(plan.words(summary)))
            return
        line = f"{summary['name']} {version} is published on {summary['channel']}: "
        line += f"{len(summary['packages'])} packages, {human_size(summary['uploaded_bytes'])} of them new"
        progress.end(line)
        for warning in summary["warnings"]:
            click.echo(warning, err=True)
        if as_json:
            output.print_json(summary)


@click.command()
@_src_option
@click.option("--version", help="Of the wheel, for a payload of kind wheel.")
@output.target_option
@click.option("--anew", is_flag=True, help="Choose the newest fitting wheels instead of keeping the locked ones.")
def lock(*, src: Path, version: str | None, targets: tuple[str, ...], anew: bool) -> None:
    """Write the locks of a payload: its third-party wheels for each target, with hashes."""
    with output.errors(), tempfile.TemporaryDirectory(prefix="pkgbuild-lock-") as folder:
        source = payload.read(src)
        if version is None and source.file.payload.kind == "wheel":
            raise PkgbuildError(Kind.BAD_INPUT, f"{src} releases a wheel: name its version with --version.")
        named = targets or tuple(source.file.targets or ()) or output.DEFAULT_TARGETS
        for target in output.parse_targets(named) or ():
            scratch = Path(folder, target.slug)
            found = requirements.ensure(
                source, versions.check_version(version or "0"), target, scratch, click.echo, anew=anew
            )
            words = (
                f"{len(found.lock.pins)} wheels, layer {found.lock.identity(target)}"
                if found
                else "no third-party wheels"
            )
            click.echo(f"{target}: {words}")
