"""The control socket and the commands of ``pi-hook`` that speak over it, with a whole daemon behind."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from selectors import BaseSelector, SelectorKey
from typing import Any

import pytest

from pi_hook import cli, config, control, follow
from pi_hook.clock import SystemClock
from pi_hook.control import LONGEST_LINE, MOST_CLIENTS
from pi_hook.daemon import Daemon
from pi_hook.talk import ask, connected
from tests.integration.pi_hook_daemon.story import Device
from tests.support.pi_hook_fakes import Release


class Running:
    """A daemon whose loop runs in a thread, for clients in this one; its clock stands still."""

    def __init__(self, folder: Path, *, seconds_a_turn: float = 0.0) -> None:
        self.device = Device(folder)
        self.device.world.published = {"1.0.0": Release(), "1.1.0": Release()}
        self._seconds = seconds_a_turn
        self.device.clock.wait = self._wait  # type: ignore[method-assign]  # threads
        self.daemon: Daemon = self.device.start()
        self.socket = folder / "run" / "control.sock"
        self._thread = threading.Thread(target=self.daemon.loop.run)
        self._thread.start()

    def _wait(self, selector: BaseSelector, timeout: float) -> list[tuple[SelectorKey, int]]:
        self.device.clock.advance(min(self._seconds, timeout))
        return selector.select(0.005)

    def say(self, raw: bytes) -> dict[str, Any]:
        with connected(self.socket, 5) as channel:
            channel.sendall(raw)
            answer: dict[str, Any] = json.loads(channel.makefile("rb").readline())
            return answer

    def pi_hook(self, *arguments: str) -> int:
        return cli.main(["--socket", str(self.socket), *arguments])

    def stop(self) -> None:
        self.daemon.loop.stop()
        self._thread.join()
        self.device.kill()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.stop()


def test_activity_ends_idleness(running: Running) -> None:
    assert running.daemon.activity.idle() == timedelta(seconds=100)
    assert running.pi_hook("activity") == 0
    assert running.daemon.activity.idle() == timedelta(0)


def test_busy_ends_with_its_connection(running: Running) -> None:
    with connected(running.socket, 5) as channel:
        ask(channel, "busy", seconds=60, why="speaking")
        assert [busy.why for busy in running.daemon.activity.busy()] == ["speaking"]
    with connected(running.socket, 5) as channel:  # a round trip after the end of the other
        ask(channel, "status")
    assert running.daemon.activity.busy() == []


def test_free_ends_its_own_busy_period_and_a_person_ends_all(running: Running) -> None:
    with connected(running.socket, 5) as one, connected(running.socket, 5) as other:
        ask(one, "busy")
        ask(other, "busy", seconds=5)
        assert ask(one, "free")["ended"] == 1
        assert ask(one, "free")["ended"] == 0
        assert len(running.daemon.activity.busy()) == 1
        assert running.pi_hook("activity", "free") == 0
        assert running.daemon.activity.busy() == []


def test_pi_hook_activity_busy_stays_for_its_time(running: Running) -> None:
    assert running.pi_hook("activity", "busy", "--seconds", "0.01", "--why", "timer") == 0


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"nonsense\n", "not JSON"),
        (b"\xff\xfe\n", "not JSON"),
        (b"[" * 3000 + b"\n", "not JSON"),
        (b"[]\n", "one JSON object a line"),
        (b'{"command": 5}\n', "one JSON object a line"),
        (b'{"command": "dance"}\n', "there is no command 'dance'"),
        (b'{"command": "activity", "mood": 1}\n', "has no field 'mood'"),
        (b'{"command": "busy", "seconds": 0}\n', "seconds must be a number above 0, at most 7200"),
        (b'{"command": "busy", "seconds": 7201}\n', "at most 7200"),
        (b'{"command": "busy", "seconds": true}\n', "seconds must"),
        (b'{"command": "busy", "seconds": NaN}\n', "seconds must"),
        (b'{"command": "busy", "why": 3}\n', "why must be a text"),
        (b"x" * (LONGEST_LINE + 2), "at most 4096 bytes"),
    ],
)
def test_a_message_that_cannot_be_done_is_answered_with_why(running: Running, raw: bytes, words: str) -> None:
    answer = running.say(raw)
    assert answer["ok"] is False
    assert words in answer["error"]["message"]
    assert running.say(b'{"command": "activity"}\n') == {"ok": True}


def test_a_message_may_come_in_pieces_and_several_at_once(running: Running) -> None:
    with connected(running.socket, 5) as channel:
        channel.sendall(b'{"comm')
        channel.sendall(b'and": "activity"}\n\n{"command": "free"}\n{"command": "hold"}\n')
        stream = channel.makefile("rb")
        assert [json.loads(stream.readline())["ok"] for _ in range(3)] == [True, True, True]


def test_too_many_clients_are_turned_away_and_the_others_stay(running: Running) -> None:
    channels = []
    for _ in range(MOST_CLIENTS):
        channel = socket.socket(socket.AF_UNIX)
        channel.connect(str(running.socket))
        channels.append(channel)
    with connected(running.socket, 5) as late:
        assert late.recv(10) == b""
    channels[0].sendall(b'{"command": "activity"}\n')
    assert json.loads(channels[0].recv(1000)) == {"ok": True}
    for channel in channels:
        channel.close()


def test_the_socket_is_closed_to_strangers(running: Running) -> None:
    assert running.socket.stat().st_mode & 0o777 == 0o660


def test_hold_and_release(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert running.pi_hook("hold") == 0
    assert running.daemon.ledger.memory.device.held_here
    assert running.pi_hook("status") == 0
    assert "held        by `pi-hook hold`" in capsys.readouterr().out
    assert running.pi_hook("release") == 0
    assert not running.daemon.ledger.memory.device.held


def test_the_gate_says_no_by_day_and_yes_by_night(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert running.pi_hook("gate") == 1
    assert "OUTSIDE_WINDOW" in capsys.readouterr().out
    running.device.clock.advance(13 * 3600 + 3000 + 3600)  # past any offset, 03:50 in Berlin
    assert running.pi_hook("gate") == 0


def test_a_gate_that_fails_ends_in_255(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pi_hook.cli._ask", broken)
    assert running.pi_hook("gate") == 255


@pytest.mark.parametrize("given", ["file", "folder", "boot"])
def test_without_a_daemon_the_gate_fails_where_there_are_settings_and_is_open_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    """As systemd starts the daemon: by the conditions of its unit."""
    places = {"file": tmp_path / "pi-hook.toml", "folder": tmp_path / "pi-hook.d", "boot": tmp_path / "boot.toml"}
    for name, path in zip(("SETTINGS_FILE", "SETTINGS_FOLDER", "BOOT_FILE"), places.values(), strict=True):
        monkeypatch.setattr(config, name, path)
    places["folder"].mkdir()
    nowhere = ["--socket", str(tmp_path / "none.sock"), "gate"]
    assert cli.main(nowhere) == 0
    assert "no settings" in capsys.readouterr().out
    (places["folder"] / "10-any.toml" if given == "folder" else places[given]).write_text("")
    assert cli.main(nowhere) == 255
    assert "no daemon answers" in capsys.readouterr().err


def test_the_unit_starts_the_daemon_exactly_where_the_gate_expects_one() -> None:
    unit = (Path(__file__).parents[3] / "debian" / "pi-hook.service").read_text(encoding="utf-8")
    conditions = {line.partition("=|")[2] for line in unit.splitlines() if line.startswith("Condition")}
    assert conditions == {str(config.SETTINGS_FILE), str(config.SETTINGS_FOLDER), str(config.BOOT_FILE)}


def test_without_a_daemon_the_gate_fails_and_status_reads_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = ["--socket", str(tmp_path / "none.sock"), "--state", str(tmp_path / "state")]
    monkeypatch.setattr("pi_hook.config.configured", lambda: True)
    assert cli.main([*nowhere, "gate"]) == 255
    assert cli.main([*nowhere, "hold"]) == 69
    assert "no daemon answers" in capsys.readouterr().err
    assert cli.main([*nowhere, "status", "--json"]) == 0
    assert "cannot be read" in json.loads(capsys.readouterr().out)["state"]
    device = Device(tmp_path)
    device.world.published["1.0.0"] = Release()
    device.start()
    device.server.offer("1.0.0", "scheduled")
    device.until(device.told("succeeded", "1.0.0"))
    device.kill()
    assert cli.main([*nowhere, "status", "--json"]) == 0
    status = json.loads(capsys.readouterr().out)
    assert "no daemon answers" in status["note"]
    assert status["last_good"] == "1.0.0"


def test_status_tells_people_and_programs(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert running.pi_hook("status", "--json") == 0
    status = json.loads(capsys.readouterr().out)
    assert status["assistant"]["name"] == "sample-assistant"
    assert status["gate"]["decision"] == "nothing"
    assert status["idle_seconds"] == 100
    assert status["timezone"] == {"name": "Europe/Berlin", "problem": None}
    assert running.pi_hook("status") == 0
    words = capsys.readouterr().out
    assert "assistant   sample-assistant: installed nothing" in words
    assert "gate        nothing to install" in words


def test_the_real_clock_reads() -> None:
    one, two = SystemClock().read(), SystemClock().read()
    assert two.monotonic >= one.monotonic > 0
    assert one.wall.tzinfo is not None


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A daemon whose time flies: 1.0.0 runs there, 1.1.0 is offered and waits for the night."""
    monkeypatch.setattr(follow, "_PAUSE", 0.01)
    running = Running(tmp_path, seconds_a_turn=5.0)
    server = running.device.server
    server.offer("1.0.0", "scheduled")
    wait_until(lambda: "succeeded" in server.words("1.0.0"))
    server.offer("1.1.0", "scheduled")
    wait_until(lambda: "deferred" in server.words("1.1.0"))
    yield running
    running.stop()


