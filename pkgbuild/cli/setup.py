"""``pkgbuild init`` and ``aptly``: what a builder needs once."""

from __future__ import annotations

from pathlib import Path

import click

from pkgbuild import config, stack
from pkgbuild.cli import output
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.habits import env_file, names


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


@click.command("env")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--for",
    "part",
    type=click.Choice(["device", "server"]),
    default="device",
    show_default=True,
    help="Print pi-hook.toml of a device, or an EnvironmentFile of the server.",
)
def env_command(*, file: Path, part: str) -> None:
    """Print the settings that the .env FILE of a Supabase-style set-up means here; see docs/MIGRATION.md.

    What becomes of each name is said on standard error. Nothing in the file is carried out.
    """
    with output.errors():
        try:
            values = env_file.read(file)
        except env_file.EnvFileError as error:
            raise PkgbuildError(Kind.BAD_INPUT, f"{error}.") from error
        text, others = (names.for_device if part == "device" else names.for_server)(values)
        click.echo(text, nl=False)
        for one in others:
            click.echo(one, err=True)


@click.command("aptly")
def aptly_command() -> None:
    """Run aptly's API server for these settings, in the foreground, with the archive key."""
    with output.errors():
        stack.serve_aptly(config.load(config.settings_path()))
