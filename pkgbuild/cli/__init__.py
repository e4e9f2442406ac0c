"""The command ``pkgbuild``.

A module here is a group of commands that belong together. ``output`` has what they share: a new command is a function
in one of these modules, inside ``output.errors``, and a name in ``_COMMANDS``.
"""

from __future__ import annotations

import click

from pkgbuild.cli.build import lock, release_command
from pkgbuild.cli.channel import promote, prune, rollback, withdraw
from pkgbuild.cli.keys import keys_group
from pkgbuild.cli.look import diff, list_command, show
from pkgbuild.cli.packages import build_command, deb_command
from pkgbuild.cli.setup import aptly_command, init
from pkgbuild.cli.upkeep import agent_command, resign_command
from pkgbuild.errors import EXIT_CODES

_COMMANDS: tuple[click.Command, ...] = (
    init,
    keys_group,
    aptly_command,
    release_command,
    build_command,
    deb_command,
    lock,
    promote,
    withdraw,
    rollback,
    prune,
    list_command,
    show,
    diff,
    agent_command,
    resign_command,
)


@click.group(epilog="Exit codes: " + ", ".join(f"{code} {kind}" for kind, code in EXIT_CODES.items()) + ".")
def main() -> None:
    """Build, sign and publish releases. Settings: pkgbuild.toml, or the file named by PKGBUILD_CONFIG."""


for _command in _COMMANDS:
    main.add_command(_command)
