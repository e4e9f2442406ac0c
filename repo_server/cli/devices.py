"""``repo-server devices …``."""

from __future__ import annotations

from pathlib import Path

import click
from pydantic import ValidationError

from repo_server import changes, enrollment, privacy, rotation, times, wire
from repo_server.cli import options, session
from repo_server.cli.output import every, show, show_list
from repo_server.store import device_lists
from repo_server.store import devices as store

_COLUMNS = ("id", "hostname", "state", "channel", "installed", "active", "presence", "last_seen_at")
_id = click.argument("device_id", metavar="ID")


@click.group(invoke_without_command=True)
@options.where
@options.as_json
@click.pass_context
def devices(ctx: click.Context, state_dir: Path | None, file: Path | None, as_json: bool) -> None:
    """Devices: list them (without a command), let them in, hold them, retire them."""
    if ctx.invoked_subcommand is None:
        _list(state_dir, file, [wire.DeviceQuery(limit=1_000)], as_json)


@devices.command("list")
@options.where
@options.as_json
@click.option(
    "--only",
    type=click.Choice(["active", "pending", "decommissioned"]),
    default="active",
    show_default=True,
    help="Let in, waiting for approval, or retired.",
)
@click.option("--group", type=options.Word(), help="Only those of this group.")
@click.option("--channel", type=options.Word(), help="Only those that follow this channel.")
@click.option("--waiting", is_flag=True, help="Only those that wait for an operator's approval.")
def list_devices(
    *,
    state_dir: Path | None,
    file: Path | None,
    as_json: bool,
    only: str,
    group: str | None,
    channel: str | None,
    waiting: bool,
) -> None:
    """List the devices."""
    query = wire.DeviceQuery.model_validate({"limit": 1_000, "state": only, "group": group, "channel": channel})
    queries = [query]
    if waiting:
        queries = [
            query.model_copy(update={"state": "pending"}),
            query.model_copy(update={"state": "active", "reenrollment": True}),
        ]
    _list(state_dir, file, queries, as_json)


@devices.command("show")
@options.where
@options.as_json
@_id
def show_device(state_dir: Path | None, file: Path | None, as_json: bool, device_id: str) -> None:
    """Show one device."""
    with session.state(state_dir, file) as state:
        row = enrollment.device(state.db.connection(), device_id)
        shown = store.answer(row, times.utc_now()).model_dump(mode="json")
    show(shown, as_json)


@devices.command()
@options.where
@click.option("--fingerprint", help="Only the token with this fingerprint, as `devices show` tells it.")
@_id
def approve(state_dir: Path | None, file: Path | None, fingerprint: str | None, device_id: str) -> None:
    """Let in a device that waits, or switch to its token that waits."""
    with session.state(state_dir, file) as state:
        enrollment.approve(state.db, device_id, fingerprint, session.WHO, times.utc_now())


@devices.command("rotate-token")
@options.where
@_id
def rotate_token(state_dir: Path | None, file: Path | None, device_id: str) -> None:
    """Have a device make itself a new token; it is told so with its next heartbeat."""
    with session.state(state_dir, file) as state:
        rotation.ask(state.db, device_id, session.WHO, times.utc_now())


@devices.command()
@options.where
@click.option("--erase", "also_erase", is_flag=True, help="Delete what is kept about the home as well.")
@_id
def decommission(state_dir: Path | None, file: Path | None, also_erase: bool, device_id: str) -> None:
    """Retire a device at once; its id never comes back."""
    with session.state(state_dir, file) as state:
        enrollment.decommission(state.db, device_id, session.WHO, times.utc_now())
        if also_erase:
            privacy.erase(state.db, device_id, session.WHO, times.utc_now())


@devices.command()
@options.where
@_id
def erase(state_dir: Path | None, file: Path | None, device_id: str) -> None:
    """Delete what is kept about a home until now; the device stays registered."""
    with session.state(state_dir, file) as state:
        privacy.erase(state.db, device_id, session.WHO, times.utc_now())


@devices.command()
@options.where
@_id
def export(state_dir: Path | None, file: Path | None, device_id: str) -> None:
    """Print everything that is kept about a device, as JSON."""
    with session.state(state_dir, file) as state:
        click.echo(privacy.export(state.db, device_id, times.utc_now()).model_dump_json())


@devices.command()
@options.where
@click.option("--why", help="Offer it nothing from now on; people are shown why.")
@click.option("--end", is_flag=True, help="End the hold.")
@_id
def hold(state_dir: Path | None, file: Path | None, why: str | None, end: bool, device_id: str) -> None:
    """Hold a device, or end its hold."""
    if (why is None) is not end:
        raise click.UsageError("give either --why or --end")
    try:
        given = wire.DeviceChange(hold=why)
    except ValidationError as error:
        raise click.UsageError("--why must be one line of at most 200 characters") from error
    with session.state(state_dir, file) as state:
        changes.change_device(state.db, device_id, given, session.WHO, times.utc_now())


def _list(state_dir: Path | None, file: Path | None, queries: list[wire.DeviceQuery], as_json: bool) -> None:
    with session.state(state_dir, file) as state:
        now = times.utc_now()
        found = [
            item
            for query in queries
            for item in every(query, lambda page: device_lists.list_page(state.db.connection(), page, now))
        ]
    show_list(found, _COLUMNS, as_json)
