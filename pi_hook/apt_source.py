"""apt's knowledge of our repository: source, credentials, pins, and the hook that checks the builder's signature."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pi_hook.files import Root, remove_durably, write_atomic
from pi_hook.names import AGENT_PACKAGES, checked_name
from pi_hook.proxy import parse_proxy
from pi_hook.settings_keys import split_url

if TYPE_CHECKING:
    from pathlib import Path

    from pi_hook.ports import AptSettings

ORIGIN = "pi-ota"
"""``Origin:`` of every repository of this project; it never changes once published."""
SOURCE = "/etc/apt/sources.list.d/pi-ota.sources"
AUTH = "/etc/apt/auth.conf.d/pi-ota.conf"
PREFERENCES = "/etc/apt/preferences.d/pi-ota"
HOOK = "/etc/apt/apt.conf.d/51pi-ota-verify"
KEEP = "/etc/apt/apt.conf.d/52pi-ota-keep"
SHUN = "/etc/apt/preferences.d/00-pi-ota-bad"
"""Versions that failed on this device. Of pins that name a package the first one counts: before our own others."""
KEYRING = "/usr/share/keyrings/pi-ota-archive-keyring.gpg"
NETWORK = "/var/lib/pi-hook/apt/network.conf"
"""Proxy and bandwidth of the agent's own runs (``apt_config`` takes it in). It may hold credentials, so 0600."""
VERIFY_PROGRAM = "/usr/lib/pi-hook/verify-debs"
VALID_UNTIL_MAX_SECONDS = 7 * 86_400
"""The repository is signed anew every day: a week leaves room for a broken timer and still shows a frozen mirror."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_TOKEN = re.compile(r"[!-~]+\Z")
_NOTICE = "Written by pi-hook; changes made here are lost. See /etc/pi-hook/pi-hook.toml."


_PUBLIC, _SECRET = 0o644, 0o600


class AptSourceFiles:
    """``ports.AptSource`` as files under ``/etc/apt``."""

    def __init__(self, root: Root | None = None) -> None:
        self._root = root or Root()

    def write(self, settings: AptSettings) -> bool:
        """Write all files; True where anything changed. Raises ``ValueError`` naming the bad setting."""
        at = self._root.at
        changed = [write_atomic(at(path), text, mode) for path, text, mode in self._files(settings)]
        return any(changed)

    def differing(self, settings: AptSettings) -> list[str]:
        """The files that are not as ``write`` would leave them. Raises ``ValueError``, and ``OSError``."""
        return [path for path, text, mode in self._files(settings) if not _is(self._root.at(path), text, mode)]

    def _files(self, settings: AptSettings) -> list[tuple[str, str, int]]:
        """Path, content and mode of each file, in the order in which they are written."""
        server, host = _checked_server(settings.server_url)
        checked_name(settings.assistant)
        for what, value in (("Debian release", settings.debian), ("channel", settings.channel)):
            if not _WORD.match(value):
                raise ValueError(f"{value!r} is not a {what}")
        for what, value in (("device id", settings.device_id), ("device token", settings.device_token)):
            if not _TOKEN.match(value):
                raise ValueError(f"the {what} holds characters that apt's credentials cannot")
        # Pins before the source: at no instant may apt see the repository without its limits.
        return [
            (PREFERENCES, preferences_text(settings.assistant, host), _PUBLIC),
            (HOOK, hook_text(settings.assistant), _PUBLIC),
            (NETWORK, network_text(settings), _SECRET),
            (AUTH, _auth_text(server, settings.device_id, settings.device_token), _SECRET),
            (SOURCE, _source_text(server, settings.debian, settings.channel), _PUBLIC),
        ]

    def remove(self) -> None:
        """Remove the source first, then what limits it."""
        for path in (SOURCE, AUTH, NETWORK, PREFERENCES, SHUN, HOOK, KEEP):
            remove_durably(self._root.at(path))


def _is(path: Path, text: str, mode: int) -> bool:
    try:
        return path.stat().st_mode & 0o7777 == mode and path.read_bytes() == text.encode()
    except FileNotFoundError:
        return False


def _checked_server(url: str) -> tuple[str, str]:
    """The address without a slash at its end, and the host without brackets."""
    try:
        _, host, _ = split_url(url)
    except ValueError as error:
        raise ValueError(f"server.url {url!r} must be {error}") from error
    return url.rstrip("/").lower(), host.lower()


def _source_text(server: str, debian: str, channel: str) -> str:
    return (
        f"# {_NOTICE}\n"
        "Types: deb\n"
        f"URIs: {server}/repo/{debian}\n"
        f"Suites: {channel}\n"
        "Components: main\n"
        # Neither translations nor file lists: each refresh would ask for them.
        "Targets: Packages\n"
        "Languages: none\n"
        f"Signed-By: {KEYRING}\n"
        f"Valid-Until-Max: {VALID_UNTIL_MAX_SECONDS}\n"
    )


def _auth_text(server: str, device_id: str, token: str) -> str:
    # With the scheme in front apt also sends them over plain http; whether that is allowed the settings decided.
    return f"# {_NOTICE}\nmachine {server}/repo\nlogin {device_id}\npassword {token}\n"


def network_text(settings: AptSettings) -> str:
    """The network settings as apt configuration; empty where nothing is set, so that apt's own hold."""
    lines = []
    if settings.proxy is not None:
        parse_proxy(settings.proxy)  # nothing gets between the quotes that could end them
        lines += [f'Acquire::{way}::Proxy "{settings.proxy}";' for way in ("http", "https")]
        lines += [f'Acquire::{way}::Proxy-Auto-Detect "";' for way in ("http", "https")]
    if settings.bandwidth_kilobytes_per_second > 0:
        limit = settings.bandwidth_kilobytes_per_second
        lines += [f'Acquire::{way}::Dl-Limit "{limit}";' for way in ("http", "https")]
    return "".join(f"{line}\n" for line in lines)


def preferences_text(assistant: str, host: str) -> str:
    """The limits of our repository: nothing of it may be taken but our own names.

    The host is pinned as well as the origin, which the repository itself could change to ``Debian``.
    """
    ours = " ".join([assistant, *(f"{assistant}-{kind}-*" for kind in ("app", "deps", "asset")), *AGENT_PACKAGES])
    return (
        f"Explanation: {_NOTICE}\n"
        f'Package: *\nPin: origin "{host}"\nPin-Priority: -1\n\n'
        f"Package: *\nPin: release o={ORIGIN}\nPin-Priority: -1\n\n"
        f"Package: {ours}\nPin: release o={ORIGIN}\nPin-Priority: 500\n"
    )


def hook_text(assistant: str, *, strict: bool = False) -> str:
    """Give apt the configuration that has every package of ours checked before dpkg touches it.

    ``strict``: without a builder policy refuse instead of letting pass (the agent's own runs).
    """
    # apt looks its options up by the command's first word. The tail lets apt work on where pi-hook was removed
    # and only this file stayed; where the program is there, its veto stands.
    command = f"{VERIFY_PROGRAM} || ! test -e {VERIFY_PROGRAM}"
    return (
        f"// {_NOTICE}\n"
        f'PiHook::Assistant "{assistant}";\n'
        f'PiHook::Strict "{"true" if strict else "false"}";\n'
        f'DPkg::Pre-Install-Pkgs {{ "{VERIFY_PROGRAM if strict else command}"; }};\n'
        f'DPkg::Tools::Options::{VERIFY_PROGRAM}::Version "3";\n'
    )
