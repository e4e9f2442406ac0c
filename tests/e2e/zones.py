"""Time zones of a test's own: compiled so that what happens to clocks at night happens in a moment, at the right date.

Their names are in no IANA database, as a zone is that came after the server's own copy of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from demo.shell import run
from demo.vpi.machine import VirtualPi

ZONEINFO = "/usr/share/zoneinfo"
_HALF_DAY = timedelta(hours=12)
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class TestZone:
    """A zone as ``zic`` reads it; ``then`` is the instant (UTC) at which its wall does what the zone was made for."""

    __test__ = False  # no class of tests

    name: str
    source: str
    then: datetime

    def compiled(self, folder: Path) -> bytes:
        """The file that belongs into ``/usr/share/zoneinfo``. Raises ``CommandError`` where zic refuses it."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "source").write_text(self.source, encoding="ascii")
        # As Debian compiles its own: with the tables, which readers need that do not know the footer.
        run(["zic", "-b", "fat", "-d", folder / "zones", folder / "source"])
        return (folder / "zones" / self.name).read_bytes()

    def set_on(self, pi: VirtualPi, folder: Path) -> None:
        """Put it into the virtual Pi and make it the system's zone."""
        pi.guest.write(f"{ZONEINFO}/{self.name}", self.compiled(folder))
        pi.set_zone(self.name)


def two_am(name: str, then: datetime) -> TestZone:
    """The wall shows 02:00 at ``then``; nothing ever happens to its clocks."""
    then = then.replace(microsecond=0)
    offset = _offset(then, wall_hour=2)
    return TestZone(name, f"Zone {name} {_hms(offset)} - TST\n", then)


def gap(name: str, then: datetime) -> TestZone:
    """At ``then`` the wall jumps from 02:00 to 03:00: there is no 2 AM on that day."""
    then = then.replace(microsecond=0)
    return _with_change(name, then, _offset(then, wall_hour=2), _HOUR)


def repeated_hour(name: str, then: datetime) -> TestZone:
    """At ``then`` the wall goes back from 03:00 to 02:00: the hour from 2 AM on happens for a second time."""
    then = then.replace(microsecond=0)
    return _with_change(name, then, _offset(then, wall_hour=3), -_HOUR)


def noon() -> str:
    """An IANA zone in which it is about noon now, far from every night."""
    east = 12 - datetime.now(UTC).hour
    return "Etc/GMT" if east == 0 else f"Etc/GMT{-east:+d}"  # their signs are turned round


def _with_change(name: str, then: datetime, before: timedelta, change: timedelta) -> TestZone:
    until = (then + before).strftime("%Y %b %d %H:%M:%S")
    source = f"Zone {name} {_hms(before)} - TST {until}\n\t{_hms(before + change)} - TDT\n"
    return TestZone(name, source, then)


def _offset(then: datetime, *, wall_hour: int) -> timedelta:
    """The offset from UTC, at most half a day, with which the wall shows this hour at ``then``."""
    utc = timedelta(hours=then.hour, minutes=then.minute, seconds=then.second)
    offset = timedelta(hours=wall_hour) - utc
    return offset + 2 * _HALF_DAY if offset < -_HALF_DAY else offset


def _hms(offset: timedelta) -> str:
    seconds = int(offset.total_seconds())
    minutes, rest = divmod(abs(seconds), 60)
    return f"{'-' if seconds < 0 else ''}{minutes // 60}:{minutes % 60:02}:{rest:02}"
