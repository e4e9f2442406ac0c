"""``repo-server doctor``."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from repo_server import around, config, doctor, times
from repo_server.cli import options
from repo_server.errors import ConfigError
from repo_server.findings import Finding, Level


@click.command("doctor")
@options.where
@options.as_json
def examine(state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """Look at all that the server needs, and name what mends it. Exit status 1 where something is wrong."""
    try:
        settings = config.load({"state_dir": state_dir}, os.environ, file)
        found = [
            Finding("settings", Level.OK, "they can be used"),
            *doctor.examine(settings, times.utc_now(), around.Here()),
        ]
    except ConfigError as error:
        found = [Finding("settings", Level.FAIL, str(error), "mend the settings file")]
    ok = not any(one.level is Level.FAIL for one in found)
    if as_json:
        click.echo(json.dumps({"ok": ok, "checks": [asdict(one) for one in found]}))
    else:
        width = max(len(one.check) for one in found)
        for one in found:
            click.echo(f"{one.level:<4}  {one.check:<{width}}  {one.words}")
            if one.mend is not None:
                click.echo(f"{'':<4}  {'':<{width}}  mend: {one.mend}")
    if not ok:
        raise SystemExit(1)
