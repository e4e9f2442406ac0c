"""`make demo`: an assistant's life in a virtual Pi, step by step, every claim checked on the Pi and at the server.

Exit status 0 means that all of it was seen. Everything that was started is ended again, unless ``--keep``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo.agent import HEARTBEAT_SECONDS, disk_with_agent, first_boot_settings
from demo.observe import NotObservedError, PiView, ServerView, until
from demo.payload import crashing_copy
from demo.ports import NoPortError, free_port
from demo.shell import PROJECT, CommandError
from demo.stack import DEFAULT_PORT, Stack, StackError
from demo.vpi.guest import GuestError
from demo.vpi.machine import VirtualPi

ASSISTANT = "sample-assistant"
PAYLOAD = PROJECT / "examples" / "sample_assistant"
IDLE_REQUIRED_SECONDS = 8
SOAK_SECONDS = 3
ENROLL_SECONDS = 120.0
UPDATE_SECONDS = 180.0
PRESS_EVERY_SECONDS = 2.0
ENDING_SECONDS = 10.0


@dataclass
class Teller:
    """Prints what happens with the time since the start, and keeps what was observed for the closing table."""

    started: float = field(default_factory=time.monotonic)
    observed: list[tuple[str, str]] = field(default_factory=list)

    def act(self, title: str) -> None:
        """A new step of the story."""
        print(f"\n== {title}", flush=True)

    def say(self, text: str) -> None:
        """One line."""
        print(f"{time.monotonic() - self.started:6.1f} s  {text}", flush=True)

    def quote(self, text: str) -> None:
        """Somebody else's words, indented."""
        print(textwrap.indent(text.rstrip(), " " * 10 + "| "), flush=True)

    def seen(self, what: str, evidence: str) -> None:
        """Something that was to be shown has been seen."""
        self.observed.append((what, evidence))
        self.say(f"ok: {what}: {evidence}")


