"""``pkgbuild init`` and ``aptly``: what a builder needs once."""

from __future__ import annotations

from pathlib import Path

import click

from pkgbuild import config, stack
from pkgbuild.cli import output


@click.command()
@click.option("--state", required=True, type=click.Path(path_type=Path), help="Folder for keys, caches and aptly.")
@click.option("--aptly-url", help="Where aptly answers; a Unix socket in the state folder without it.")
@click.option("--server-url", help="The repo_server to announce to; none without it.")
@click.option("--api-key-file", help="File with the builder's API key, relative to the state folder.")
@output.target_option
def init(
    *, state: Path, aptly_url: str | None, server_url: str | None, api_key_file: str | None, targets: tuple[str, ...]
) -> None:
    """Make keys, aptly.conf and pkgbuild.toml in a state folder; what is there already stays."""
    with output.errors():
        chosen = output.parse_targets(targets or output.DEFAULT_TARGETS) or ()
        made = stack.init(state, chosen, aptly_url=aptly_url, server_url=server_url, api_key_file=api_key_file)
        click.echo(made.path)


@click.command("aptly")
def aptly_command() -> None:
    """Run aptly's API server for these settings, in the foreground, with the archive key."""
    with output.errors():
        stack.serve_aptly(config.load(config.settings_path()))
