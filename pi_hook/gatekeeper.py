"""Puts together what the gate looks at, from memory, clocks, activity and conditions, and asks it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pi_hook.policy import Decided, Decision, Situation, Stage, Urgency, decide
from pi_hook.reasons import Reason
from pi_hook.state import Contact, Granted, Mark
from pi_hook.update import Phase
from pi_hook.window import windows_from

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from pi_hook.activity import ActivityLog
    from pi_hook.clock import Timekeeper
    from pi_hook.effects import Facts
    from pi_hook.policy import Rules
    from pi_hook.ports import ClockReading
    from pi_hook.state import Ledger
    from pi_hook.update import Update
    from pi_hook.wire import Offer
    from pi_hook.zone import NamedZone

_CONTACT_WRITTEN_EVERY = 3600.0
"""Seconds between writes of the server's last answer: flash wears out, and the grace is counted in days."""
_GRANT_DRIFT = 60.0
"""Seconds by which the server's count of a grant's age and ours may differ."""


class Gatekeeper:
    """The gate of this device. It decides nothing itself: ``pi_hook.policy`` does."""

    def __init__(
        self,
        *,
        rules: Rules,
        clock: Timekeeper,
        zone: Callable[[], NamedZone],
        activity: ActivityLog,
        ledger: Ledger,
        device_id: str,
        boot_id: str,
    ) -> None:
        self._rules, self._clock, self._zone = rules, clock, zone
        self._activity, self._ledger = activity, ledger
        self._device_id, self._boot_id = device_id, boot_id
        self._contact: float | None = None

    def for_update(self, facts: Facts) -> Decision:
        """May the update at work go on? ``nothing`` where there is none; a withheld one is a deferral of its own."""
        memory = self._ledger.memory
        update = memory.device.update
        if update is None and memory.device.withheld is None:
            return Decision(Decided.NOTHING)
        if update is None:
            held = memory.device.held or (memory.device.withheld is not None and self._withheld_by_hold())
            return Decision(Decided.DEFER, Reason.HELD_BY_ADMIN if held else Reason.WITHHELD)
        downloaded = _downloaded(update)
        # While a step is tried again, what the last try met is still why there is nothing to install.
        blocked = update.blocked or (None if downloaded else update.deferred_reason)
        problems = facts.problems | ({blocked} if blocked else frozenset())
        first = update.first or (facts.installed.version is None and facts.active is None)
        return self._ask(
            urgency=update.urgency,
            waiting=self._waiting(update.offer),
            stage=Stage.ACTIVATE if update.phase is Phase.INSTALLED else Stage.INSTALL,
            first=first,
            override=update.override is not None,
            held=memory.device.held or facts.installed.held or self._withheld_by_hold(),
            withheld=memory.device.withheld is not None or memory.stopped is not None,
            # Where a cause is known it is the reason, and the same word as in the status that was reported.
            downloaded=downloaded or blocked not in {None, Reason.NOT_DOWNLOADED},
            problems=problems,
        )

    def for_system(self, facts: Facts, waiting: timedelta = timedelta(0)) -> Decision:
        """May anything else be installed unattended now (system packages)? By the rule of a scheduled release.

        Nobody grants them, so no grant needs to be confirmed; and who asks may hold apt's lock itself.
        """
        held = self._ledger.memory.device.held
        problems = facts.problems - {Reason.APT_LOCKED}
        return self._ask(urgency=Urgency.SCHEDULED, held=held, problems=problems, waiting=waiting, granted=False)

    def open_day(self) -> date | None:
        """The local date of the window in which this device may work now; None outside, or where time is unknown."""
        reading = self._clock.read()
        if not reading.synchronised:
            return None
        rules = self._rules
        window = next(windows_from(reading.wall, self._zone().zone, rules.window_start, rules.window_end))
        return window.day if window.starts_for(self._device_id) <= reading.wall else None

    def idle(self) -> timedelta | None:
        """Time without user activity; None where it is unknown."""
        return self._activity.idle()

    def granted(self, offer: Offer, server_time: datetime) -> None:
        """An offer was heard: remember how long it has been granted, by the server's own clock.

        Written once for each boot, and when it was granted anew (after a pause).
        """
        known, mark = self._ledger.memory.granted, self._mark()
        seconds = max(0.0, (server_time - offer.granted_at).total_seconds())
        if known is not None and known.update_id == offer.update_id and known.mark.boot_id == self._boot_id:
            counted = known.seconds + mark.monotonic - known.mark.monotonic
            if abs(counted - seconds) <= _GRANT_DRIFT:
                return
        self._ledger.remember(granted=Granted(offer.update_id, mark, seconds))

    def contacted(self) -> None:
        """The server has just answered."""
        mark = self._mark()
        self._contact = mark.monotonic
        known = self._ledger.memory.contact
        if (
            known is None
            or known.mark.boot_id != mark.boot_id
            or mark.monotonic - known.mark.monotonic >= _CONTACT_WRITTEN_EVERY
        ):
            self._ledger.remember(contact=Contact(mark, self._clock.read().wall))

    def since_contact(self) -> timedelta | None:
        """Since the server's last answer; None where it never answered."""
        reading = self._clock.read()
        if self._contact is not None:
            return timedelta(seconds=reading.monotonic - self._contact)
        known = self._ledger.memory.contact
        if known is None:
            return None
        if known.mark.boot_id == self._boot_id:
            return timedelta(seconds=reading.monotonic - known.mark.monotonic)
        since_boot = timedelta(seconds=reading.monotonic)
        return max(since_boot, reading.wall - known.at) if reading.synchronised else since_boot

    def _ask(
        self,
        *,
        urgency: Urgency,
        held: bool,
        problems: frozenset[str],
        waiting: timedelta = timedelta(0),
        stage: Stage = Stage.INSTALL,
        first: bool = False,
        override: bool = False,
        withheld: bool = False,
        downloaded: bool = True,
        granted: bool = True,
    ) -> Decision:
        reading: ClockReading = self._clock.read()
        busy = self._activity.busy()
        situation = Situation(
            now=reading.wall,
            synchronised=reading.synchronised,
            zone=self._zone().zone,
            idle=self._activity.idle(),
            urgency=urgency,
            waiting=waiting,
            device_id=self._device_id,
            stage=stage,
            first_installation=first,
            override=override,
            held=held,
            withheld=withheld,
            since_contact=self.since_contact() if granted else None,
            downloaded=downloaded,
            problems=problems,
            busy=bool(busy),
            busy_for=self._activity.busy_for(),
        )
        return decide(situation, self._rules)

    def _waiting(self, offer: Offer) -> timedelta:
        """How long the offer has been granted: by this boot's monotonic clock, else by a synchronised wall clock."""
        known = self._ledger.memory.granted
        reading = self._clock.read()
        if known is not None and known.update_id == offer.update_id and known.mark.boot_id == self._boot_id:
            return timedelta(seconds=known.seconds + reading.monotonic - known.mark.monotonic)
        return max(timedelta(0), reading.wall - offer.granted_at) if reading.synchronised else timedelta(0)

    def _withheld_by_hold(self) -> bool:
        withheld = self._ledger.memory.device.withheld
        return withheld is not None and withheld.reason == Reason.HELD_BY_ADMIN

    def _mark(self) -> Mark:
        return Mark(self._boot_id, self._clock.read().monotonic)


def _downloaded(update: Update) -> bool:
    """Whether a missing download is not what it waits for: a step may have named what stands in its way."""
    if update.blocked not in {None, Reason.NOT_DOWNLOADED}:
        return True
    return update.phase not in {Phase.GRANTED, Phase.REFRESHING, Phase.REFRESHED, Phase.DOWNLOADING}