class Story:
    """The acts in their order; each raises ``NotObservedError`` where the world is not as it should be."""

    def __init__(self, teller: Teller, stack: Stack, state: Path) -> None:
        self._tell = teller
        self._stack = stack
        self._state = state
        self._server = ServerView(stack, ASSISTANT)
        self.pi = self._virtual_pi()
        self.device = PiView(self.pi, ASSISTANT)

    def play(self) -> None:
        """All acts."""
        self._tell.act("The virtual Pi is switched on for the first time; meanwhile 1.0.0 is released")
        self.pi.boot(wait=False)
        self._release("1.0.0", "Initial release", "scheduled", PAYLOAD)
        self._tell.seen("release", "1.0.0 built, signed, published, announced")
        self.pi.wait_until_up()
        self._tell.say("the virtual Pi is up")
        self.enroll()
        self.first_installation()
        self.deferral()
        self.urgent_update()
        self.rollback()

    def enroll(self) -> None:
        """The Pi registers by itself, with the token from its boot partition."""
        self._tell.act("The Pi enrolls")
        device = until("a registered device", self._server.device, ENROLL_SECONDS)
        self._tell.seen("enrolled", f"device {device['id']}, zone {device['timezone']}")

    def first_installation(self) -> None:
        """1.0.0 arrives; nobody can be interrupted yet, so it does not wait for the night."""
        self._tell.act("The Pi installs 1.0.0")
        self._server.wait_for("1.0.0", {"succeeded"}, UPDATE_SECONDS)
        self._expect_running("1.0.0")
        self._tell.seen("1.0.0 installed", f"{self.device.installed()}; the process of 1.0.0 runs")

    def deferral(self) -> None:
        """Somebody presses the button again and again; the urgent 1.1.0 has to wait."""
        self._tell.act(f"Somebody uses the button; 1.1.0 is urgent and waits for {IDLE_REQUIRED_SECONDS} s without use")
        self._tell.say("(the default is one hour; the demo sets seconds)")
        self.pi.press_button()
        idle = until("the press in `pi-hook status`", self._pressed, 20, self.device.status)
        self._tell.seen("button press", f"idle is {idle} s on the Pi")
        self._release("1.1.0", "Answers faster", "urgent", PAYLOAD)
        progress = until("the deferral of 1.1.0", self._deferred_in_use, UPDATE_SECONDS)
        self._tell.quote(self.pi.guest.run("pi-hook status"))
        self._tell.quote(json.dumps({key: progress[key] for key in ("status", "reason", "retry_at")}))
        if progress["reason"] != "RECENT_ACTIVITY" or not progress["retry_at"]:
            raise NotObservedError(f"deferred for another reason than RECENT_ACTIVITY: {progress}")
        self._tell.seen("1.1.0 deferred", f"{progress['reason']}, next try at {progress['retry_at']}")

    def urgent_update(self) -> None:
        """Idle passes; 1.1.0 is installed, activated, verified."""
        self._tell.act("Nobody presses anything any more")
        self._server.wait_for("1.1.0", {"succeeded"}, UPDATE_SECONDS)
        self._expect_running("1.1.0")
        self._tell.quote(self._timeline("1.1.0"))
        self._tell.seen(
            "1.1.0 succeeded", f"{self.device.installed()}; the process of 1.1.0 runs; {self.device.current()}"
        )

    def rollback(self) -> None:
        """1.2.0 crashes at its start; the Pi goes back by itself and says why."""
        self._tell.act("1.2.0 crashes at its start")
        self._release("1.2.0", "This one is broken", "urgent", crashing_copy(PAYLOAD, self._state / "crashing"))
        progress = self._server.wait_for("1.2.0", {"rolled_back", "succeeded", "failed"}, UPDATE_SECONDS)
        if progress["status"] != "rolled_back":
            raise NotObservedError(f"1.2.0 ended as {progress['status']}: {progress['detail']}")
        self._tell.quote("\n".join((progress["log_tail"] or "").splitlines()[-8:]))
        if "Traceback" not in (progress["log_tail"] or ""):
            raise NotObservedError(f"the report of 1.2.0 does not hold the crash: {progress['log_tail']!r}")
        self._expect_running("1.1.0")
        device = self._server.device() or {}
        if (device["installed"], device["active"]) != ("1.2.0", "1.1.0"):
            device = until("the roll-back in a heartbeat", self._rolled_back, 30, self._server.device)
        self._tell.seen(
            "1.2.0 rolled back", f"installed {device['installed']}, active {device['active']}, journal's tail reported"
        )
        self._tell.quote(self._timeline("1.2.0"))

    def _deferred_in_use(self) -> dict[str, Any] | None:
        """Press once more, and look: so that the deferral is seen however slow the machine is."""
        self.pi.press_button()
        time.sleep(PRESS_EVERY_SECONDS)
        progress = self._server.progress("1.1.0")
        return progress if progress and progress["status"] == "deferred" else None

    def _pressed(self) -> str | None:
        idle = self.device.status().get("idle_seconds")
        return f"{idle:.0f}" if idle is not None and idle < 20 else None

    def _rolled_back(self) -> dict[str, object] | None:
        device = self._server.device() or {}
        return device if (device["installed"], device["active"]) == ("1.2.0", "1.1.0") else None

    def _release(self, version: str, notes: str, urgency: str, source: Path) -> None:
        shown = source.relative_to(PROJECT) if source.is_relative_to(PROJECT) else source
        self._tell.say(f'make release VERSION={version} NOTES="{notes}" URGENCY={urgency} SRC={shown}')
        words = ["--version", version, "--notes", notes, "--urgency", urgency, "--src", str(source)]
        for line in self._stack.release(*words, "--target", "trixie/amd64"):
            self._tell.quote(line)

    def _expect_running(self, version: str) -> None:
        """The Pi itself is asked, too: the server's word alone proves nothing."""
        running, current = self.device.running(), self.device.current()
        if running != version or not current.endswith(f"/{version}"):
            raise NotObservedError(f"on the Pi, {running!r} runs and current is {current!r}; expected {version}")

    def _timeline(self, version: str) -> str:
        events = self._server.events(version)
        return "\n".join(f"{event['at']}  {event['status']}  {event['reason'] or ''}".rstrip() for event in events)

    def _virtual_pi(self) -> VirtualPi:
        disk = disk_with_agent(self._stack, PROJECT / ".cache", self._tell.say)
        settings = first_boot_settings(
            self._stack, ASSISTANT, idle_required_seconds=IDLE_REQUIRED_SECONDS, soak_seconds=SOAK_SECONDS
        )
        return VirtualPi(disk, self._state / "pi", self._stack.port, settings)


