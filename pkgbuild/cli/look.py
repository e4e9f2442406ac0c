"""``pkgbuild show``: what is published."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from pkgbuild import config, versions
from pkgbuild.aptly import Aptly, repository_name
from pkgbuild.cli import output
from pkgbuild.progress import human_size

if TYPE_CHECKING:
    from pkgbuild.config import Settings


@click.command()
@click.argument("name", required=False)
@output.channel_option
@output.json_option
def show(*, name: str | None, channel: str | None, as_json: bool) -> None:
    """Show what is published: the versions of the assistant NAME, or of all assistants."""
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        rows = _published(settings, name, settings.channel(channel))
        if as_json:
            output.print_json(rows)
        for row in [] if as_json else rows:
            click.echo(
                f"{row['name']:<24} {row['version']:<16} {row['debian']}/{row['architecture']:<8}"
                f" {human_size(row['size'])}"
            )


def _published(settings: Settings, name: str | None, channel: str) -> list[dict[str, Any]]:
    with closing(Aptly.of(settings)) as aptly:
        have = aptly.repositories()
        rows = [
            {
                "name": p.package,
                "debian": debian,
                "version": p.version,
                "architecture": p.architecture,
                "size": p.size,
                "sha256": p.sha256,
            }
            for debian in sorted({target.debian for target in settings.targets})
            if (repository := repository_name(debian, channel)) in have
            for p in aptly.packages(repository, [name] if name else None)
            if not versions.is_layer(p.package)
        ]
    return sorted(
        rows, key=lambda row: (str(row["name"]), versions.order(str(row["version"])), str(row["architecture"]))
    )
