"""``pkgbuild keys``: making, showing, changing and handing out the fleet's two kinds of keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pkgbuild import config, expiry, fleet_keys, key_changes, keyring_upkeep, keys, rotation, stack, versions
from pkgbuild.cli import output
from pkgbuild.ring import Role

if TYPE_CHECKING:
    from pkgbuild.fleet_keys import FleetKeys

_role = click.argument("role", type=click.Choice([role.value for role in Role]))
_OFFLINE_DAYS = 90


@click.group("keys")
def keys_group() -> None:
    """The builder key and the archive key: make, show, extend, rotate, revoke, and tell devices (docs/KEYS.md)."""


def _say(words: str) -> None:
    click.echo(words, err=True)


def _now() -> datetime:
    return datetime.now(UTC)


@keys_group.command("init")
@click.option("--state", required=True, type=click.Path(path_type=Path), help="Folder under which keys/ is made.")
def keys_init(*, state: Path) -> None:
    """Make the keys that are missing."""
    with output.errors():
        pair = stack.make_keys(state)
        click.echo(f"builder {pair.builder.fingerprint}\narchive {pair.archive.fingerprint}")


@keys_group.command("show")
@output.json_option
def keys_show(*, as_json: bool) -> None:
    """Every key: fingerprint, made, expires, state; and where devices can learn of it."""
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        with fleet_keys.opened(settings, _say) as fleet:
            rows = [row for role in Role for row in _rows(fleet, role)]
            told: list[dict[str, Any]] = [
                {"version": k.version, "signed_by": k.signed_by, "channels": dict(k.channels)}
                for k in fleet.ring.keyrings
            ]
        warnings = expiry.warnings(settings, _now())
        if as_json:
            output.print_json({"keys": rows, "keyring_packages": told, "warnings": warnings})
            return
        for row in rows:
            until = row["expires"] or "never"
            click.echo(f"{row['role']:<8} {row['fingerprint']} {row['state']:<8} made {row['made']}, expires {until}")
        for package in told:
            where = ", ".join(f"{name} since {at}" for name, at in package["channels"].items()) or "not published"
            click.echo(f"keyring package {package['version']}: {where}")
        for warning in warnings:
            _say(warning)


def _rows(fleet: FleetKeys, role: Role) -> list[dict[str, Any]]:
    listed, now, able = fleet.listed(role), _now(), fleet.able(role)
    rows = []
    for entry in fleet.ring.entries[role]:
        key = listed.get(entry.fingerprint)
        rows.append(
            {
                "role": role.value,
                "fingerprint": entry.fingerprint,
                "made": key.made.strftime(fleet_keys.TIME) if key else None,
                "expires": key.expires.strftime(fleet_keys.TIME) if key and key.expires else None,
                "state": entry.state.value,
                "expired": bool(key and key.expires and key.expires <= now),
                "can_sign_here": entry.fingerprint in able,
            }
        )
    return rows


@keys_group.command("export")
@_role
@click.option("--output", "file", type=click.Path(path_type=Path), help="Instead of standard output.")
def keys_export(*, role: str, file: Path | None) -> None:
    """Write the public keys that devices trust, in ASCII; secret keys are copied with their folder (docs/KEYS.md)."""
    with output.errors():
        settings = config.load(config.settings_path())
        with fleet_keys.opened(settings, _say) as fleet:
            chosen = [fleet.key(Role(role), fingerprint) for fingerprint in fleet.ring.trusted(Role(role))]
            if file is None:
                click.echo(keys.armored(chosen), nl=False)
            else:
                keys.export(chosen, file, armor=True)


@keys_group.command("extend")
@_role
@click.option("--years", type=click.IntRange(1, 20), help="From now on; as long as a new key without it.")
def keys_extend(*, role: str, years: int | None) -> None:
    """Make the keys in use good for longer; their fingerprints stay."""
    with output.errors():
        settings = config.load(config.settings_path())
        for fingerprint, end in key_changes.extend(settings, Role(role), years, _say).items():
            click.echo(f"{fingerprint} expires {end}")
        click.echo(f"Next: `{rotation.PUBLISH}`, so that devices know.")


@keys_group.command("rotate")
@_role
def keys_rotate(*, role: str) -> None:
    """Have a new key take the place of the present one, without locking out a device that is off meanwhile."""
    with output.errors():
        click.echo(key_changes.rotate(config.load(config.settings_path()), Role(role), _say))


@keys_group.command("retire")
@_role
@click.option(
    "--offline-days",
    type=click.IntRange(0, 3650),
    default=_OFFLINE_DAYS,
    show_default=True,
    help="Of the archive key: for how long a device may have been off and still come back by itself.",
)
def keys_retire(*, role: str, offline_days: int) -> None:
    """Drop the key from before a rotation; refused where devices need it still."""
    with output.errors():
        settings = config.load(config.settings_path())
        click.echo(key_changes.retire(settings, Role(role), timedelta(days=offline_days), _say))


@keys_group.command("revoke")
@_role
@click.argument("fingerprint", required=False)
def keys_revoke(*, role: str, fingerprint: str | None) -> None:
    """Have devices trust a key no more (the present one, or FINGERPRINT), and say what has to be released anew."""
    with output.errors():
        done = key_changes.revoke(config.load(config.settings_path()), Role(role), fingerprint, _say)
        click.echo(done.words)
        if done.unknown:
            _say(f"What has to be released anew is not known: {done.unknown}")
        for channel, anew in done.anew.items():
            click.echo(f"To be released anew on {channel}: {', '.join(anew) or 'nothing'}")


@keys_group.command("package")
@click.option("--version", help="Instead of counting up where the keys have changed.")
@click.option("--output", "folder", default=".", type=click.Path(path_type=Path), help="Folder for the .deb.")
@click.option("--by-hand", is_flag=True, help="After the builder key was lost: signed by a key that no device knows.")
def keys_package(*, version: str | None, folder: Path, by_hand: bool) -> None:
    """Build pi-ota-keyring_VERSION_all.deb, which makes a device trust the keys in use; to be installed by hand."""
    with output.errors():
        settings = config.load(config.settings_path())
        if version is not None:
            versions.check_version(version)
        with fleet_keys.opened(settings, _say) as fleet:
            made = keyring_upkeep.bring(fleet, version=version, by_hand=by_hand)
            for path in keyring_upkeep.copy(made, folder):
                click.echo(path)


@keys_group.command("publish")
@output.json_option
def keys_publish(*, as_json: bool) -> None:
    """Bring the keyring package to every channel, and have the keys in use sign all that is published."""
    with output.errors(as_json=as_json):
        settings = config.load(config.settings_path())
        with fleet_keys.opened(settings, _say) as fleet:
            done = keyring_upkeep.publish(settings, fleet, _now)
        if as_json:
            output.print_json(done)
            return
        for row in done["published"]:
            click.echo(f"pi-ota-keyring {row['version']} is published on {row['channel']}")
        if not done["published"]:
            click.echo(f"pi-ota-keyring {done['version']} was published before; everything is signed anew")
