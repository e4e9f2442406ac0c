"""``pkgbuild init``, ``aptly`` and ``keys``: what a builder needs once."""

from __future__ import annotations

from pathlib import Path

import click

from pkgbuild import config, keyring, keys, stack
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


@click.group("keys")
def keys_group() -> None:
    """The builder key and the archive key."""


@keys_group.command("init")
@click.option("--state", required=True, type=click.Path(path_type=Path), help="Folder under which keys/ is made.")
def keys_init(*, state: Path) -> None:
    """Make the keys that are missing."""
    with output.errors():
        pair = stack.make_keys(state)
        click.echo(f"builder {pair.builder.fingerprint}\narchive {pair.archive.fingerprint}")


@keys_group.command("package")
@click.option("--version", default="1", show_default=True, help="Raise it whenever the keys change.")
@click.option("--output", "folder", default=".", type=click.Path(path_type=Path), help="Folder for the .deb.")
def keys_package(*, version: str, folder: Path) -> None:
    """Build pi-ota-keyring_VERSION_all.deb, which makes a device trust both keys."""
    with output.errors():
        settings = config.load(config.settings_path())
        builder_home, archive_home = stack.key_homes(settings.state)
        files = settings.file
        builder = keys.find(
            settings.resolve(files.builder.gnupghome or str(builder_home)), files.builder.key, whose="builder"
        )
        archive = keys.find(
            settings.resolve(files.archive.gnupghome or str(archive_home)), files.archive.key, whose="archive"
        )
        with keys.no_agent_left_behind(builder.home):
            click.echo(keyring.build(builder, archive, version, folder, files.allowed_packages).path)
