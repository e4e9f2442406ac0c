"""Activity: the log, evdev devices (a FIFO speaks for one), gpiozero's own mock pins."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pi_hook.activity import ActivityLog
from pi_hook.config import ActivitySettings
from pi_hook.sources import ButtonSource, EvdevSource, configured
from tests.support.pi_hook_fakes import FakeClock

KEY, SYN, MSC = 1, 0, 4


def event(kind: int) -> bytes:
    return struct.pack("@llHHi", 0, 0, kind, 30, 1)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def log(clock: FakeClock, *sources: Any, kept: Path | None = None) -> ActivityLog:
    return ActivityLog(lambda: clock.monotonic, sources, kept)


def seconds(value: timedelta | None) -> float | None:
    return None if value is None else value.total_seconds()


def test_idle_counts_from_boot_until_somebody_comes(clock: FakeClock) -> None:
    activity = log(clock)
    assert seconds(activity.idle()) == 100
    activity.note()
    clock.advance(7)
    assert seconds(activity.idle()) == 7


def test_idle_survives_a_step_of_the_wall_clock(clock: FakeClock) -> None:
    activity = log(clock)
    activity.note()
    clock.wall += timedelta(days=4000)
    assert seconds(activity.idle()) == 0


def test_the_last_activity_outlives_the_daemon_but_not_the_boot(clock: FakeClock, tmp_path: Path) -> None:
    kept = tmp_path / "activity"
    clock.advance(5000)
    log(clock, kept=kept).note()
    clock.advance(60)
    assert seconds(log(clock, kept=kept).idle()) == 50, "up to ten seconds of activity may not have been written"
    kept.write_text("nonsense")
    assert seconds(log(clock, kept=kept).idle()) == 5160
    kept.unlink()
    assert seconds(log(clock, kept=kept).idle()) == 5160


def test_activity_that_cannot_be_kept_still_counts(clock: FakeClock, tmp_path: Path) -> None:
    activity = log(clock, kept=tmp_path / "missing" / "activity")
    activity.note()
    assert seconds(activity.idle()) == 0


def test_busy_ends_with_its_sender_its_time_or_after_two_hours(clock: FakeClock) -> None:
    activity = log(clock)
    activity.begin_busy("a", 120, "speaking")
    activity.begin_busy("b", None, "alarm")
    assert seconds(activity.busy_for()) is None
    assert activity.end_busy("b")
    assert not activity.end_busy("b")
    assert seconds(activity.busy_for()) == 120
    clock.advance(120)
    assert activity.busy() == []
    activity.begin_busy("c", None, "")
    clock.advance(7199)
    assert len(activity.busy()) == 1
    clock.advance(1)
    assert activity.busy() == []
    activity.begin_busy("d", 99_999, "")
    assert seconds(activity.busy_for()) == 7200
    assert activity.end_all_busy() == 1
    assert activity.busy() == []


@pytest.fixture
def device(tmp_path: Path) -> Iterator[tuple[EvdevSource, int]]:
    """A source on a FIFO, and the end to write events to."""
    path = tmp_path / "event0"
    os.mkfifo(path)
    holder = os.open(path, os.O_RDWR)
    source = EvdevSource(str(path))
    yield source, holder
    source.close()
    os.close(holder)


def test_a_key_on_an_evdev_device_is_activity(device: tuple[EvdevSource, int], clock: FakeClock) -> None:
    source, writer = device
    activity = log(clock, source)
    assert source.problem is None
    assert source.fileno() is not None
    clock.advance(500)
    os.write(writer, event(SYN) + event(MSC))
    assert seconds(activity.idle()) == 600, "no proof of a person"
    os.write(writer, event(KEY) * 200 + event(SYN))
    assert seconds(activity.idle()) == 0, "what waits is read before idle is told"


def test_missing_devices_are_degraded_and_idle_unknown_only_without_any(
    device: tuple[EvdevSource, int], clock: FakeClock, tmp_path: Path
) -> None:
    missing = EvdevSource(str(tmp_path / "event9"))
    assert log(clock, missing).idle() is None
    assert "check activity.evdev" in (missing.problem or "")
    assert log(clock, missing, device[0]).idle() is not None


def test_an_unplugged_device_is_degraded_and_comes_back(tmp_path: Path, clock: FakeClock) -> None:
    path = tmp_path / "event0"
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)
    source = EvdevSource(str(path))
    activity = log(clock, source)
    os.close(writer)
    assert activity.idle() is None
    assert "has ended" in (source.problem or "")
    writer = os.open(path, os.O_RDWR)
    activity.reopen()
    os.write(writer, event(KEY))
    assert seconds(activity.idle()) == 0
    activity.close()
    os.close(writer)


@pytest.fixture
def pins() -> Iterator[Any]:
    """gpiozero's own mock pins."""
    devices = pytest.importorskip("gpiozero")
    mock = pytest.importorskip("gpiozero.pins.mock")
    before = devices.Device.pin_factory
    devices.Device.pin_factory = mock.MockFactory()
    yield devices.Device.pin_factory
    devices.Device.pin_factory.reset()
    devices.Device.pin_factory = before


@pytest.mark.parametrize("pull", ["up", "down"])
def test_a_button_press_is_activity(pins: Any, clock: FakeClock, pull: str) -> None:
    source = ButtonSource(17, pull, 0)
    activity = log(clock, source)
    assert source.problem is None
    clock.advance(50)
    pin = pins.pin(17)
    (pin.drive_low if pull == "up" else pin.drive_high)()
    assert seconds(activity.idle()) == 0
    clock.advance(50)
    (pin.drive_high if pull == "up" else pin.drive_low)()
    assert seconds(activity.idle()) == 0, "letting go is activity too"
    activity.close()


def test_several_pins_are_watched_and_bounce_as_set(pins: Any, clock: FakeClock) -> None:
    settings = ActivitySettings(gpio_pins=(17, 22, 27), gpio_pull="up", gpio_bounce=timedelta(seconds=0.2))
    sources = configured(settings)
    activity = log(clock, *sources)
    assert [source.problem for source in sources] == [None, None, None]
    for pin in (22, 27, 17):
        clock.advance(50)
        assert pins.pin(pin).bounce == 0.2
        pins.pin(pin).drive_low()
        assert seconds(activity.idle()) == 0
        pins.pin(pin).drive_high()
    activity.close()
    settled = configured(ActivitySettings(gpio_pins=(17,), gpio_bounce=timedelta(0)))
    log(clock, *settled)
    assert pins.pin(17).bounce is None, "0 is no bounce time at all"
    settled[0].close()


def test_a_floating_pin_can_be_used(pins: Any, clock: FakeClock) -> None:
    # The mock pin floats only when driven; gpiozero itself needs to be told what active means.
    source = ButtonSource(27, "none", 0.05)
    activity = log(clock, source)
    assert source.problem is None
    activity.close()


def test_a_pin_that_another_holds_is_said_and_not_fatal(pins: Any, clock: FakeClock) -> None:
    holder, source = ButtonSource(17, "up", 0), ButtonSource(17, "up", 0)
    first = log(clock, holder)
    second = log(clock, source)
    assert "if another program holds the pin" in (source.problem or "")
    assert second.idle() is None
    first.close()
    second.reopen()
    assert source.problem is None
    second.close()


def test_the_settings_name_the_sources() -> None:
    settings = ActivitySettings(gpio_pins=(17, 27), evdev=("/dev/input/event0",))
    assert [source.name for source in configured(settings)] == ["GPIO17", "GPIO27", "/dev/input/event0"]
