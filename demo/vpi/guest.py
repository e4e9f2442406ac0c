"""Commands inside the virtual Pi, through QEMU's guest agent: no network, no password, root."""

from __future__ import annotations

import base64
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from demo.vpi.channel import Channel, ChannelError

ANSWER_SECONDS = 20.0
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.05, 1.0
"""Each question costs the emulated processor time that the command needs: the longer it takes, the fewer are asked."""


class GuestError(RuntimeError):
    """A command in the guest failed, or the guest does not answer."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a command in the guest left: exit status and both outputs as text."""

    status: int
    out: str
    err: str


class Guest:
    """The guest agent's socket; a connection is made for every call, so a reboot in between does no harm."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path

    def wait_until_up(self, timeout: float) -> None:
        """Return when the agent answers. Raises ``GuestError`` after ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                with Channel(self._path, timeout=2) as channel:
                    channel.sync()
                    return
            except ChannelError:
                time.sleep(0.2)
        raise GuestError(f"the virtual Pi did not answer within {timeout:.0f} s")

    def try_run(self, command: str, timeout: float = 120, stdin: bytes = b"") -> Finished:
        """Run a shell command as root and return how it ended, whatever its status.

        ``timeout`` in seconds. Raises ``GuestError`` only where the guest itself does not answer in time.
        """
        deadline = time.monotonic() + timeout
        try:
            with Channel(self._path, timeout=ANSWER_SECONDS) as channel:
                channel.sync()
                started = channel.execute(
                    "guest-exec",
                    path="/bin/sh",
                    arg=["-c", command],
                    **{"capture-output": True, "input-data": base64.b64encode(stdin).decode()},
                )
                pause = FIRST_POLL_SECONDS
                while True:
                    state = channel.execute("guest-exec-status", pid=started["pid"])
                    if state["exited"]:
                        return Finished(
                            state.get("exitcode", 128 + state.get("signal", 0)),
                            _text(state.get("out-data", "")),
                            _text(state.get("err-data", "")),
                        )
                    if time.monotonic() > deadline:
                        raise GuestError(f"not done after {timeout:.0f} s in the virtual Pi: {command}")
                    time.sleep(pause)
                    pause = min(pause * 1.5, LONGEST_POLL_SECONDS)
        except (ChannelError, ValueError) as error:
            raise GuestError(f"the virtual Pi does not answer: {error} (command: {command})") from error

    def run(self, command: str, timeout: float = 120, stdin: bytes = b"") -> str:
        """Run a shell command as root and return its standard output. Raises ``GuestError`` where it fails."""
        done = self.try_run(command, timeout, stdin)
        if done.status != 0:
            raise GuestError(f"{command}: exit status {done.status} in the virtual Pi\n{done.out}{done.err}".rstrip())
        return done.out

    def write(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file, replacing it by one rename."""
        name = shlex.quote(path)
        self.run(
            f"mkdir -p $(dirname {name}) && cat > {name}.new && chmod {mode:o} {name}.new && mv {name}.new {name}",
            stdin=data,
        )


def _text(data: str) -> str:
    return base64.b64decode(data).decode(errors="replace")
