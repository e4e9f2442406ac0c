"""Whose systemd runs the assistant: the system's, or, for a unit of an account, that account's own.

The unit of an account is ``/usr/lib/systemd/user/NAME.service``; its section ``[X-Pi-Ota]``, which systemd leaves
alone, names the account. Its systemd is asked as that account, over its own socket: it answers nobody else, not even
root.
"""

from __future__ import annotations

import configparser
import pwd
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pi_hook import outside
from pi_hook.ports import ServiceError

if TYPE_CHECKING:
    from pi_hook.files import Root

_UNITS = "/usr/lib/systemd/user"
_SECTION = "X-Pi-Ota"


@dataclass(frozen=True, slots=True)
class Account:
    """An account with a systemd of its own."""

    name: str
    uid: int

    @property
    def environment(self) -> dict[str, str]:
        """What leads its programs to its own systemd and bus, and to the sound server beside them."""
        folder = f"/run/user/{self.uid}"
        return {"XDG_RUNTIME_DIR": folder, "DBUS_SESSION_BUS_ADDRESS": f"unix:path={folder}/bus"}

    @property
    def unit(self) -> str:
        """The unit of the system that is its systemd."""
        return f"user@{self.uid}.service"


def account_of(assistant: str, root: Root) -> Account | None:
    """The account whose systemd runs ``assistant``; None for a unit of the system. Raises ``ServiceError``."""
    path = root.at(f"{_UNITS}/{assistant}.service")
    # systemd's files have the same key several times, and keys without a section never
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        name = parser.get(_SECTION, "Account")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, configparser.Error) as error:
        raise ServiceError(f"{path} does not say under [{_SECTION}] whose unit it is: {error}") from error
    try:
        return Account(name, pwd.getpwnam(name).pw_uid)
    except KeyError as error:
        raise ServiceError(f"{assistant} runs as the account {name}, which this device does not have") from error


def systemctl(account: Account | None, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run systemctl. Raises ``ServiceError`` where it cannot be run or does not come back."""
    try:
        if account is not None:
            command = ["systemctl", "--user", *arguments]
            done = outside.run(command, seconds=seconds, user=account.name, environment=account.environment)
            if done.timed_out:
                raise ServiceError(f"systemctl --user {arguments[0]} took longer than {seconds:g} s")
            # Both streams are one there; whoever asks for words on either gets them.
            return subprocess.CompletedProcess(command, done.status, done.output, done.output)
        return subprocess.run(
            ["systemctl", *arguments],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=seconds,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"systemctl {arguments[0]} failed: {error}") from error


def journal_matches(account: Account | None, unit: str) -> list[str]:
    """What selects a unit's lines in the journal: its own, and what its systemd says of it."""
    if account is None:
        return [f"--unit={unit}"]
    return [f"_SYSTEMD_USER_UNIT={unit}", f"_UID={account.uid}", "+", f"USER_UNIT={unit}", f"_UID={account.uid}"]
