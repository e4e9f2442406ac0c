"""What ``pi-hook status`` says: all that matters, in words, in the device's own time; and what ``--json`` holds."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pi_hook.saying import length, moment
from pi_hook.status import in_words
from tests.integration.pi_hook_daemon.story import Device
from tests.support.pi_hook_fakes import Release

PAGE = Path(__file__).parents[3] / "docs" / "INTERFACES.md"


@pytest.fixture
def device(tmp_path: Path) -> Any:
    device = Device(tmp_path)
    device.world.published = {
        "1.0.0": Release(),
        "1.1.0": Release(urgency="urgent"),
        "1.2.0": Release("urgent", crashes=True),
    }
    device.start()
    device.server.offer("1.0.0", "scheduled")
    device.until(device.told("succeeded", "1.0.0"))
    yield device
    device.kill()


def test_an_update_that_waits_says_until_when_in_local_time_and_in_words(device: Device) -> None:
    device.press()
    device.server.offer("1.1.0", "urgent")
    device.until(device.told("deferred", "1.1.0"))
    lines = dict(line.split(maxsplit=1) for line in in_words(device.status()).splitlines())
    assert lines["assistant"] == "sample-assistant: installed 1.0.0, active 1.0.0, running 1.0.0"
    assert lines["update"] == "1.1.0 (urgent): downloaded"
    assert lines["gate"].startswith("waiting: RECENT_ACTIVITY, somebody used the assistant a short while ago")
    assert re.fullmatch(r"today at 14:01, in 5\d min.*, if nobody comes in between", lines["next"])
    assert lines["timezone"] == "Europe/Berlin"
    assert re.fullmatch(r"5 min.*", lines["idle"])
    assert lines["server"] == "https://updates.example.org answered 0 s ago"
    assert lines["enrolled"] == "registered, channel stable"
    assert lines["past"].startswith("1.0.0 succeeded today at 13:0")


def test_what_went_wrong_is_told(device: Device) -> None:
    device.run_for(3600)
    device.server.offer("1.2.0", "urgent")
    device.until(device.told("rolled_back", "1.2.0"))
    device.server.reachable = False
    device.server.hold = "guests"
    device.world.broken = "sample-assistant-app-1.2.0 1.2.0: install ok unpacked"
    device.run_for(7200)
    assert device.daemon is not None
    device.daemon.activity.begin_busy(1, None, "speaking")
    words = in_words({**device.status(), "clock_synchronised": False})
    for wanted in (
        "broken      sample-assistant-app-1.2.0 1.2.0: install ok unpacked",
        "clock       the time is not known yet",
        "busy        speaking",
        "bad         1.2.0",
        "the server cannot be asked",
    ):
        assert wanted in words
    assert re.search(r"past        1\.2\.0 rolled_back today at \d\d:\d\d: ", words)


def test_a_device_that_the_server_refuses_says_so(device: Device) -> None:
    device.server.refusal = 403
    device.run_for(900)
    assert "server      refuses this device (refused: not welcome)" in in_words(device.status())


def test_without_a_daemon_times_are_plain() -> None:
    words = in_words(
        {
            "note": "no daemon",
            "history": [{"version": "1", "outcome": "failed", "at": "2026-03-10T12:00:00Z", "detail": None}],
        }
    )
    assert words == "note        no daemon\npast        1 failed at 2026-03-10T12:00:00Z"


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(value[0])] if isinstance(value, list) and value else None


def test_the_shape_of_the_interfaces_page_is_the_daemons(device: Device) -> None:
    device.press()
    device.server.offer("1.1.0", "urgent")
    device.until(device.told("deferred", "1.1.0"))
    page = PAGE.read_text(encoding="utf-8")
    example = json.loads(page.split("`pi-hook status --json`")[1].split("```json")[1].split("```")[0])
    given, wanted = device.status(), shape(example)
    assert set(given) == set(wanted)
    for key in ("assistant", "gate", "timezone", "server", "system", "update"):
        assert set(given[key]) == set(wanted[key]), key
    assert set(given["history"][0]) == set(wanted["history"][0])


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (61, "1 min 1 s"), (3599, "59 min 59 s"), (3600, "1 h"),
     (3660, "1 h 1 min"), (3601, "1 h"), (86_400 * 8, "8 d"), (90_000, "1 d 1 h"), (-5, "0 s")],
)  # fmt: skip
def test_lengths(seconds: float, words: str) -> None:
    assert length(seconds) == words


@pytest.mark.parametrize(
    ("later", "words"),
    [
        (timedelta(minutes=5), "today at 13:05"),
        (timedelta(hours=13), "tomorrow at 02:00"),
        (timedelta(hours=-13, minutes=-1), "yesterday at 23:59"),
        (timedelta(days=3), "on Friday at 13:00"),
        (timedelta(days=7), "on 2026-03-17 at 13:00"),
        (timedelta(days=-3), "on 2026-03-07 at 13:00"),
    ],
)
def test_moments(later: timedelta, words: str) -> None:
    now = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
    assert moment(now + later, now, ZoneInfo("Europe/Berlin")) == words


@given(st.floats(0, 10**9))
def test_a_length_is_never_more_than_was_given(seconds: float) -> None:
    units = {"d": 86_400, "h": 3600, "min": 60, "s": 1}
    parts = re.findall(r"(\d+) (\w+)", length(seconds))
    said = sum(int(count) * units[unit] for count, unit in parts)
    assert said <= seconds < said + units[parts[0][1]]
