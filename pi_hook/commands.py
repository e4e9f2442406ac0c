"""The commands of the control socket, done on the running daemon."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pi_hook.activity import LONGEST_BUSY_SECONDS
from pi_hook.errors import BadMessageError, OverrideError
from pi_hook.status import gate_status, past_status

if TYPE_CHECKING:
    from collections.abc import Callable

    from pi_hook.activity import ActivityLog
    from pi_hook.clock import Timekeeper
    from pi_hook.driver import Driver
    from pi_hook.exchange import Exchange
    from pi_hook.maintenance import Maintenance
    from pi_hook.state import Ledger

_FIELDS = {
    "activity": frozenset[str](),
    "busy": frozenset({"seconds", "why"}),
    "free": frozenset({"everyone"}),
    "status": frozenset[str](),
    "gate": frozenset[str](),
    "hold": frozenset[str](),
    "release": frozenset[str](),
    "install": frozenset({"now"}),
    "rollback": frozenset[str](),
    "rotate_token": frozenset[str](),
}
_FOR_ROOT = frozenset({"install", "rollback", "rotate_token"})
_LONGEST_WHY = 200


class Commands:
    """``control.Handler`` over the daemon's parts."""

    def __init__(
        self,
        *,
        activity: ActivityLog,
        ledger: Ledger,
        clock: Timekeeper,
        driver: Driver,
        maintenance: Maintenance,
        exchange: Exchange,
        status: Callable[[], dict[str, Any]],
        assistant: str,
    ) -> None:
        self._activity, self._ledger, self._clock, self._driver = activity, ledger, clock, driver
        self._maintenance, self._exchange, self._status = maintenance, exchange, status
        self._assistant = assistant

    def handle(self, sender: int, message: dict[str, Any], *, root: bool) -> dict[str, Any]:
        """Do one command. Raises ``PiHookError`` naming what is wrong with it, or why it cannot be done."""
        command = message["command"]
        if command not in _FIELDS:
            raise BadMessageError(f"there is no command {command!r}; there are {', '.join(_FIELDS)}")
        unknown = message.keys() - _FIELDS[command] - {"command"}
        if unknown:
            raise BadMessageError(f"the command {command} has no field {min(unknown)!r}")
        if command in _FOR_ROOT and not root:
            raise OverrideError(f"only root may ask for {command}; use sudo", kind="forbidden")
        answer: dict[str, Any] = getattr(self, f"_do_{command}")(sender, message)
        return answer

    def gone(self, sender: int) -> None:
        """A connection has ended, and its busy period with it."""
        if self._activity.end_busy(sender):
            self._driver.look_again()

    def _do_activity(self, _sender: int, _message: dict[str, Any]) -> dict[str, Any]:
        self._activity.note()
        return {}

    def _do_busy(self, sender: int, message: dict[str, Any]) -> dict[str, Any]:
        seconds, why = message.get("seconds"), message.get("why", "")
        if seconds is not None and (
            isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= LONGEST_BUSY_SECONDS
        ):
            raise BadMessageError(f"seconds must be a number above 0, at most {LONGEST_BUSY_SECONDS:.0f}")
        if not isinstance(why, str) or len(why) > _LONGEST_WHY:
            raise BadMessageError(f"why must be a text of at most {_LONGEST_WHY} characters")
        self._activity.begin_busy(sender, seconds, why)
        return {}

    def _do_free(self, sender: int, message: dict[str, Any]) -> dict[str, Any]:
        if message.get("everyone") is True:
            ended = self._activity.end_all_busy()
        else:
            ended = int(self._activity.end_busy(sender))
        if ended:
            self._driver.look_again()
        return {"ended": ended}

    def _do_status(self, _sender: int, _message: dict[str, Any]) -> dict[str, Any]:
        return {"status": self._status()}

    def _do_gate(self, _sender: int, _message: dict[str, Any]) -> dict[str, Any]:
        return {"gate": gate_status(self._maintenance.gate())}

    def _do_hold(self, _sender: int, _message: dict[str, Any]) -> dict[str, Any]:
        return self._hold(held=True)

    def _do_release(self, _sender: int, _message: dict[str, Any]) -> dict[str, Any]:
        return self._hold(held=False)

    def _hold(self, *, held: bool) -> dict[str, Any]:
        device = replace(self._ledger.memory.device, held_here=held)
        self._ledger.commit(device, (), self._clock.read().wall)
        self._driver.look_again()
        self._exchange.soon()
        return {"held": device.held}

    def _do_install(self, _sender: int, message: dict[str, Any]) -> dict[str, Any]:
        if message.get("now") is not True:
            raise BadMessageError('releases are installed by themselves; say "now": true to override the rules of time')
        self._exchange.soon()
        newest = self._newest()
        self._driver.install_now()
        return self._overridden(newest)

    def _do_rollback(self, _sender: int, _message: dict[str, Any]) -> dict[str, Any]:
        newest = self._newest()
        self._driver.roll_back(self._assistant)
        return self._overridden(newest)

    def _do_rotate_token(self, _sender: int, _message: dict[str, Any]) -> dict[str, Any]:
        if not self._ledger.memory.registered:
            raise OverrideError("this device is not registered yet, so it has no token to exchange")
        self._exchange.rotate_token()
        return {}

    def _newest(self) -> dict[str, Any] | None:
        return next((past_status(past) for past in reversed(self._ledger.memory.device.history)), None)

    def _overridden(self, newest: dict[str, Any] | None) -> dict[str, Any]:
        """What to follow, and the newest outcome before it."""
        update = self._ledger.memory.device.update
        if update is None:
            raise OverrideError("it came to its end at once; `pi-hook status` shows how")
        self._exchange.soon()
        return {"version": update.version, "previous": update.previous, "newest": newest}
