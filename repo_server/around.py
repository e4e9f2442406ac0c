"""The machine itself, as ``installed`` asks for it; changes nothing, and needs no rights but the server's own."""

from __future__ import annotations

import grp
import http.client
import os
import pwd
import socket
import ssl
import stat
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from repo_server.install import places
from repo_server.installed import Answer, CertificateError, Unit

_SECONDS = 10
_PROPERTIES = ("Id", "LoadState", "ActiveState", "UnitFileState")


class Here:
    """The machine on which we run; ``ask`` goes to this address and port of it."""

    def __init__(
        self, address: tuple[str, int] = ("127.0.0.1", 443), authority: Path = places.AUTHORITY, root: Path = Path("/")
    ) -> None:
        """``authority`` is believed besides the system's own; ``root`` is where ``stopped_at`` begins to look."""
        self._address, self._authority, self._root = address, authority, root

    def units(self, names: Sequence[str]) -> Mapping[str, Unit] | None:
        """See ``Around``."""
        said = _said("systemctl", "show", f"--property={','.join(_PROPERTIES)}", *names)
        if said is None:
            return None
        found = {}
        for name, stanza in zip(names, said.strip().split("\n\n"), strict=False):
            told = dict(line.split("=", 1) for line in stanza.splitlines() if "=" in line)
            active = told.get("ActiveState")
            found[name] = Unit(
                loaded=told.get("LoadState") == "loaded",
                active=active in {"active", "activating", "reloading"},
                enabled=told.get("UnitFileState") == "enabled",
                failed=active == "failed",
            )
        return found if len(found) == len(names) else None

    def time_is_kept(self) -> tuple[bool, bool]:
        """See ``Around``. In a container it is the host that keeps it."""
        if _said("systemd-detect-virt", "--container") is not None:
            return True, False
        said = _said("timedatectl", "show", "--property=NTPSynchronized,CanNTP") or ""
        return "NTPSynchronized=yes" in said.split(), "CanNTP=yes" in said.split()

    def ask(self, name: str) -> Answer:
        """See ``Around``."""
        context = ssl.create_default_context()
        if self._authority.exists():
            context.load_verify_locations(self._authority)
        try:
            with (
                socket.create_connection(self._address, timeout=_SECONDS) as plain,
                context.wrap_socket(plain, server_hostname=name) as connection,
            ):
                connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
                answer = http.client.HTTPResponse(connection)
                answer.begin()
                shown = connection.getpeercert() or {}
        except ssl.SSLCertVerificationError as error:
            raise CertificateError(error.verify_message) from error
        except http.client.HTTPException as error:
            raise OSError(f"what answers is no web server ({error!r})") from error
        ends = ssl.cert_time_to_seconds(str(shown["notAfter"]))
        return Answer(answer.status, datetime.fromtimestamp(ends, UTC))

    def stopped_at(self, user: str, folder: Path) -> Path | None:
        """See ``Around``. A folder that is not there yet stops nobody, nor does what we cannot see ourselves."""
        try:
            account = pwd.getpwnam(user)
        except KeyError:
            return None
        groups = set(os.getgrouplist(user, account.pw_gid))
        for place in reversed([folder, *folder.parents]):
            if not place.is_relative_to(self._root):
                continue
            try:
                found = place.stat()
            except FileNotFoundError:
                return None
            except PermissionError:
                return place.parent
            wanted = 0o5 if place == folder else 0o1
            if _allowed(found, account.pw_uid, groups) & wanted != wanted:
                return place
        return None

    def is_link_to_certbots(self) -> bool:
        """See ``Around``."""
        return places.CERTIFICATE.is_symlink() and "letsencrypt" in places.CERTIFICATE.readlink().parts

    def is_in_group(self, user: str, group: str) -> bool:
        """See ``Around``."""
        try:
            return grp.getgrnam(group).gr_gid in os.getgrouplist(user, pwd.getpwnam(user).pw_gid)
        except KeyError:
            return False


def _allowed(found: os.stat_result, uid: int, groups: set[int]) -> int:
    """The three bits that count for this user."""
    mode = stat.S_IMODE(found.st_mode)
    if uid == found.st_uid:
        return mode >> 6
    return mode >> 3 if found.st_gid in groups else mode


def _said(*command: str) -> str | None:
    """What a program prints; None where it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
