"""The exchange with the server: register once, then statuses and a heartbeat, at the server's interval with jitter."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from pi_hook import __version__
from pi_hook.backoff import jittered
from pi_hook.enroll import EnrollError, register
from pi_hook.errors import RefusedError, ServerError
from pi_hook.server_set import apt_settings, as_allowed, channel_of
from pi_hook.update import UNREPORTED, Phase
from pi_hook.wire import PENDING, Gate, Heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable

    from pi_hook.backoff import Backoff
    from pi_hook.client import Server
    from pi_hook.clock import Timekeeper
    from pi_hook.config import Settings
    from pi_hook.driver import Driver
    from pi_hook.gatekeeper import Gatekeeper
    from pi_hook.hostinfo import Host
    from pi_hook.loop import Loop, Timer
    from pi_hook.ports import AptSource
    from pi_hook.rotation import Tokens
    from pi_hook.state import Ledger
    from pi_hook.update import Update
    from pi_hook.wire import HeartbeatAnswer, Status
    from pi_hook.zone import NamedZone

_log = logging.getLogger(__name__)
_SOON = 1.0
"""Seconds from a change to telling it, so that several changes travel together."""
_UNWELCOME = 3600.0
"""Seconds between questions after 401 or 403: an operator may put it right. After 410 there are none."""
_GONE = 410
_UNKNOWN = 401
_NEWER = ("reboot_required", "debian")
"""Fields of a heartbeat that older servers refuse."""
_WAITS = "the server waits for an operator to approve this device; until then nothing is offered to it"
_STATUS_OF_PHASE = {
    Phase.GRANTED: "granted",
    Phase.REFRESHING: "granted",
    Phase.REFRESHED: "refreshed",
    Phase.INSTALLED: "installing",
    Phase.PREPARING: "installing",
    Phase.REINSTALLING: "verifying",
    Phase.RETURNING: "verifying",
    Phase.RECHECKING: "verifying",
}


class Exchange:
    """Speaks with the server. ``enrolled`` is called once the device is registered."""

    def __init__(
        self,
        *,
        loop: Loop,
        server: Server,
        settings: Settings,
        tokens: Tokens,
        host: Host,
        ledger: Ledger,
        clock: Timekeeper,
        gate: Gatekeeper,
        driver: Driver,
        apt_source: AptSource,
        backoff: Backoff,
        zone: Callable[[], NamedZone],
        boot_id: str,
        enrolled: Callable[[], None],
        reboot_required: Callable[[], bool],
        apt_at_work: Callable[[], bool],
    ) -> None:
        self._loop, self._server, self._settings, self._tokens = loop, server, settings, tokens
        self._host, self._ledger, self._clock, self._gate, self._driver = host, ledger, clock, gate, driver
        self._apt_source, self._backoff, self._zone, self._boot_id = apt_source, backoff, zone, boot_id
        self._enrolled, self._reboot_required, self._apt_at_work = enrolled, reboot_required, apt_at_work
        self._interval = settings.heartbeat.total_seconds()
        self._timer: Timer | None = None
        self._failures = 0
        self._in_exchange = False
        self.problem: str | None = None
        """Why the last exchange failed, or came to nothing, for people."""
        self._disagreement: str | None = None
        self._debian_told = False

    def begin(self) -> None:
        """Start the exchanges. A registered device's apt source is written again: the settings may have changed."""
        if self._ledger.memory.registered:
            self._write_apt_source()
        self._schedule(0)

    def soon(self) -> None:
        """Something is worth telling; after a failure the wait that is due stays."""
        if self._failures == 0 and self._ledger.memory.stopped is None and not self._in_exchange:
            self._schedule(_SOON)

    def exchange(self) -> None:
        """One exchange now, and the next one planned by what came of it."""
        self._in_exchange = True
        try:
            self._exchange()
        except RefusedError as error:
            unknown = error.status == _UNKNOWN and self._ledger.memory.registered
            if unknown and (self._tokens.another() or self._comes_back()):
                self._schedule(_SOON)
            else:
                self._refused(error)
        except (ServerError, EnrollError) as error:
            self._failed(error)
        except OSError as error:  # a full disk must not end the daemon, which still guards the assistant
            self._failed(ServerError(f"the agent's own files cannot be written: {error}", kind="disk"))
        else:
            self._failures, self.problem = 0, self._disagreement
            more = self._tokens.unconfirmed or (len(self._ledger.outbox) and not self._ledger.memory.pending)
            self._schedule(_SOON if more else jittered(self._interval, self._backoff.draw))
        finally:
            self._in_exchange = False

    def _exchange(self) -> None:
        if not self._ledger.memory.registered:
            self._register()
        self._flush()
        answer = self._beat(self._heartbeat())
        self._debian_told = True
        self._heard(answer)
        self._flush()
        self._rotate(asked=answer.rotate_token)

    def _beat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        try:
            return self._server.heartbeat(self._tokens.identity, heartbeat)
        except RefusedError as error:
            if error.means_stop or not any(name in str(error) for name in _NEWER):
                raise
        # A server older than these fields: an update matters more than what they say.
        return self._server.heartbeat(self._tokens.identity, replace(heartbeat, reboot_required=False, debian=None))

    def _register(self) -> None:
        answer = register(self._server, self._settings, self._tokens.identity, self._host, self._zone().name)
        _log.info("registered as %s (%s)", answer.id, answer.state)
        self._ledger.remember(registered=True, channel=answer.channel, stopped=None, pending=answer.state == PENDING)
        self._write_apt_source()
        self._enrolled()

    def _comes_back(self) -> bool:
        """Ask a server that does not know this device any more, restored from a backup, to take it up again.

        The enrollment token is gone, so the device shows its own; whether that is heard is the operator's decision.
        """
        token = self._tokens.identity.token
        settings = replace(self._settings, enrollment_token=token)
        try:
            answer = register(self._server, settings, self._tokens.identity, self._host, self._zone().name)
        except ServerError:
            return False  # the refusal of the token is what counts
        _log.info("the server has taken up this device again (%s)", answer.state)
        self._ledger.remember(pending=answer.state == PENDING)
        return True

    def _heard(self, answer: HeartbeatAnswer) -> None:
        if self._tokens.accepted():
            self._write_apt_source()
        self._clock.server_said(answer.server_time)
        self._gate.contacted()
        self._interval = answer.next_heartbeat_seconds
        self._take_settings(answer)
        pending = answer.state == PENDING
        self._ledger.remember(pending=pending)
        answer, disagreement = as_allowed(answer, self._settings)
        disagreement = _WAITS if pending else disagreement
        if disagreement is not None and disagreement != self._disagreement:
            _log.warning("%s", disagreement)
        self._disagreement = disagreement
        if answer.offer is not None:
            self._gate.granted(answer.offer, answer.server_time)
        self._driver.heard(answer)

    def _rotate(self, *, asked: bool) -> None:
        """Exchange the token, where somebody has asked for it or it was begun (``pi_hook.rotation``)."""
        if not (asked or self._tokens.begun) or self._ledger.memory.pending or self._apt_at_work():
            return  # apt at work goes by the old token to its end
        try:
            self._server.rotate(self._tokens.identity, self._tokens.prepare().token_sha256)
        except RefusedError as error:
            if error.means_stop:
                raise
            self._tokens.abandon()
            _log.warning("the server takes no new token of this device: %s", error)
            return
        self._tokens.switch()
        self._write_apt_source()
        _log.info("this device goes by a new token from now on")

    def rotate_token(self) -> None:
        """Somebody at the device asks for a new token; it is exchanged with the next exchange."""
        self._tokens.asked = True
        self.soon()

    def _take_settings(self, answer: HeartbeatAnswer) -> None:
        """Remember what an operator has set; whether it wins is asked where it is used (``pi_hook.server_set``)."""
        memory = self._ledger.memory
        followed, zone = channel_of(self._settings, memory.channel), self._zone()
        self._ledger.remember(channel=answer.channel or memory.channel, timezone=answer.timezone, stopped=None)
        if channel_of(self._settings, self._ledger.memory.channel) != followed:
            self._write_apt_source()
        before, zone = zone, self._zone()
        if (zone.name, zone.problem) != (before.name, before.problem):
            _log.info("the timezone is %s from now on%s", zone.name, f": {zone.problem}" if zone.problem else "")
            self._driver.look_again()

    def _flush(self) -> None:
        if self._ledger.memory.pending:
            return
        while batch := self._ledger.outbox.batch():
            try:
                self._report(batch)
            except RefusedError as error:
                if error.means_stop:
                    raise
                self._one_by_one(batch)

    def _report(self, batch: list[Status]) -> None:
        acknowledged = self._server.report(self._tokens.identity, batch)
        if acknowledged < batch[-1].sequence:
            raise ServerError("the server did not acknowledge a whole batch of statuses", kind="bad_answer")
        self._ledger.outbox.acknowledge(batch, acknowledged)

    def _one_by_one(self, batch: list[Status]) -> None:
        """Find the statuses of a batch that the server will never take, and set them aside: the others go on."""
        for status in batch:
            try:
                self._report([status])
            except RefusedError as error:
                if error.means_stop:
                    raise
                self._ledger.outbox.refuse(status, str(error))

    def _failed(self, error: ServerError | EnrollError) -> None:
        self._failures += 1
        if str(error) != self.problem:
            _log.warning("no exchange with the server: %s", error)
        self.problem = str(error)
        self._schedule(self._backoff.after(self._failures, getattr(error, "retry_after", None)))

    def _refused(self, error: RefusedError) -> None:
        if not error.means_stop:
            self._failed(error)
            return
        self.problem = str(error)
        if self._ledger.memory.stopped is None:
            _log.error("the server refuses this device (%s): %s; nothing is installed", error.status, error)
        self._ledger.remember(stopped=f"{error.kind}: {error}")
        self._driver.unwelcome()
        if error.status == _GONE:
            self._apt_source.remove()
        else:
            self._schedule(jittered(_UNWELCOME, self._backoff.draw))

    def _write_apt_source(self) -> None:
        memory = self._ledger.memory
        settings = apt_settings(self._settings, memory.channel, self._host.debian, self._tokens.identity)
        try:
            self._apt_source.write(settings)
        except (OSError, ValueError) as error:
            _log.error("the apt source cannot be written: %s", error)  # the sentence says it all

    def _heartbeat(self) -> Heartbeat:
        reading = self._clock.read()
        facts = self._driver.facts()
        decision = self._driver.decide(facts)
        idle = self._gate.idle()
        update = self._ledger.memory.device.update
        return Heartbeat(
            boot_id=self._boot_id,
            sent_at=reading.wall.replace(microsecond=0),
            clock_synchronised=reading.synchronised,
            uptime_seconds=int(reading.monotonic),
            agent_version=__version__,
            timezone=self._zone().name,
            assistant=self._settings.assistant,
            installed=facts.installed.version,
            active=facts.active,
            idle_seconds=None if idle is None else int(idle.total_seconds()),
            gate=Gate(decision.decision, decision.reason, decision.retry_at),
            update=None
            if update is None or update.offer.update_id == UNREPORTED
            else (update.offer.update_id, status_word(update)),
            reboot_required=self._reboot_required(),
            # Once after each start, as a system is upgraded to another release between two of them.
            debian=None if self._debian_told else self._host.debian,
        )

    def _schedule(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.after(seconds, self.exchange)


def status_word(update: Update) -> str:
    """The status that an update is in, in the words of the wire."""
    if update.deferred_reason is not None:
        return "deferred"
    return _STATUS_OF_PHASE.get(update.phase, str(update.phase))
