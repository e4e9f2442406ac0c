"""A device for tests of the nightly window: it goes by the system's zone, and starts as soon as the window opens."""

from __future__ import annotations

import hashlib
import json
import secrets
import time

from demo.agent import first_boot_settings
from pi_hook.identity import uuid7
from tests.e2e import zones
from tests.e2e.stories import Story, settle_in

WINDOW_END = "02:59"
"""So that a repeated hour from 02:00 on is none of the window's, although its wall shows the window's times again."""
MOST_OFFSET = 0.001
"""Of half the window: less than two seconds."""
QUIET_SECONDS = 12
IDLE_REQUIRED_SECONDS = 3600
SOAK_SECONDS = 3


def settle_in_at_noon(story: Story) -> None:
    """Boot the device at noon and see its first release installed, for which it does not wait for the night."""
    settings = first_boot_settings(
        story.stack,
        story.name,
        idle_required_seconds=IDLE_REQUIRED_SECONDS,
        soak_seconds=SOAK_SECONDS,
        quiet_seconds=QUIET_SECONDS,
        timezone=None,
    )
    window = f'[window]\nend = "{WINDOW_END}"\n'.encode()
    settle_in(story, {"boot.toml": settings["pi-hook.toml"], "window.toml": window}, _prepare)


def _prepare(story: Story) -> None:
    story.pi.set_zone(zones.noon())
    identity = {"schema": 1, "id": prompt_id(), "token": secrets.token_urlsafe(32)}
    story.pi.guest.write("/var/lib/pi-hook/identity.json", json.dumps(identity).encode(), 0o600)


def prompt_id() -> str:
    """A device id whose share of the window's first half is next to nothing; about one in a thousand is such."""
    while True:
        device_id = uuid7(time.time_ns() // 1_000_000, secrets.randbits(74))
        if share(device_id) < MOST_OFFSET:
            return device_id


def share(device_id: str) -> float:
    """The device's place between 0 and 1, as DESIGN.md has it: the first 8 bytes of sha256(device id) as a fraction."""
    return int.from_bytes(hashlib.sha256(device_id.encode()).digest()[:8], "big") / 2**64
