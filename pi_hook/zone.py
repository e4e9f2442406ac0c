"""The device's timezone: the server's where it may set one, else the setting, DEVICE_TIMEZONE, the system's zone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

VARIABLE = "DEVICE_TIMEZONE"
"""The device's zone, where neither an operator nor ``device.timezone`` names one; in the daemon's environment."""
_FALLBACK = "Etc/UTC"
_ZONEINFO = "/zoneinfo/"
_MOST_NAME = 64
"""Characters of an unknown name that are repeated."""


@dataclass(frozen=True, slots=True)
class NamedZone:
    """A zone with its IANA name; ``problem`` says, for people, why it is not the one that was meant."""

    name: str
    zone: tzinfo
    problem: str | None = None


def zone_named(name: str) -> ZoneInfo | None:
    """The zone of an IANA name, or None where there is none."""
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; a folder's name gives an OSError
        return None
    except KeyError:
        return None


def device_zone(
    setting: str | None,
    environment: Mapping[str, str] = os.environ,
    localtime: Path = Path("/etc/localtime"),
    timezone: Path = Path("/etc/timezone"),
    servers: str | None = None,
) -> NamedZone:
    """The zone to use now; cheap enough to ask for every decision, as the system's zone may change at any time.

    ``servers`` is the operator's zone for this device, where the settings let it win. A name that this system does not
    know is passed over, and said: its tzdata may be older than the server's.
    """
    problem = None
    sources = (
        ("the server", servers),
        ("device.timezone", setting),
        (VARIABLE, environment.get(VARIABLE)),
    )
    for source, name in sources:
        if name:
            zone = zone_named(name)
            if zone is not None:
                return NamedZone(name, zone, problem)
            problem = problem or (
                f"{source} names the timezone {name[:_MOST_NAME]!r}, which this system does not know (update tzdata, "
                f"or name one of `timedatectl list-timezones`); the next source is used instead"
            )
    name = _system_zone(localtime, timezone)
    zone = zone_named(name) if name else None
    if name is None or zone is None:
        problem = problem or "the system's timezone has no name; set device.timezone (UTC is used)"
        return NamedZone(_FALLBACK, ZoneInfo(_FALLBACK), problem)
    return NamedZone(name, zone, problem)


def _system_zone(localtime: Path, timezone: Path) -> str | None:
    try:
        target = str(localtime.readlink())
    except OSError:
        target = ""
    if _ZONEINFO in target:
        return target.partition(_ZONEINFO)[2]
    try:
        return timezone.read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
