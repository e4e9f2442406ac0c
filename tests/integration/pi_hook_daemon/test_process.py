"""The daemon as a process, as systemd knows it: READY, STATUS, SIGTERM, and sleep in between."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

from pi_hook.talk import ask, connected

ROOT = Path(__file__).parents[3]


def test_it_is_ready_sees_a_key_sleeps_and_ends_cleanly(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "event0")
    keyboard = os.open(tmp_path / "event0", os.O_RDWR)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(30)
        systemd.bind(str(tmp_path / "notify"))
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "PYTHONPATH": str(ROOT)}
        program = [sys.executable, "-m", "tests.integration.pi_hook_daemon.daemon_program", str(tmp_path)]
        process = subprocess.Popen(program, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            assert systemd.recv(1000) == b"READY=1"
            assert systemd.recv(1000) == b"STATUS=nothing to install"
            with connected(tmp_path / "run" / "control.sock") as channel:
                before = ask(channel, "status")["status"]["idle_seconds"]
                os.write(keyboard, struct.pack("@llHHi", 0, 0, 1, 30, 1) * 500)
                after = ask(channel, "status")["status"]["idle_seconds"]
            assert before > after
            assert after <= 1
        finally:
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert systemd.recv(1000) == b"STOPPING=1"
    os.close(keyboard)
    assert not (tmp_path / "run" / "control.sock").exists()
    # First exchange, the key, connection, two questions, the end, the signal; nothing that turns round and round.
    assert int(out) <= 12
