"""The device's clocks: the kernel's, and what may be believed of them.

A Pi has no clock of its own: until the kernel has been synchronised (NTP) its wall time may be anything. Where NTP is
not to be had, the authenticated server's time carries on with the monotonic clock. A time before one that was already
proven (the server's, or the Date of a verified InRelease) is never believed.
"""

from __future__ import annotations

import ctypes
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pi_hook.ports import ClockReading

if TYPE_CHECKING:
    from pi_hook.ports import Clock

_TIMEX_BYTES = 512
"""Room for ``struct timex`` of every architecture; ``modes = 0`` (all zero) only reads."""
_TIMEX_HEAD = "@Illl"
"""Its first members: modes, offset, freq, maxerror."""
_UNSYNCHRONISED_ERROR = 16_000_000
"""The kernel's ``maxerror`` in microseconds once nobody has disciplined the clock, or somebody has set it by hand."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SystemClock:
    """``ports.Clock``: CLOCK_REALTIME, CLOCK_BOOTTIME and the kernel's own estimate of its error."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)

    def read(self) -> ClockReading:
        """All clocks, taken together."""
        return ClockReading(datetime.now(UTC), time.clock_gettime(time.CLOCK_BOOTTIME), self._synchronised())

    def _synchronised(self) -> bool:
        buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
        if self._libc.adjtimex(buffer) < 0:
            return False
        maximum_error: int = struct.unpack_from(_TIMEX_HEAD, buffer.raw)[3]
        return maximum_error < _UNSYNCHRONISED_ERROR


class Timekeeper:
    """A ``ports.Clock`` that believes the kernel where it is synchronised, else the server."""

    def __init__(self, clock: Clock, not_before: datetime | None = None) -> None:
        self._clock = clock
        self._server: tuple[datetime, float] | None = None
        self.not_before = not_before
        """The latest time that was proven; keep it across boots."""

    def read(self) -> ClockReading:
        """The best reading there is; ``synchronised`` says whether its wall time may be believed."""
        raw = self._clock.read()
        if raw.synchronised and self._plausible(raw.wall):
            return raw
        if self._server is not None:
            told, at = self._server
            return ClockReading(told + timedelta(seconds=raw.monotonic - at), raw.monotonic, synchronised=True)
        return ClockReading(raw.wall, raw.monotonic, synchronised=False)

    def journal_time(self) -> datetime:
        """What the system's own clock says, right or wrong: by it the journal is written."""
        return self._clock.read().wall

    def server_said(self, server_time: datetime) -> None:
        """The time in an answer that just came from the authenticated server."""
        self._server = (server_time, self._clock.read().monotonic)
        self.proven(server_time)

    def proven(self, instant: datetime) -> None:
        """No true time is before this one."""
        if self.not_before is None or instant > self.not_before:
            self.not_before = instant

    def _plausible(self, wall: datetime) -> bool:
        # The server's clock and ours need not agree to the second.
        return self.not_before is None or wall >= self.not_before - timedelta(minutes=10)


def boot_id(path: Path = _BOOT_ID) -> str:
    """The kernel's id of this boot: monotonic readings compare only within one."""
    return path.read_text(encoding="ascii").strip()
