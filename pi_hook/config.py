"""The settings in three lives: fragments (one file each), merged (one table of tables), validated (``Settings``).

Fragments are ``/etc/pi-hook/pi-hook.toml`` and, over it, ``/etc/pi-hook/pi-hook.d/*.toml`` in the order of their names;
``/boot/firmware/pi-hook.toml`` becomes one of the latter at first boot (``pi_hook.enroll``). Units are in the names.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from datetime import time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pi_hook.errors import SettingsError
from pi_hook.policy import Rules
from pi_hook.settings_keys import KEYS, MAY_SET, SECRET, nearest, split_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SETTINGS_FILE = Path("/etc/pi-hook/pi-hook.toml")
SETTINGS_FOLDER = Path("/etc/pi-hook/pi-hook.d")
BOOT_FILE = Path("/boot/firmware/pi-hook.toml")
_CONFIRMED_HEARTBEATS = 3
_LOOPBACK_V4 = re.compile(r"127(\.\d{1,3}){3}")
_LOOPBACK = frozenset({"localhost", "::1"})
_REQUIRED = ("server.url", "assistant.name")


@dataclass(frozen=True, slots=True)
class Fragment:
    """One settings file as it was read."""

    source: str
    tables: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ActivitySettings:
    """Where user activity is seen, apart from the control socket, which is always there."""

    gpio_pins: tuple[int, ...] = ()
    gpio_pull: str = "up"
    gpio_bounce: timedelta = timedelta(milliseconds=50)
    evdev: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """How the network may be used, by the agent's own requests and by apt in its runs."""

    proxy: str | None = field(default=None, repr=False)
    """``http://[USER:PASSWORD@]HOST:PORT``."""
    bandwidth_kilobytes_per_second: int = 0
    """Of apt's downloads; 0 is no limit."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Validated settings; the keys and their defaults are those of INTERFACES.md."""

    server_url: str
    assistant: str
    plain_http_hosts: frozenset[str] = frozenset()
    may_set: frozenset[str] = frozenset(MAY_SET)
    """What the server may set over the files: of ``channel``, ``timezone``, ``hold``."""
    enrollment_token: str | None = field(default=None, repr=False)
    timezone: str | None = None
    heartbeat: timedelta = timedelta(minutes=5)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    channel: str = "stable"
    rules: Rules = field(default_factory=Rules)
    activity: ActivitySettings = field(default_factory=ActivitySettings)
    soak: timedelta = timedelta(minutes=1)
    system_packages: str = "security"
    """Which of the system's own packages the agent upgrades: ``none``, ``security`` or ``all``."""
    system_reboot: bool = False
    """Whether the device may restart at night when a package asks for it."""


def read_fragment(path: Path) -> Fragment:
    """One file. Raises ``SettingsError`` where it cannot be read or is not TOML."""
    try:
        return Fragment(str(path), tomllib.loads(path.read_text(encoding="utf-8")))
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{path} cannot be read: it is not UTF-8 text ({error.reason} at byte {error.start})"
        ) from error
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}; /usr/share/pi-hook/pi-hook.toml.example shows what belongs there"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not valid TOML: {error}; mend that line") from error


def read_fragments(file: Path = SETTINGS_FILE, folder: Path | None = SETTINGS_FOLDER) -> list[Fragment]:
    """The settings file, then those of the folder in the order of their names. Raises ``SettingsError``."""
    later = sorted(folder.glob("*.toml")) if folder is not None and folder.is_dir() else []
    first = [file] if file.exists() or not later else []
    return [read_fragment(path) for path in [*first, *later]]


def configured() -> bool:
    """Whether this device was ever given settings: then, and only then, systemd starts the daemon (see its unit)."""
    return SETTINGS_FILE.exists() or BOOT_FILE.exists() or any(SETTINGS_FOLDER.glob("*"))


def merge(fragments: Iterable[Fragment]) -> dict[str, Any]:
    """One flat mapping ``table.key`` -> value; a later fragment wins key by key.

    Raises ``SettingsError`` naming file and key for one that does not exist or whose value cannot be used.
    """
    merged: dict[str, Any] = {}
    for fragment in fragments:
        for table, keys in fragment.tables.items():
            if not isinstance(keys, dict):
                raise SettingsError(f"{fragment.source}: {table} must stand in a table; {_hint(table)}")
            for key, value in keys.items():
                name = f"{table}.{key}"
                if name not in KEYS:
                    raise SettingsError(f"{fragment.source}: there is no setting {name}; {_hint(name)}")
                try:
                    merged[name] = KEYS[name](value)
                except ValueError as error:
                    given = "" if name in SECRET else f", not {value!r}"
                    raise SettingsError(f"{fragment.source}: {name} must be {error}{given}") from None
    return merged


