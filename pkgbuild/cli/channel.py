"""``pkgbuild promote``, ``withdraw``, ``rollback`` and ``prune``: what happens to a release once it is published."""

from __future__ import annotations

from typing import Any

import click

from pkgbuild import config, control, session, versions
from pkgbuild import promote as promoting
from pkgbuild import prune as pruning
from pkgbuild import rollback as rolling_back
from pkgbuild import withdraw as withdrawing
from pkgbuild.cli import output
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.progress import human_size


@click.command()
@click.argument("name")
@click.argument("version")
@click.option("--from", "source", default="beta", show_default=True, help="The channel that has it.")
@click.option("--to", "target", default="stable", show_default=True, help="The channel that gets it.")
@click.option(
    "--paused", is_flag=True, help="Devices wait until an operator resumes it (`repo-server rollout resume`)."
)
@output.json_option
@output.quiet_option
def promote(*, name: str, version: str, source: str, target: str, paused: bool, as_json: bool, quiet: bool) -> None:
    """Publish VERSION of the assistant NAME on another channel as well: the same packages, nothing is built."""
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        source, target = config.channel_name(source), config.channel_name(target)
        if source == target:
            raise PkgbuildError(
                Kind.BAD_INPUT, f"{source} is both where it is and where it shall go: name two channels."
            )
        progress = output.progress(promoting.STEPS, quiet=quiet)
        with session.opened(settings, "promote-", progress) as opened:
            done = promoting.promote(
                opened,
                name,
                versions.check_version(version),
                source=source,
                target=target,
                paused=paused,
                progress=progress,
            )
        progress.end(f"{name} {version} is published on {target}: {len(done['packages'])} packages, nothing uploaded")
        if as_json:
            output.print_json(done)


@click.command()
@click.argument("name")
@click.argument("version")
@click.option("--channel", help="Only from this channel; from all of them without it.")
@output.json_option
@output.quiet_option
def withdraw(*, name: str, version: str, channel: str | None, as_json: bool, quiet: bool) -> None:
    """Take VERSION of the assistant NAME back, at the server and out of the repository.

    Nobody can install it any more. A device that has it keeps it; release a higher version, or see `rollback`.
    """
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        chosen = config.channel_name(channel) if channel else None
        progress = output.progress(withdrawing.STEPS, quiet=quiet)
        with session.opened(settings, "withdraw-", progress) as opened:
            done = withdrawing.withdraw(
                opened, name, versions.check_version(version), channel=chosen, progress=progress
            )
        where = ", ".join(done["channels"])
        progress.end(f"{name} {version} is withdrawn" + (f" from {where}" if where else "; it was already"))
        if as_json:
            output.print_json(done)


@click.command()
@click.argument("name")
@click.option("--to", "old", required=True, help="The published version whose content it shall be.")
@click.option("--version", required=True, help="Its new version, higher than every published one.")
@click.option("--notes", required=True, help="Why, in one line.")
@click.option("--urgency", required=True, help="scheduled (in the night) or urgent (as soon as nobody is active).")
@output.channel_option
@output.json_option
@output.quiet_option
def rollback(
    *, name: str, old: str, version: str, notes: str, urgency: str, channel: str | None, as_json: bool, quiet: bool
) -> None:
    """Release the content of an older version of the assistant NAME as a higher one, without its source.

    For when what is published is bad and a better one takes time; withdraw the bad one, too.
    """
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        request = rolling_back.Request(
            name=name,
            old=versions.check_version(old),
            version=versions.check_version(version),
            notes=control.one_line(notes),
            urgency=control.Urgency.read(urgency),
            channel=settings.channel(channel),
        )
        progress = output.progress(rolling_back.STEPS, quiet=quiet)
        with session.signing(settings, "rollback-", progress) as opened:
            done = rolling_back.rollback(opened, request, progress)
        progress.end(f"{name} {version} is published on {request.channel} with the content of {old}")
        if as_json:
            output.print_json(done)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--channel", help="Only of this channel; of all without it.")
@click.option("--keep", type=click.IntRange(1, 10_000), default=3, show_default=True, help="How many stay in any case.")
@output.dry_run_option
@output.json_option
@output.quiet_option
def prune(*, names: tuple[str, ...], channel: str | None, keep: int, dry_run: bool, as_json: bool, quiet: bool) -> None:
    """Remove old releases that no device needs: the server says what is installed, active, on its way or on offer.

    Without a server in the settings only the newest are kept, by number. Layers that no release needs any more go too.
    """
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        chosen = config.channel_name(channel) if channel else None
        progress = output.progress(pruning.STEPS, quiet=quiet)
        with session.opened(settings, "prune-", progress) as opened:
            done = pruning.prune(opened, names, channel=chosen, count=keep, dry_run=dry_run, progress=progress)
        for row in done["shelves"]:
            progress.end(_pruned(row, dry_run=dry_run))
        if as_json:
            output.print_json(done)


def _pruned(row: dict[str, Any], *, dry_run: bool) -> str:
    kept = ", ".join(row["kept"])
    if row["kept_for_devices"]:
        kept += f" ({', '.join(row['kept_for_devices'])} for devices)"
    verb = "would remove" if dry_run else "removed"
    gone = ", ".join(row["removed"]) or "no release"
    size = human_size(row["removed_bytes"])
    return (
        f"{row['debian']}/{row['channel']} {row['name']}: keeps {kept};"
        f" {verb} {gone} ({row['removed_packages']} packages, {size})"
    )
