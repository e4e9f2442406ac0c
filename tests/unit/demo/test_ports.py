"""A port that is handed out is nobody else's, whoever looks for one at the same time."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from demo import ports
from demo.ports import NoPortError, free_port
from demo.shell import PROJECT


def elsewhere(wanted: int) -> int:
    """What another process gets, which ends at once."""
    program = f"from demo.ports import free_port; print(free_port({wanted}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, check=True)
    return int(done.stdout)


def test_a_port_that_is_taken_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert free_port(port) != port


def test_what_was_handed_out_is_not_handed_out_again() -> None:
    port = free_port()
    assert elsewhere(port) != port
    assert free_port(port) != port


def test_it_is_free_again_once_the_process_has_ended() -> None:
    port = elsewhere(0)
    assert free_port(port) == port


def test_where_none_is_free_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_reserve", lambda port: False)
    with pytest.raises(NoPortError, match="end what listens there"):
        free_port()