def wait_until(seen: Callable[[], bool]) -> None:
    for _ in range(6000):
        if seen():
            return
        time.sleep(0.01)
    raise AssertionError("not seen within a minute")


def test_install_now_and_rollback_are_followed_to_their_end(quick: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert quick.pi_hook("install", "--now") == 0
    said = capsys.readouterr().out.splitlines()
    assert all(line.startswith("1.1.0 ") for line in said)
    assert said[-1] == "1.1.0 succeeded: a person asked for it (`pi-hook install --now`)"
    assert quick.pi_hook("rollback") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2].startswith("1.1.0 rolled back: a person asked to go back")
    assert "pi-hook hold" in said[-1]
    assert quick.device.world.running == "1.0.0"
    wait_until(lambda: quick.device.server.words("1.1.0")[-1] == "rolled_back")


def test_an_override_that_ends_otherwise_is_no_success(quick: Running, capsys: pytest.CaptureFixture[str]) -> None:
    quick.device.world.published["1.1.0"].crashes = True
    assert quick.pi_hook("install", "--now") == 1
    assert "1.1.0 rolled back: " in capsys.readouterr().out
    assert quick.pi_hook("rollback") == 1
    assert "pi-hook: no release that could be gone back to from 1.0.0" in capsys.readouterr().err


