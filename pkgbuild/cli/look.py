"""``pkgbuild list``, ``show`` and ``diff``: what is published."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from pkgbuild import catalogue, compare, config, versions
from pkgbuild.announce import Announcer
from pkgbuild.aptly import Aptly
from pkgbuild.cli import output
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.progress import human_size
from pkgbuild.workfolder import work_folder

if TYPE_CHECKING:
    from pkgbuild.catalogue import PublishedRelease
    from pkgbuild.config import Settings


@click.command("list")
@click.argument("name", required=False)
@click.option("--channel", help="Only this channel; all of them without it.")
@output.json_option
def list_command(*, name: str | None, channel: str | None, as_json: bool) -> None:
    """List what is published on every channel: the versions of the assistant NAME, or of all."""
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        rows = _rows(settings, name, config.channel_name(channel) if channel else None)
        if as_json:
            output.print_json(rows)
        for row in [] if as_json else rows:
            click.echo(
                f"{row['name']:<24} {row['version']:<16} {row['channel']:<8}"
                f" {row['debian']}/{row['architecture']:<8} {row['urgency'] or '-':<10} {row['notes'] or ''}".rstrip()
            )


@click.command()
@click.argument("name", required=False)
@click.argument("version", required=False)
@click.option("--channel", help="Instead of the settings' default channel; of one version, instead of all channels.")
@output.json_option
def show(*, name: str | None, version: str | None, channel: str | None, as_json: bool) -> None:
    """Show VERSION of the assistant NAME: its packages, wheels and sizes, and what the server says of it.

    Without VERSION: which versions are published on the channel, as `list` shows them.
    """
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        if name is None or version is None:
            rows = _rows(settings, name, settings.channel(channel))
            if as_json:
                output.print_json(rows)
            for row in [] if as_json else rows:
                click.echo(
                    f"{row['name']:<24} {row['version']:<16} {row['debian']}/{row['architecture']:<8}"
                    f" {human_size(row['size'])}"
                )
            return
        whole = _shown(settings, name, version, config.channel_name(channel) if channel else None)
        if as_json:
            output.print_json(whole)
        else:
            _print_release(whole)


@click.command()
@click.argument("name")
@click.argument("old")
@click.argument("new")
@click.option("--target", metavar="RELEASE/ARCH", help="Compare for this target; the first that both have without it.")
@output.json_option
def diff(*, name: str, old: str, new: str, target: str | None, as_json: bool) -> None:
    """Compare two published releases of the assistant NAME: files, wheels, sizes, and what devices download."""
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        with closing(Aptly.of(settings)) as aptly, work_folder(settings.state / "build", "diff-") as work:
            pairs = [
                (one, other, architecture)
                for one in catalogue.find(aptly, name, old)
                for other in catalogue.find(aptly, name, new)
                if one.shelf.debian == other.shelf.debian
                for architecture in sorted(
                    {p.architecture for p in one.services} & {p.architecture for p in other.services}
                )
                if target in {None, f"{one.shelf.debian}/{architecture}"}
            ]
            if not pairs:
                raise PkgbuildError(
                    Kind.BAD_INPUT, f"{old} and {new} have no target in common{f' that is {target}' if target else ''}."
                )
            found = compare.compare(settings, *pairs[0], work)
        if as_json:
            output.print_json(found)
        else:
            _print_differences(found)


def _rows(settings: Settings, name: str | None, channel: str | None) -> list[dict[str, Any]]:
    with closing(Aptly.of(settings)) as aptly:
        rows = [
            {
                "name": p.package,
                "channel": shelf.channel,
                "debian": shelf.debian,
                "version": p.version,
                "architecture": p.architecture,
                "urgency": p.fields.get("Update-Urgency"),
                "notes": p.fields.get("Update-Notes"),
                "size": p.size,
                "sha256": p.sha256,
            }
            for shelf in catalogue.shelves(aptly, channel)
            for p in catalogue.services(aptly, shelf, name)
        ]
    return sorted(
        rows,
        key=lambda row: (
            row["name"],
            versions.order(str(row["version"])),
            row["channel"],
            row["debian"],
            row["architecture"],
        ),
    )


def _shown(settings: Settings, name: str, version: str, channel: str | None) -> dict[str, Any]:
    with closing(Aptly.of(settings)) as aptly:
        releases = catalogue.find(aptly, name, version, channel)
    announcer = Announcer.of(settings)
    states = {}
    if announcer:
        states = {
            update["channel"]: update["state"]
            for update in announcer.releases(name)["updates"]
            if update["version"] == version
        }
    first = catalogue.announcement(_of_one_channel(releases), releases[0].shelf.channel)
    return {
        **{key: first[key] for key in ("name", "version", "urgency", "notes", "minimum_agent", "packages")},
        "channels": {channel: states.get(channel) for channel in sorted({r.shelf.channel for r in releases})},
        "wheels": {
            f"{release.shelf.debian}/{architecture}": compare.wheels(release.of(architecture))
            for release in _of_one_channel(releases)
            for architecture in sorted({one.architecture for one in release.services})
        },
    }


def _of_one_channel(releases: list[PublishedRelease]) -> list[PublishedRelease]:
    """A release is the same on every channel that has it."""
    return [release for release in releases if release.shelf.channel == releases[0].shelf.channel]


def _print_release(whole: dict[str, Any]) -> None:
    click.echo(f"{whole['name']} {whole['version']} ({whole['urgency']}): {whole['notes']}")
    for channel, state in whole["channels"].items():
        click.echo(f"  on {channel}: {state or 'the server was not told'}")
    for row in whole["packages"]:
        target = f"{row['debian']}/{row['architecture']}"
        click.echo(f"  {target:<16} {human_size(row['size']):>9}  {row['package']} {row['version']}")
    for target, wheels in whole["wheels"].items():
        if wheels:
            click.echo(f"  {target} wheels: {', '.join(f'{name} {version}' for name, version in wheels.items())}")


def _print_differences(found: dict[str, Any]) -> None:
    sizes = found["sizes"]
    click.echo(f"{found['name']} {found['old']} -> {found['new']} for {found['target']}")
    click.echo(
        f"  sizes: {human_size(sizes['old'])} -> {human_size(sizes['new'])}; a device with {found['old']} downloads"
        f" {human_size(sizes['download'])} ({', '.join(sizes['downloaded_packages'])})"
    )
    for what, render in (("wheels", str), ("files", human_size)):
        same = found[what]
        for sign, rows in (("+", same["added"]), ("-", same["removed"])):
            for name, value in rows.items():
                click.echo(f"  {sign} {name} {render(value)}")
        for name, (before, after) in same["changed"].items():
            click.echo(f"  ~ {name} {render(before)} -> {render(after)}")
