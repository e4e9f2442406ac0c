"""``pkgbuild agent`` and ``resign``: keeping devices' own packages and the repository's signatures fresh."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pkgbuild import agent, config, expiry, fleet_keys, keyring, keyring_upkeep, resign, versions
from pkgbuild.aptly import Aptly
from pkgbuild.cli import output

if TYPE_CHECKING:
    from pkgbuild.config import Settings


@click.command("agent")
@click.argument("deb", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@output.channel_option
@click.option(
    "--with-keys",
    is_flag=True,
    help="All that a new device needs: the keyring package too where it is missing, and DEB may be there already.",
)
@output.quiet_option
def agent_command(*, deb: Path, channel: str | None, with_keys: bool, quiet: bool) -> None:
    """Sign and publish DEB, a newer pi-hook or pi-ota-keyring: devices of the channel take it in their next night."""
    with output.errors():
        settings = config.load(config.settings_path())
        chosen = settings.channel(channel)
        done = agent.publish(settings, deb, chosen, output.progress(agent.STEPS, quiet=quiet), again=with_keys)
        if done["name"] == keyring.PACKAGE:
            with fleet_keys.opened(settings, lambda words: click.echo(words, err=True)) as fleet:
                keyring_upkeep.note(fleet, done["version"], chosen, datetime.now(UTC))
        click.echo(f"{done['name']} {done['version']} is published on {chosen} ({', '.join(done['debians'])})")
        if with_keys:
            _publish_missing_keys(settings, chosen)


def _publish_missing_keys(settings: Settings, channel: str) -> None:
    with closing(Aptly.of(settings)) as aptly:
        there = keyring_upkeep.channels(settings, aptly).get(channel, frozenset())
    if there:
        click.echo(f"{keyring.PACKAGE} {versions.highest(there)} was published before")
        return
    with fleet_keys.opened(settings, lambda words: click.echo(words, err=True)) as fleet:
        for row in keyring_upkeep.publish(settings, fleet, lambda: datetime.now(UTC))["published"]:
            click.echo(f"{keyring.PACKAGE} {row['version']} is published on {row['channel']}")


@click.command("resign")
@output.json_option
def resign_command(*, as_json: bool) -> None:
    """Sign what is published anew, so that devices can tell it from a frozen copy; a timer does it daily."""
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        done = resign.resign(settings, lambda words: click.echo(words, err=True))
        for warning in expiry.warnings(settings):
            click.echo(warning, err=True)
        if as_json:
            output.print_json(done)
        else:
            click.echo(f"signed anew: {', '.join(done) or 'nothing is published yet'}")