def follow_while_busy(quick: Running, when_busy: Callable[[socket.socket], object]) -> tuple[int, list[str]]:
    """``install --now`` while the assistant is busy, and what is done once that has been said."""
    said: list[str] = []
    with connected(quick.socket, 5) as channel:
        ask(channel, "busy", why="an alarm")

        def say(words: str) -> None:
            said.append(words)
            if "BUSY" in words:
                when_busy(channel)

        status = follow.override(quick.socket, "install", "succeeded", say, now=True)
    return status, said


def test_what_it_waits_for_is_said(quick: Running) -> None:
    status, said = follow_while_busy(quick, lambda channel: ask(channel, "free"))
    assert status == 0
    assert "1.1.0 is waiting: BUSY, the assistant is in the middle of something" in said
    assert said[-1].startswith("1.1.0 succeeded")


def test_an_update_that_is_taken_back_is_said_too(quick: Running) -> None:
    def take_back(_channel: socket.socket) -> None:
        quick.device.server.offered = None

    status, said = follow_while_busy(quick, take_back)
    assert (status, said[-1]) == (1, "1.1.0 is not offered to this device any more")


@pytest.mark.parametrize("command", ["install", "rollback"])
def test_overrides_are_for_root_alone(running: Running, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    monkeypatch.setattr(control, "_user", lambda _channel: 1000)
    answer = running.say(json.dumps({"command": command}).encode() + b"\n")
    assert (answer["ok"], answer["error"]["kind"]) == (False, "forbidden")
    assert "use sudo" in answer["error"]["message"]


def test_who_is_at_the_other_end_is_what_the_kernel_says() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert control._user(one) == os.getuid()


def test_install_without_now_is_refused(running: Running, capsys: pytest.CaptureFixture[str]) -> None:
    assert "by themselves" in running.say(b'{"command": "install"}\n')["error"]["message"]
    with pytest.raises(SystemExit):
        running.pi_hook("install")
    assert "--now" in capsys.readouterr().err
