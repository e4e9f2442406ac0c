"""The two users and the folders that are theirs."""

from __future__ import annotations

import grp
import pwd
from contextlib import suppress

from repo_server.install import places
from repo_server.install.machine import Machine


def make(machine: Machine) -> None:
    """Users without a shell and a password, and their folders.

    nginx's user and the server's are in the builder's group, so that they can read what aptly publishes. The builder's
    secrets lie in folders and files that are the builder's alone.
    """
    for name, home in ((places.SERVER, places.SERVER_STATE), (places.BUILDER, places.BUILDER_STATE)):
        if not _is_user(name):
            machine.run(
                *("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", home),
                *("--shell", "/usr/sbin/nologin", name),
            )
            machine.tell("made", f"user {name}")
    for name in (places.SERVER, places.WEB):
        if name not in grp.getgrnam(places.BUILDER).gr_mem:
            machine.run("usermod", "--append", "--groups", places.BUILDER, name)
            machine.tell("added", f"{name} to group {places.BUILDER}")
    machine.folder(places.SETTINGS.parent, 0o755)
    machine.folder(places.TLS, 0o755)
    machine.folder(places.SERVER_STATE, 0o700, places.SERVER)
    machine.folder(places.BUILDER_STATE, 0o750, places.BUILDER)
    machine.folder(places.ACME, 0o755)
    machine.folder(places.BACKUPS, 0o700, places.SERVER)


def remove(machine: Machine) -> None:
    """Both users; their folders are not touched here."""
    with suppress(KeyError):
        if places.WEB in grp.getgrnam(places.BUILDER).gr_mem:
            machine.run("gpasswd", "--delete", places.WEB, places.BUILDER)
    for name in (places.SERVER, places.BUILDER):
        if _is_user(name):
            machine.run("userdel", name)
            machine.tell("removed", f"user {name}")


def _is_user(name: str) -> bool:
    with suppress(KeyError):
        return pwd.getpwnam(name) is not None
    return False
