"""The parts of the demo that can fail: each says what happened."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.mmdebstrap import mmdebstrap
from demo.observe import NotObservedError, until
from demo.payload import crashing_copy
from demo.shell import PROJECT, CommandError, run
from demo.story import Teller, closing, fresh_state, processes_naming
from demo.vpi.channel import Channel, ChannelError


def test_a_program_that_fails_is_told_with_its_last_words() -> None:
    with pytest.raises(CommandError, match=r"sh -c echo why >&2; exit 3: exit status 3\nwhy"):
        run(["sh", "-c", "echo why >&2; exit 3"])


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(CommandError, match="not done after 0 s"):
        run(["sleep", "5"], timeout=0.01)


def test_mmdebstrap_is_tried_again_and_then_given_up(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text(
        f'#!/bin/sh\necho x >> {tmp_path}/tries\ntouch "$4"; [ "$(wc -l < {tmp_path}/tries)" -ge "$2" ]\n'
    )
    program.chmod(0o755)
    said: list[str] = []
    mmdebstrap(["2"], "trixie", tmp_path / "made", say=said.append, program=str(program))
    assert len(said) == 1
    with pytest.raises(CommandError):
        mmdebstrap(["9"], "trixie", tmp_path / "half-made", say=said.append, program=str(program))
    assert (tmp_path / "tries").read_text().count("x") == 5
    assert [path.name for path in tmp_path.glob("*made")] == ["made"]


def test_the_environment_is_added_to_ours() -> None:
    assert run(["sh", "-c", 'echo "$MORE in $HOME"'], env={"MORE": "more"}) == f"more in {os.environ['HOME']}\n"


def test_the_crashing_copy_differs_in_its_switch_only(tmp_path: Path) -> None:
    source = PROJECT / "examples" / "sample_assistant"
    copy = crashing_copy(source, tmp_path / "copy")
    before = (source / "release.toml").read_text().splitlines()
    after = (copy / "release.toml").read_text().splitlines()
    assert [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]] == [
        ('SAMPLE_ASSISTANT_CRASH = "0"', 'SAMPLE_ASSISTANT_CRASH = "1"')
    ]


def test_a_payload_without_the_switch_is_refused(tmp_path: Path) -> None:
    (tmp_path / "payload").mkdir()
    (tmp_path / "payload" / "release.toml").write_text('name = "x"\n')
    with pytest.raises(ValueError, match=r"does not hold .SAMPLE_ASSISTANT_CRASH"):
        crashing_copy(tmp_path / "payload", tmp_path / "copy")


def test_what_is_not_seen_in_time_is_told_with_what_was_seen() -> None:
    with pytest.raises(NotObservedError, match="not seen within 0 s: a miracle; seen instead: rain"):
        until("a miracle", lambda: None, 0, lambda: "rain")
    assert until("the obvious", lambda: 42, 0) == 42


def test_a_fresh_state_keeps_only_the_keys(tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "keys" / "builder").mkdir(parents=True)
    (state / "aptly").mkdir()
    (state / "pkgbuild.toml").touch()
    assert fresh_state(state) == state
    assert [path.relative_to(state).as_posix() for path in sorted(state.rglob("*"))] == ["keys", "keys/builder"]
    assert list(tmp_path.iterdir()) == [state]


def test_the_table_and_the_exit_status_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    teller = Teller()
    teller.seen("release", "published")
    assert closing(teller, "") == 0
    assert closing(teller, "the Pi is on fire") == 1
    said = capsys.readouterr().out
    assert "1 observed, 0 failed" in said
    assert "FAILED the Pi is on fire" in said


def test_left_over_processes_are_found(tmp_path: Path) -> None:
    assert processes_naming(tmp_path) == []
    with (tmp_path / "fifo").open("w") as out:
        process = os.spawnlp(os.P_NOWAIT, "tail", "tail", "-f", str(tmp_path / "fifo"))
        try:
            until("the process", lambda: processes_naming(tmp_path), 10)
        finally:
            os.kill(process, 9)
            os.waitpid(process, 0)
        out.write("")


@pytest.fixture
def monitor(tmp_path: Path) -> Iterator[tuple[Path, list[object]]]:
    """Something that speaks like QEMU's monitor: answers ``query`` and refuses everything else, after an event."""
    path, heard = tmp_path / "monitor.sock", list[object]()
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()

    def serve() -> None:
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as lines:
            for line in lines:
                heard.append(json.loads(line))
                connection.sendall(b'{"event": "RESUME"}\n')
                known = json.loads(line)["execute"] == "query"
                connection.sendall(b'{"return": 7}\n' if known else b'{"error": {"desc": "unknown command"}}\n')

    thread = threading.Thread(target=serve)
    thread.start()
    yield path, heard
    thread.join(10)
    listening.close()


def test_a_channel_answers_refuses_and_skips_events(monitor: tuple[Path, list[object]]) -> None:
    path, heard = monitor
    with Channel(path, timeout=5) as channel:
        assert channel.execute("query", depth=1) == 7
        with pytest.raises(ChannelError, match="dance: unknown command"):
            channel.execute("dance")
    assert heard == [{"execute": "query", "arguments": {"depth": 1}}, {"execute": "dance"}]


def test_an_answer_to_an_earlier_connection_is_not_taken_for_one_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def serve() -> None:
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b'{"return": {"pid": 1}}\n{"return": 99}\n')  # late
                for line in lines:
                    asked = json.loads(line)
                    answer = asked["arguments"]["id"] if asked["execute"] == "guest-sync" else asked["execute"]
                    connection.sendall(json.dumps({"return": answer}).encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        with Channel(path, timeout=5) as channel:
            channel.sync()
            assert channel.execute("guest-ping") == "guest-ping"
        thread.join(10)


def test_a_channel_to_nobody_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChannelError, match=r"monitor\.sock: "):
        Channel(tmp_path / "monitor.sock", timeout=1)
