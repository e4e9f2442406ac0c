"""Take the server off this machine; its data goes only where that is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from repo_server.install import accounts, places, services, site
from repo_server.install.machine import Machine

DATA = {
    places.SERVER_STATE: "the fleet: devices, updates, API keys, audit log",
    places.BUILDER_STATE: "the signing keys, and everything that is published",
    places.BACKUPS: "copies of the database",
    places.SETTINGS.parent: "settings, certificate, authority",
    places.ACME: "certbot's answers",
    places.MORE_SITE: "what was added to nginx's site",
    places.PASSWORDS: "passwords of builders on other machines",
    places.MORE_APTLY: "what was added to the unit",
}


def uninstall(machine: Machine, *, purge: bool) -> Iterator[str]:
    """Units, nginx's site and the commands; with ``purge`` data and users as well. Yields what is left.

    Twice does no harm.
    """
    services.remove(machine)
    site.remove(machine)
    if purge:
        for folder in DATA:
            machine.remove(folder)
        accounts.remove(machine)
    else:
        for folder, what in DATA.items():
            if machine.path(folder).exists():
                yield f"left        {folder}: {what}"
    yield f"left        {places.HOME}/, Debian's packages and what certbot has: they may be others' too"