def validate(merged: Mapping[str, Any]) -> Settings:
    """The settings. Raises ``SettingsError`` for what is missing or does not fit together."""
    for name in _REQUIRED:
        if name not in merged:
            raise SettingsError(f"the setting {name} is missing; give it in {SETTINGS_FILE}")
    defaults = Settings(merged["server.url"], merged["assistant.name"])
    hosts = frozenset(merged.get("server.plain_http_hosts", ()))
    _check_transport(defaults.server_url, hosts)
    heartbeat = _seconds(merged, "device.heartbeat_seconds", defaults.heartbeat)
    return Settings(
        server_url=defaults.server_url,
        assistant=defaults.assistant,
        plain_http_hosts=hosts,
        may_set=frozenset(merged.get("server.may_set", MAY_SET)),
        enrollment_token=merged.get("enrollment.token"),
        timezone=merged.get("device.timezone"),
        heartbeat=heartbeat,
        network=NetworkSettings(
            proxy=merged.get("network.proxy"),
            bandwidth_kilobytes_per_second=merged.get("network.bandwidth_kilobytes_per_second", 0),
        ),
        channel=merged.get("assistant.channel", defaults.channel),
        rules=rules_of(merged, heartbeat),
        activity=ActivitySettings(
            gpio_pins=tuple(merged.get("activity.gpio_pins", ())),
            gpio_pull=merged.get("activity.gpio_pull", defaults.activity.gpio_pull),
            gpio_bounce=_seconds(merged, "activity.gpio_bounce_seconds", defaults.activity.gpio_bounce),
            evdev=tuple(merged.get("activity.evdev", ())),
        ),
        soak=_seconds(merged, "health.soak_seconds", defaults.soak),
        system_packages=merged.get("system.packages", defaults.system_packages),
        system_reboot=merged.get("system.reboot", defaults.system_reboot),
    )


def rules_of(merged: Mapping[str, Any], heartbeat: timedelta = timedelta(minutes=5)) -> Rules:
    """The gate's rules alone, which need no server and no assistant (``pi-hook explain``)."""
    defaults = Rules()
    return Rules(
        window_start=_clock_time(merged.get("window.start"), defaults.window_start),
        window_end=_clock_time(merged.get("window.end"), defaults.window_end),
        quiet=_seconds(merged, "window.quiet_seconds", defaults.quiet),
        max_deferral=_seconds(merged, "window.max_deferral_seconds", defaults.max_deferral),
        idle_required=_seconds(merged, "urgent.idle_required_seconds", defaults.idle_required),
        max_deferral_urgent=_seconds(merged, "urgent.max_deferral_seconds", defaults.max_deferral_urgent),
        confirmed_within=max(defaults.confirmed_within, _CONFIRMED_HEARTBEATS * heartbeat),
        offline_grace=_seconds(merged, "offline.grace_seconds", defaults.offline_grace),
    )


def load(file: Path = SETTINGS_FILE, folder: Path | None = SETTINGS_FOLDER) -> Settings:
    """All three lives at once. Raises ``SettingsError``."""
    return validate(merge(read_fragments(file, folder)))


def may_be_plain(host: str, plain_http_hosts: frozenset[str]) -> bool:
    """Whether a host may be spoken to without TLS: loopback, and what a development setting names."""
    return host in _LOOPBACK or _LOOPBACK_V4.fullmatch(host) is not None or host in plain_http_hosts


def _check_transport(url: str, hosts: frozenset[str]) -> None:
    scheme, host, _ = split_url(url)
    if scheme == "http" and not may_be_plain(host, hosts):
        raise SettingsError(
            f"server.url {url!r} would send the device's token unencrypted; use https://, "
            f"or for development name the host in server.plain_http_hosts"
        )


def _seconds(merged: Mapping[str, Any], name: str, default: timedelta) -> timedelta:
    return timedelta(seconds=merged[name]) if name in merged else default


def _clock_time(value: str | None, default: time) -> time:
    return default if value is None else time.fromisoformat(value)


def _hint(name: str) -> str:
    return f"the nearest setting is {nearest(name)}"
