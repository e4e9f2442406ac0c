"""What is put on a Pi so that it finds this server and registers: its settings file, and the lines around it. Pure.

The device agent is not installed where the server is, so its formats are written here once more; the tests hold them
against the agent's own loader and against the apt source that it writes.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, PlainValidator

from repo_server import onboarding
from repo_server.freshness import REFUSED_AFTER
from repo_server.wire import Body, Channel, PackageName, Zone

FILE = "pi-hook.toml"
"""By this name the agent looks for its settings on the card's boot partition."""
SETTINGS = "/etc/pi-hook/pi-hook.toml"
SOURCE = "/etc/apt/sources.list.d/pi-ota.sources"
KEYRING = "/usr/share/keyrings/pi-ota-archive-keyring.gpg"
DEBIAN_RELEASES = ("trixie", "bookworm")
"""That devices may run; the newest first."""
DEFAULT_CHANNEL = "stable"
"""That a device follows of itself."""
_ADDRESS = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?/?")
_LAYER = re.compile(r"-(app|deps|asset)-")
_LOOPBACK = re.compile(r"localhost|::1|127(\.\d{1,3}){3}")
_LARGEST_PORT = 65_535
_LARGEST_PIN = 53
_END = "END"


def address(value: object) -> str:
    """The address of a server without a slash at its end. Raises ``ValueError``, as the end of a sentence."""
    match = _ADDRESS.fullmatch(str(value))
    if match is None or int(match[3] or 1) not in range(1, _LARGEST_PORT + 1):
        raise ValueError("must be https://HOST or https://HOST:PORT, without a path")
    return str(value).rstrip("/")


def _assistant(name: str) -> str:
    if _LAYER.search(name):
        raise ValueError("is the name of a layer; give the assistant's own, without -app-, -deps- or -asset-")
    return name


def _pins(value: object) -> tuple[int, ...]:
    words = str(value).replace(",", " ").split()
    if not all(re.fullmatch(r"[0-9]{1,2}", word) and int(word) <= _LARGEST_PIN for word in words):
        raise ValueError(f"must be BCM numbers from 0 to {_LARGEST_PIN}, such as 17, 27")
    return tuple(dict.fromkeys(int(word) for word in words))


class PiRequest(Body):
    """How a new Pi is to be set up."""

    server: Annotated[str, PlainValidator(address)]
    """Where devices find this server."""
    assistant: Annotated[PackageName, AfterValidator(_assistant)]
    debian: Channel = DEBIAN_RELEASES[0]
    gpio_pins: Annotated[tuple[int, ...], PlainValidator(_pins)] = ()
    """BCM numbers of the pins on which the assistant is used."""
    timezone: Zone | None = None


@dataclass(frozen=True, slots=True)
class NewPi:
    """A Pi that is to register."""

    request: PiRequest
    channel: str
    token: str
    """The enrollment token's secret, or words in its place."""

    @property
    def host(self) -> str:
        """Of the server, without brackets."""
        match = _ADDRESS.fullmatch(self.request.server)
        return match[2].strip("[]") if match is not None else ""

    @property
    def is_loopback(self) -> bool:
        """Whether the server's address means, on a Pi, the Pi itself."""
        return _LOOPBACK.fullmatch(self.host) is not None

    @property
    def is_plain(self) -> bool:
        """Whether a stranger on the way could read what the Pi and the server say."""
        return self.request.server.startswith("http://") and not self.is_loopback

    @property
    def takes_line(self) -> bool:
        """Whether the server's script can be fetched from a Pi: over TLS, and from where the Pi finds the server."""
        return not self.is_plain and not self.is_loopback

    def settings(self) -> str:
        """The agent's settings file, for the boot partition or for ``/etc/pi-hook``."""
        given = self.request
        server: dict[str, object] = {"url": given.server}
        if self.is_plain:
            server["plain_http_hosts"] = [self.host]
        tables: dict[str, dict[str, object]] = {
            "server": server,
            "enrollment": {"token": self.token},
            "device": {"timezone": given.timezone} if given.timezone is not None else {},
            "assistant": {"name": given.assistant, "channel": self.channel},
            "activity": {"gpio_pins": list(given.gpio_pins)} if given.gpio_pins else {},
        }
        return "\n".join(_table(name, keys) for name, keys in tables.items() if keys)

    def source(self) -> str:
        """The apt source that the agent writes once the device is registered."""
        return (
            "Types: deb\n"
            f"URIs: {self.request.server.lower()}/repo/{self.request.debian}\n"
            f"Suites: {self.channel}\n"
            "Components: main\n"
            "Targets: Packages\n"
            "Languages: none\n"
            f"Signed-By: {KEYRING}\n"
            f"Valid-Until-Max: {REFUSED_AFTER // timedelta(seconds=1)}\n"
        )

    def line(self) -> str:
        """For a shell on a Pi that runs: the server's script does the rest."""
        options = {"token": self.token, "assistant": self.request.assistant}
        if self.channel != DEFAULT_CHANNEL:
            options["channel"] = self.channel
        if self.request.gpio_pins:
            options["gpio"] = ",".join(map(str, self.request.gpio_pins))
        if self.request.timezone is not None:
            options["timezone"] = self.request.timezone
        given = " ".join(f"--{name} {shlex.quote(value)}" for name, value in options.items())
        return f"curl -fsSL {shlex.quote(self.request.server + onboarding.SCRIPT)} | sudo sh -s -- {given}\n"

    def undo_line(self) -> str:
        """Takes all of it away again."""
        return f"curl -fsSL {shlex.quote(self.request.server + onboarding.SCRIPT)} | sudo sh -s -- --undo\n"

    def lines(self) -> str:
        """For a shell on a Pi that runs, beside the two packages: where the script cannot be fetched over TLS."""
        return (
            "sudo apt-get install ./pi-hook_*.deb ./pi-ota-keyring_*.deb\n"
            f"sudo install -D -m 0600 /dev/stdin {SETTINGS} <<'{_END}'\n"
            f"{self.settings()}"
            f"{_END}\n"
            "sudo systemctl restart pi-hook\n"
            "sudo pi-hook doctor\n"
        )


def _table(name: str, keys: dict[str, object]) -> str:
    # What JSON writes of a text or a list of them is TOML as well.
    return f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in keys.items())