def fresh_state(state: Path) -> Path:
    """An empty state folder but for the keys of an earlier run: with the same keys the cached image still fits."""
    keys, kept = state / "keys", state.parent / f"{state.name}-keys"
    if keys.exists():
        shutil.rmtree(kept, ignore_errors=True)
        keys.rename(kept)
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    if kept.exists():
        kept.rename(keys)
    return state


def main() -> int:
    """Play the story and print the closing table. Returns the exit status."""
    parser = argparse.ArgumentParser(description="The whole path of an update, in a virtual Pi.")
    parser.add_argument("--state", type=Path, required=True, help="a folder for everything the demo makes")
    parser.add_argument("--keep", action="store_true", help="leave server, aptly and the virtual Pi running")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # SIGINT may have come ignored, from a shell that put us aside
        signal.signal(number, signal.default_int_handler)
    teller = Teller()
    stack = Stack(
        fresh_state(arguments.state.resolve()), port=free_port(DEFAULT_PORT), heartbeat_seconds=HEARTBEAT_SECONDS
    )
    story: Story | None = None
    problem = ""
    try:
        teller.act("aptly and the server start, with throwaway keys")
        stack.start()
        teller.say(f"server at {stack.url}, state in {os.path.relpath(stack.state, PROJECT)}")
        story = Story(teller, stack, stack.state)
        story.play()
    except (NotObservedError, CommandError, StackError, NoPortError, GuestError) as error:
        problem = str(error)
        if story is not None and story.pi.pid is not None:
            teller.quote(story.device.journal())
    except KeyboardInterrupt:
        problem = "interrupted"
    finally:
        if arguments.keep and story is not None:
            print(
                f"\nStill running: the virtual Pi (QEMU, pid {story.pi.pid}), {dict(stack.pids)}; end them with kill."
            )
        else:
            if story is not None and story.pi.pid is not None:
                story.pi.cut_power()
            stack.stop()
            left = still_running(stack.state)
            if left and not problem:
                problem = f"still running after the end: {'; '.join(left)}"
            elif not left:
                teller.seen("nothing left", "every process that was started has ended")
    return closing(teller, problem)


def still_running(folder: Path) -> list[str]:
    """What has not ended within some seconds; a key's agent is only told to end, and does so in its own time."""
    deadline = time.monotonic() + ENDING_SECONDS
    while (left := processes_naming(folder)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left


def processes_naming(folder: Path) -> list[str]:
    """The command lines of running processes that name a folder; a process that has just ended has none."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in words and int(process.name) != os.getpid():
                found.append(f"{process.name} {words.strip()}")
    return found


def closing(teller: Teller, problem: str) -> int:
    """Print the table of what was seen; the exit status."""
    print("\n== Summary")
    for what, evidence in teller.observed:
        print(f"  {'ok':6} {what:20} {evidence}")
    if problem:
        print(f"  {'FAILED':6} {problem}")
    print(f"\n{len(teller.observed)} observed, {1 if problem else 0} failed, {time.monotonic() - teller.started:.0f} s")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
