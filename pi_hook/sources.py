"""Where activity is seen on a Pi: gpiozero buttons and evdev devices. One that is not there is degraded, not fatal."""

from __future__ import annotations

import logging
import os
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pi_hook.activity import Source
    from pi_hook.config import ActivitySettings

_log = logging.getLogger(__name__)
_EVENT = struct.Struct("@llHHi")
"""``struct input_event``: a timeval, type, code, value. Native sizes: 24 bytes on 64-bit systems, 16 on 32-bit ones."""
_USE = frozenset({1, 2, 3, 5})
"""EV_KEY, EV_REL, EV_ABS, EV_SW; the rest (EV_SYN, EV_MSC, EV_LED …) is no proof of a person."""
_READ_EVENTS = 64


class EvdevSource:
    """One device under ``/dev/input``, read without python-evdev (memory)."""

    def __init__(self, path: str) -> None:
        self.name = path
        self.problem: str | None = "not opened yet"
        self._descriptor: int | None = None
        self._note: Callable[[], None] = lambda: None

    def open(self, note: Callable[[], None]) -> None:
        """Open the device; whatever it has to say before that is not known."""
        self._note = note
        self.close()
        try:
            self._descriptor = os.open(self.name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            self._degrade(f"{self.name} cannot be opened: {error.strerror}; check activity.evdev and the permissions")
        else:
            self.problem = None

    def poll(self) -> None:
        """Read all waiting events; a device that went away becomes degraded."""
        while self._descriptor is not None and self.problem is None:
            try:
                data = os.read(self._descriptor, _READ_EVENTS * _EVENT.size)
            except BlockingIOError:
                return
            except OSError as error:
                self._degrade(f"{self.name} went away: {error.strerror}")
                return
            if not data:
                self._degrade(f"{self.name} has ended")
                return
            whole = len(data) - len(data) % _EVENT.size
            if any(kind in _USE for _, _, kind, _, _ in _EVENT.iter_unpack(data[:whole])):
                self._note()

    def fileno(self) -> int | None:
        """The device's descriptor while it is open."""
        return self._descriptor

    def close(self) -> None:
        """Close the device."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _degrade(self, problem: str) -> None:
        # The descriptor stays until the next `open`: closing one that a selector still knows confuses it.
        if problem != self.problem:
            _log.warning("%s", problem)
        self.problem = problem


class ButtonSource:
    """One GPIO pin as a ``gpiozero.Button``; its events come on gpiozero's own thread."""

    def __init__(self, pin: int, pull: str, bounce_seconds: float) -> None:
        self.name = f"GPIO{pin}"
        self.problem: str | None = "not opened yet"
        self._pin, self._pull, self._bounce = pin, pull, bounce_seconds
        self._button: Any = None

    def open(self, note: Callable[[], None]) -> None:
        """Claim the pin; the message says what to do where somebody else holds it."""
        # lgpio makes a pipe in its working folder and fails where that is not writable.
        os.environ.setdefault("LG_WD", "/run/pi-hook")
        try:
            import gpiozero  # type: ignore[import-untyped]  # noqa: PLC0415  # 5 MB that devices without buttons do not pay

            pull_up = {"up": True, "down": False, "none": None}[self._pull]
            active = True if pull_up is None else None
            self._button = gpiozero.Button(
                self._pin, pull_up=pull_up, active_state=active, bounce_time=self._bounce or None
            )
        except Exception as error:  # noqa: BLE001  # every pin library raises its own kinds, some of them bare Exception
            problem = (
                f"{self.name} cannot be used ({type(error).__name__}: {error}); if another program holds the pin, let "
                f"it report use on the control socket, or make the button a gpio-key and name it in activity.evdev"
            )
            if problem != self.problem:
                _log.warning("%s", problem)
            self.problem = problem
            return
        self._button.when_pressed = note
        self._button.when_released = note
        self.problem = None

    def poll(self) -> None:
        """Nothing waits: events are told at once."""

    def fileno(self) -> int | None:
        """None: gpiozero reads its own descriptors."""
        return None

    def close(self) -> None:
        """Give the pin back."""
        if self._button is not None:
            self._button.close()
            self._button = None


def configured(settings: ActivitySettings) -> list[Source]:
    """The sources that the settings name."""
    bounce = settings.gpio_bounce.total_seconds()
    buttons: list[Source] = [ButtonSource(pin, settings.gpio_pull, bounce) for pin in settings.gpio_pins]
    return [*buttons, *(EvdevSource(path) for path in settings.evdev)]
