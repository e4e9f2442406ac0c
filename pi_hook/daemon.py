"""The daemon: puts its parts together, runs the loop, and tells systemd how the gate stands."""

from __future__ import annotations

import logging
import signal
import socket
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pi_hook.activity import ActivityLog
from pi_hook.backoff import Backoff
from pi_hook.clock import Timekeeper
from pi_hook.commands import Commands
from pi_hook.control import ControlServer
from pi_hook.driver import Driver
from pi_hook.exchange import Exchange
from pi_hook.gatekeeper import Gatekeeper
from pi_hook.identity import load_or_create
from pi_hook.loop import Loop
from pi_hook.maintenance import Maintenance, WithUpgrade
from pi_hook.notify import notify, watchdog_seconds
from pi_hook.reasons import gate_words, rfc3339
from pi_hook.rotation import Tokens
from pi_hook.server_set import channel_of, zone_of
from pi_hook.state import Ledger
from pi_hook.status import gate_status, memory_status, source_status
from pi_hook.stepping import Turn
from pi_hook.system_memory import SystemMemory

if TYPE_CHECKING:
    import selectors
    from collections.abc import Callable, Iterable

    from pi_hook.activity import Source
    from pi_hook.client import Server
    from pi_hook.config import Settings
    from pi_hook.hostinfo import Host
    from pi_hook.policy import Decision
    from pi_hook.ports import Clock, Hands
    from pi_hook.zone import NamedZone

_log = logging.getLogger(__name__)
_MUTED_SECONDS = 10.0
"""After activity on a descriptor it is not listened to for so long: a mouse would wake the daemon all the time.
The gate reads what waits before it decides."""
_REOPEN_SECONDS = 300.0
_EXCHANGE_BASE = 10.0
"""Seconds of the first ceiling after a failed exchange: at a boot the network often comes a moment late."""
STATE_FOLDER = Path("/var/lib/pi-hook")
RUN_FOLDER = Path("/run/pi-hook")


@dataclass(frozen=True, slots=True)
class Parts:
    """The world as the daemon meets it; the real one is made in ``pi_hook.assemble``, others in tests."""

    settings: Settings
    hands: Hands
    server: Server
    clock: Clock
    host: Host
    zone: Callable[[str | None], NamedZone]
    """The zone to use now, given the name that goes before the device's own sources, if any."""
    boot_id: str
    sources: tuple[Source, ...] = ()
    state_folder: Path = STATE_FOLDER
    run_folder: Path = RUN_FOLDER
    backoff: Backoff = field(default_factory=Backoff)
    enrolled: Callable[[], None] = lambda: None
    """Called after each registration: the enrollment token is not needed any more."""
    notify: Callable[..., None] = notify
    wait: Callable[[selectors.BaseSelector, float], list[tuple[selectors.SelectorKey, int]]] | None = None


