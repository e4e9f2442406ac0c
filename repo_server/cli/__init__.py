"""``repo-server``: set up, start and look into the service on its own machine, without a key.

A module here is a command or a group of them. ``options`` has the options that commands share, ``session`` opens what
they work on, ``output`` prints: a new command is a module that uses these three, and a name in ``_COMMANDS``.
"""

from __future__ import annotations

import click

from repo_server.cli.api_key import api_key
from repo_server.cli.audit import audit
from repo_server.cli.backup import backup, restore
from repo_server.cli.devices import devices
from repo_server.cli.doctor import examine as doctor
from repo_server.cli.enroll_token import enroll_token
from repo_server.cli.init import init
from repo_server.cli.prune import prune
from repo_server.cli.rollout import rollout
from repo_server.cli.serve import serve
from repo_server.cli.updates import updates
from repo_server.version import VERSION

_COMMANDS: tuple[click.Command, ...] = (
    init,
    doctor,
    serve,
    api_key,
    enroll_token,
    devices,
    updates,
    audit,
    rollout,
    backup,
    restore,
    prune,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="repo-server")
def main() -> None:
    """The fleet's server: devices, updates and the published repository.

    Settings come from a TOML file (--config), the environment (REPO_SERVER_STATE_DIR, ...) and options.
    """


for _command in _COMMANDS:
    main.add_command(_command)
