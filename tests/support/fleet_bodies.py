"""Bodies that devices and builders send to the server, as plain JSON values; every field can be set by name."""

from __future__ import annotations

import hashlib
from typing import Any

DEVICE = "0195e0c8-0000-7000-8000-0000000000d1"
OTHER_DEVICE = "0195e0c8-0000-7000-8000-0000000000d2"
BOOT = "7a3f1c55-6f0c-4f3e-9f2c-0d8f3f1f0a01"
TOKEN = "device-token-for-tests"


def registration(**given: Any) -> dict[str, Any]:
    """A device registers; ``token`` is hashed as the device does it."""
    token = given.pop("token", TOKEN)
    body = {
        "id": DEVICE,
        "token_sha256": hashlib.sha256(token.encode()).hexdigest(),
        "hostname": "kitchen",
        "timezone": "Europe/Berlin",
        "assistant": "sample-assistant",
        "channel": None,
        "agent_version": "0.1.0",
        "debian": "trixie",
        "architecture": "arm64",
        "model": None,
    }
    return body | given


def heartbeat(installed: str | None = "1.0.0", active: str | None = None, **given: Any) -> dict[str, Any]:
    """A heartbeat; ``active`` is ``installed`` unless given."""
    body = {
        "boot_id": BOOT,
        "sent_at": "2026-03-29T01:30:00Z",
        "clock_synchronised": True,
        "uptime_seconds": 3600,
        "agent_version": "0.1.0",
        "timezone": "Europe/Berlin",
        "assistant": {"name": "sample-assistant", "installed": installed, "active": active or installed},
        "idle_seconds": 120,
    }
    return body | given


def announcement(version: str = "1.1.0", **given: Any) -> dict[str, Any]:
    """A builder announces a release."""
    body: dict[str, Any] = {
        "name": "sample-assistant",
        "version": version,
        "channel": "stable",
        "urgency": "scheduled",
        "notes": "Speaks more clearly",
        "minimum_agent": None,
        "packages": [
            {
                "package": name,
                "version": version,
                "debian": "trixie",
                "architecture": "arm64",
                "size": 2048,
                "sha256": hashlib.sha256(f"{name} {version}".encode()).hexdigest(),
            }
            for name in ("sample-assistant", f"sample-assistant-app-{version}")
        ],
    }
    return body | given


def status(sequence: int, word: str, version: str = "1.1.0", **given: Any) -> dict[str, Any]:
    """One status of a device update."""
    return {"sequence": sequence, "status": word, "at": "2026-03-29T01:30:00Z", "version": version} | given


def statuses(*each: dict[str, Any]) -> dict[str, Any]:
    """A batch."""
    return {"statuses": list(each)}
