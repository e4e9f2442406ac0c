"""The commands of the control socket, done on the running daemon."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pi_hook.activity import LONGEST_BUSY_SECONDS
from pi_hook.errors import BadMessageError
from pi_hook.status import gate_status

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
}
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
    ) -> None:
        self._activity, self._ledger, self._clock, self._driver = activity, ledger, clock, driver
        self._maintenance, self._exchange, self._status = maintenance, exchange, status

    def handle(self, sender: int, message: dict[str, Any]) -> dict[str, Any]:
        """Do one command. Raises ``BadMessageError`` naming what is wrong with it."""
        command = message["command"]
        if command not in _FIELDS:
            raise BadMessageError(f"there is no command {command!r}; there are {', '.join(_FIELDS)}")
        unknown = message.keys() - _FIELDS[command] - {"command"}
        if unknown:
            raise BadMessageError(f"the command {command} has no field {min(unknown)!r}")
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