class Daemon:
    """``begin``, then ``run`` until SIGTERM or ``stop``, then ``close``; all in one thread."""

    def __init__(self, parts: Parts) -> None:
        settings = parts.settings
        self._parts = parts
        self.loop = Loop(lambda: parts.clock.read().monotonic, parts.wait)
        identity = load_or_create(parts.state_folder / "identity.json")
        self.ledger = Ledger(parts.state_folder)
        self.clock = Timekeeper(parts.clock, self.ledger.memory.not_before)
        parts.run_folder.mkdir(parents=True, exist_ok=True)
        self.activity = ActivityLog(self.loop.now, parts.sources, parts.run_folder / "activity")
        gate = Gatekeeper(
            rules=settings.rules,
            clock=self.clock,
            zone=self._zone,
            activity=self.activity,
            ledger=self.ledger,
            device_id=identity.device_id,
            boot_id=parts.boot_id,
        )
        turn = Turn()
        hands = replace(parts.hands, conditions=WithUpgrade(parts.hands.conditions, lambda: self.maintenance.upgrading))
        self.driver = Driver(
            loop=self.loop,
            hands=hands,
            ledger=self.ledger,
            clock=self.clock,
            gate=gate,
            backoff=parts.backoff,
            soak_seconds=settings.soak.total_seconds(),
            changed=self._changed,
            decided=self._decided,
            turn=turn,
        )
        self.maintenance = Maintenance(
            loop=self.loop,
            hands=hands,
            settings=settings,
            memory=SystemMemory(parts.state_folder),
            clock=self.clock,
            gate=gate,
            driver=self.driver,
            turn=turn,
        )
        self.exchange = Exchange(
            loop=self.loop,
            server=parts.server,
            settings=settings,
            tokens=Tokens(parts.state_folder / "identity.json", identity),
            host=parts.host,
            ledger=self.ledger,
            clock=self.clock,
            gate=gate,
            driver=self.driver,
            apt_source=parts.hands.apt_source,
            backoff=replace(parts.backoff, base=_EXCHANGE_BASE),
            zone=self._zone,
            boot_id=parts.boot_id,
            enrolled=parts.enrolled,
            reboot_required=lambda: self.maintenance.reboot_required,
            apt_at_work=lambda: not turn.free_for(None),
        )
        commands = Commands(
            activity=self.activity,
            ledger=self.ledger,
            clock=self.clock,
            driver=self.driver,
            maintenance=self.maintenance,
            exchange=self.exchange,
            status=self.status,
            assistant=settings.assistant,
        )
        self._gate = gate
        self._control = ControlServer(self.loop, parts.run_folder / "control.sock", commands)
        self._words = ""
        self._listening: dict[str, int] = {}

    def begin(self) -> None:
        """Resume what was at work, then speak with the server."""
        self._listen(self._parts.sources)
        self.loop.after(_REOPEN_SECONDS, self._reopen)
        period = watchdog_seconds()
        if period is not None:
            self._watchdog(period)
        self.maintenance.resume()  # first: an upgrade that is still at work holds an installation back
        self.driver.resume()
        self.exchange.begin()
        self._parts.notify("READY=1")
        self._decided(self.driver.decision)

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        woken, waking = socket.socketpair()
        for end in (woken, waking):
            end.setblocking(False)  # the library's own signature
        before = signal.set_wakeup_fd(waking.fileno())
        handlers = [(number, signal.signal(number, self._signalled)) for number in (signal.SIGTERM, signal.SIGINT)]
        self.loop.add_reader(woken.fileno(), lambda: _drain(woken))
        try:
            self.loop.run()
        finally:
            self.loop.remove_reader(woken.fileno())
            for number, handler in handlers:
                signal.signal(number, handler)
            signal.set_wakeup_fd(before)
            woken.close()
            waking.close()

    def close(self) -> None:
        """Let go of everything; work in units of its own goes on and is joined at the next start."""
        self._parts.notify("STOPPING=1")
        self.driver.close()
        self.maintenance.close()
        self._control.close()
        self.activity.close()
        self.loop.close()

    def status(self) -> dict[str, Any]:
        """For ``pi-hook status``."""
        facts = self.driver.facts()
        zone = self._zone()
        idle, contact = self.activity.idle(), self._gate.since_contact()
        reading = self.clock.read()
        return {
            "at": rfc3339(reading.wall.replace(microsecond=0)),
            "assistant": {
                "name": self._parts.settings.assistant,
                "installed": facts.installed.version,
                "active": facts.active,
                "running": facts.running,
                "broken": facts.installed.broken,
            },
            "gate": gate_status(self.driver.decide(facts)),
            "idle_seconds": None if idle is None else int(idle.total_seconds()),
            "busy": [{"why": busy.why} for busy in self.activity.busy()],
            "sources": source_status(self.activity.sources),
            "clock_synchronised": reading.synchronised,
            "timezone": {"name": zone.name, "problem": zone.problem},
            "server": {
                "url": self._parts.settings.server_url,
                "seconds_since_contact": None if contact is None else int(contact.total_seconds()),
                "unsent": len(self.ledger.outbox),
                "problem": self.exchange.problem,
            },
            "system": self.maintenance.status(),
            **memory_status(self.ledger.memory),
            "channel": channel_of(self._parts.settings, self.ledger.memory.channel),
        }

    def _zone(self) -> NamedZone:
        return self._parts.zone(zone_of(self._parts.settings, self.ledger.memory.timezone))

    def _signalled(self, number: int, _frame: object) -> None:
        _log.info("stopping (%s)", signal.Signals(number).name)
        self.loop.stop()

    def _changed(self) -> None:
        self.exchange.soon()

    def _decided(self, decision: Decision) -> None:
        words = gate_words(str(decision.decision), decision.reason, decision.retry_at)
        if words != self._words:
            self._words = words
            self._parts.notify(f"STATUS={words}")

    def _watchdog(self, period: float) -> None:
        self._parts.notify("WATCHDOG=1")
        self.loop.after(period, lambda: self._watchdog(period))

    def _listen(self, sources: Iterable[Source]) -> None:
        for source in sources:
            descriptor = source.fileno()
            if descriptor is not None and source.problem is None:
                self._listening[source.name] = descriptor
                self.loop.add_reader(descriptor, partial(self._activity_on, source))

    def _mute(self, source: Source) -> None:
        descriptor = self._listening.pop(source.name, None)
        if descriptor is not None:
            self.loop.remove_reader(descriptor)

    def _activity_on(self, source: Source) -> None:
        self._mute(source)
        source.poll()
        self.loop.after(_MUTED_SECONDS, partial(self._listen, [source]))

    def _reopen(self) -> None:
        broken = [source for source in self.activity.sources if source.problem is not None]
        for source in broken:
            self._mute(source)
        self.activity.reopen()
        self._listen(source for source in broken if source.problem is None)
        self.loop.after(_REOPEN_SECONDS, self._reopen)


def _drain(channel: socket.socket) -> None:
    channel.recv(64)
