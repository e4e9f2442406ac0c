"""Every page of the desk, as it is looked at: by the tests, for the screenshots and by the benchmark."""

from __future__ import annotations

from dataclasses import dataclass

from tests.seeding import Seeded


@dataclass(frozen=True, slots=True)
class Look:
    """One page as somebody sees it."""

    name: str
    path: str
    rule: str
    """The address in the server's map; several looks may be at one."""
    role: str | None = "admin"
    status: int = 200


_DEVICE, _UPDATE = "/devices/<uuid:device_id>", "/updates/<uuid:update_id>"
ACTIONS = (
    *(f"{_UPDATE}/{verb}" for verb in ("pause", "resume", "halt", "expedite", "withdraw", "rollout")),
    *(f"{_DEVICE}/{verb}" for verb in ("hold", "release", "channel", "expedite", "rotate", "retire")),
    *(f"{_DEVICE}/{verb}" for verb in ("approve", "dismiss", "not-cloned")),
    "/setup/devices/new",
    "/setup/devices/recovery",
    "/setup/devices/<uuid:token_id>/revoke",
    "/setup/keys/new",
    "/setup/keys/<uuid:key_id>/revoke",
    "/setup/sessions/<uuid:session_id>/end",
)
"""What is asked first and then done."""


def looks(seeded: Seeded | None) -> list[Look]:
    """All of them, for a fleet that was seeded; None where only the names are asked for."""
    updates = seeded.updates if seeded is not None else dict.fromkeys(("2.3.1", "2.3.0", "2.4.0~rc3"), "-")
    odd = seeded.oddities if seeded is not None else dict.fromkeys(("script", "long", "right-to-left", "held"), "-")
    active, halted = updates["2.3.1"], updates["2.3.0"]
    waiting = seeded.with_status("2.3.1", "deferred")[0].id if seeded is not None else "-"
    return [
        Look("sign-in", "/sign-in", "/sign-in", role=None),
        Look("fleet", "/", "/"),
        Look("devices", "/devices", "/devices"),
        Look("device", f"/devices/{waiting}", _DEVICE),
        Look("device-failed", f"/devices/{odd['script']}", _DEVICE),
        Look("device-long", f"/devices/{odd['long']}", _DEVICE),
        Look("device-right-to-left", f"/devices/{odd['right-to-left']}", _DEVICE),
        Look("device-held", f"/devices/{odd['held']}", _DEVICE),
        Look("device-hold", f"/devices/{waiting}/hold", f"{_DEVICE}/hold"),
        Look("updates", "/updates", "/updates"),
        Look("updates-as-builder", "/updates", "/updates", role="builder"),
        Look("update", f"/updates/{active}", _UPDATE),
        Look("update-halted", f"/updates/{halted}", _UPDATE),
        Look("update-paused", f"/updates/{updates['2.4.0~rc3']}", _UPDATE),
        Look("update-devices", f"/updates/{active}/devices", f"{_UPDATE}/devices"),
        Look("update-plan", f"/updates/{active}/plan", f"{_UPDATE}/plan"),
        Look("update-halt", f"/updates/{active}/halt", f"{_UPDATE}/halt"),
        Look("update-rollout", f"/updates/{active}/rollout", f"{_UPDATE}/rollout"),
        Look("setup-devices", "/setup/devices", "/setup/devices"),
        Look("setup-devices-new", "/setup/devices/new", "/setup/devices/new"),
        Look("setup-keys", "/setup/keys", "/setup/keys"),
        Look("setup-keys-new", "/setup/keys/new", "/setup/keys/new"),
        Look("setup-sessions", "/setup/sessions", "/setup/sessions"),
        Look("setup-audit", "/setup/audit", "/setup/audit"),
        Look("setup-repository", "/setup/repository", "/setup/repository"),
        Look("not-here", "/not-here", "", status=404),
    ]
