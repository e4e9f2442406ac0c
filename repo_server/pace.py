"""How often devices are told to come. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pace:
    """The bounds of the interval, and what the server should hear at most."""

    seconds: int
    """The interval while the fleet is small enough."""
    at_most: int
    """The longest interval, in seconds, however large the fleet."""
    per_second: int
    """Heartbeats of the whole fleet."""

    def interval(self, devices: int) -> int:
        """Seconds until a device's next heartbeat, where so many devices send them."""
        wanted = -(-devices // self.per_second)
        return min(max(self.seconds, wanted), max(self.seconds, self.at_most))


def spread(interval: int, fraction: float) -> int:
    """Another interval for a device that came in a crowd: half of it to one and a half, by ``fraction`` in [0, 1).

    Devices that all come at once, as after an outage of the server, come evenly from the next time on.
    """
    return max(1, round(interval * (0.5 + fraction)))
