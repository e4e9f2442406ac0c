"""The command ``pkgbuild``.

A module here is a group of commands that belong together. ``output`` has what they share: a new command is a function
in one of these modules, inside ``output.errors``, and a name in ``_COMMANDS``.
"""

from __future__ import annotations

import importlib

import click

from pkgbuild.errors import EXIT_CODES

_COMMANDS = {
    "init": "setup:init",
    "keys": "keys:keys_group",
    "aptly": "setup:aptly_command",
    "env": "setup:env_command",
    "release": "build:release_command",
    "build": "packages:build_command",
    "deb": "packages:deb_command",
    "lock": "build:lock",
    "promote": "channel:promote",
    "withdraw": "channel:withdraw",
    "rollback": "channel:rollback",
    "prune": "channel:prune",
    "list": "look:list_command",
    "show": "look:show",
    "diff": "look:diff",
    "agent": "upkeep:agent_command",
    "resign": "upkeep:resign_command",
}
"""Where each is: only the one that is run is imported, as importing all of them takes longer than some of them run."""


class _Commands(click.Group):
    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module, _, attribute = _COMMANDS[name].partition(":")
        command = getattr(importlib.import_module(f"pkgbuild.cli.{module}"), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}.{attribute} is no command")
        return command


@click.group(
    cls=_Commands, epilog="Exit codes: " + ", ".join(f"{code} {kind}" for kind, code in EXIT_CODES.items()) + "."
)
def main() -> None:
    """Build, sign and publish releases. Settings: pkgbuild.toml, or the file named by PKGBUILD_CONFIG."""
