"""Releases that are not well, each in its own way: the device goes back by itself and says why."""

from __future__ import annotations

import pytest

from tests.e2e.stories import CRASHES_AT_START, CRASHES_LATER, UNHEALTHY, Story, Variant, first, when

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
