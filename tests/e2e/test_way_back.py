"""Releases that are not well, each in its own way: the device goes back by itself and says why."""

from __future__ import annotations

import pytest

from demo.observe import until
from tests.e2e.stories import (
    CRASHES_AT_START,
    CRASHES_LATER,
    FINAL,
    HEALTH_LINE,
    SEEN_SECONDS,
    UNHEALTHY,
    UPDATE_SECONDS,
    Story,
    Variant,
    first,
    when,
)

DUST = "/run/dust"
ASKS = f"import os; raise SystemExit('dusty' * os.path.exists('{DUST}') or 0)"
DUSTY = Variant({HEALTH_LINE: f'command = ["python", "-c", "{ASKS}"]'})
"""It is well on every device but one with dust in it."""

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]


@pytest.mark.parametrize(
    ("how", "detail", "log"),
    [
        (CRASHES_AT_START, "systemd restarted it", "SAMPLE_ASSISTANT_CRASH is set"),
        (UNHEALTHY, "the microphone is deaf", "listens on port"),
    ],
    ids=["crashes at its start", "health command is not content"],
)
def test_an_urgent_release_is_taken_back(urgent: Story, how: Variant, detail: str, log: str) -> None:
    before = urgent.device.running()
    version = urgent.release(how=how)
    progress, events = urgent.went_back(version, before)
    assert detail in progress["detail"]
    assert log in progress["log_tail"]
    assert [event["status"] for event in events[-4:]] == ["activating", "restarting", "verifying", "rolled_back"]
    assert version in urgent.device.status()["bad_versions"]


def test_a_crash_late_in_the_soak(urgent: Story) -> None:
    before = urgent.device.running()
    soak = "/etc/pi-hook/pi-hook.d/soak.toml"
    urgent.pi.guest.write(soak, b"[health]\nsoak_seconds = 60\n", 0o600)
    urgent.pi.guest.run("systemctl restart pi-hook.service")
    try:
        version = urgent.release(how=CRASHES_LATER)
        progress, events = urgent.went_back(version, before)
    finally:
        urgent.pi.guest.run(f"rm {soak} && systemctl restart pi-hook.service")
    assert "systemd restarted it" in progress["detail"]
    assert "out of memory, as it were" in progress["log_tail"]
    verified = when(first(events, "rolled_back")) - when(first(events, "verifying"))
    assert verified.total_seconds() >= 4, "it was well for a while"


def test_a_bad_version_is_tried_again_only_when_it_is_expedited(urgent: Story) -> None:
    before = urgent.device.running()
    urgent.pi.guest.run(f"touch {DUST}")
    version = urgent.release(how=DUSTY)
    _, tried = urgent.went_back(version, before)
    urgent.pi.guest.run(f"rm {DUST}")
    until("it is withheld", lambda: urgent.device.status()["withheld"] == "FAILED_HERE", SEEN_SECONDS)
    seen = when(urgent.server.device() or {}, "last_seen_at")
    until("a later heartbeat", lambda: when(urgent.server.device() or {}, "last_seen_at") > seen, SEEN_SECONDS)
    assert urgent.server.events(version) == tried, "left alone"

    urgent.operate("POST", f"/api/v1/updates/{urgent.server.update_id(version)}/devices/{{device}}/expedite")
    last = tried[-1]["sequence"]
    until("a second outcome", lambda: outcome_after(urgent, version, last), UPDATE_SECONDS)
    assert outcome_after(urgent, version, last) == "succeeded"
    assert urgent.device.running() == version
    assert version not in urgent.device.status()["bad_versions"]
    again = [event["status"] for event in urgent.server.events(version) if (event["sequence"] or 0) > last]
    assert again[-4:] == ["activating", "restarting", "verifying", "succeeded"]


def outcome_after(story: Story, version: str, sequence: int) -> str | None:
    """How the attempt ended that began after this status; None while it has not."""
    events = (event for event in story.server.events(version) if (event["sequence"] or 0) > sequence)
    return next((str(event["status"]) for event in events if event["status"] in FINAL), None)
