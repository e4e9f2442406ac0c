"""What a fleet has once: settings, database and first admin key, signing keys, the builder's own API key."""

from __future__ import annotations

import json
import tomllib

from repo_server.install import places
from repo_server.install.machine import InstallError, Machine

_SETTINGS = """\
# The settings of pi-ota's server; docs/SETTINGS.md has them all. After a change: systemctl restart pi-ota-server
url = "https://{host}"
state_dir = "{places.SERVER_STATE}"
repository_dir = "{places.BUILDER_STATE}/aptly/public"
backup_dir = "{places.BACKUPS}"
host = "127.0.0.1"
accel_prefix = "/_repo/"             # nginx sends the repository's bytes; the server still says who may have them
trusted_proxies = ["127.0.0.1"]      # whose X-Forwarded-For is believed
log_format = "json"                  # one line a request: route, status, milliseconds, who, request id
"""
_COMMANDS = {"repo-server": places.COMMANDS / "repo-server", "pkgbuild": places.COMMANDS / "pkgbuild"}


def known_host(machine: Machine) -> str | None:
    """The name of the server that was installed before; None where there is none. Raises ``InstallError``."""
    file = machine.path(places.SETTINGS)
    if not file.exists():
        return None
    try:
        url = tomllib.loads(file.read_text(encoding="utf-8")).get("url")
    except tomllib.TOMLDecodeError as error:
        raise InstallError(f"{places.SETTINGS} is not TOML: {error}; mend it and run this again.") from error
    return str(url).removeprefix("https://") if url else None


def settings(machine: Machine, host: str) -> None:
    """The server's settings, where there are none. Raises ``InstallError`` where they name another host."""
    before = known_host(machine)
    if machine.path(places.SETTINGS).exists():
        if before != host:
            raise InstallError(
                f"{places.SETTINGS} says url = {'https://' + before if before else None!r}, and you said HOST={host}: "
                "change one of them. Devices know the server by its name."
            )
        machine.tell("kept", places.SETTINGS)
    else:
        machine.write(places.SETTINGS, _SETTINGS.format(host=host, places=places), 0o644)


def database(machine: Machine) -> str | None:
    """The database, where there is none; returns the first admin key, which is written nowhere else."""
    if machine.path(places.SERVER_STATE / "repo_server.db").exists():
        machine.tell("kept", places.SERVER_STATE / "repo_server.db")
        return None
    made = json.loads(machine.run(_COMMANDS["repo-server"], "init", "--without-token", "--json"))
    machine.tell("made", f"{made['database']} and the first admin key")
    return str(made["admin_key"])


def copied(machine: Machine) -> None:
    """A copy of the database, before newer code may change its form: that is the way back."""
    made = json.loads(machine.run(_COMMANDS["repo-server"], "backup", "--json"))
    machine.tell("copied", f"the database to {made['backup']}")


def builder(machine: Machine, host: str) -> None:
    """Signing keys, aptly's settings, ``pkgbuild.toml``, and the key with which releases are announced."""
    if not machine.path(places.BUILDER_KEY).exists():
        words = ("api-key", "create", "--role", "builder", "--name", f"builder on {host}", "--json")
        made = json.loads(machine.run(_COMMANDS["repo-server"], *words))
        machine.write(places.BUILDER_KEY, made["api_key"] + "\n", 0o600, places.BUILDER)
    if machine.path(places.BUILDER_STATE / "pkgbuild.toml").exists():
        machine.tell("kept", f"{places.BUILDER_STATE}/pkgbuild.toml and keys/")
        return
    url = ("--server-url", "http://127.0.0.1:8000", "--api-key-file", places.BUILDER_KEY.name)
    machine.run(_COMMANDS["pkgbuild"], "init", "--state", places.BUILDER_STATE, *url)
    machine.tell("made", f"{places.BUILDER_STATE}/keys/: copy it to another place, encrypted (docs/KEYS.md)")
