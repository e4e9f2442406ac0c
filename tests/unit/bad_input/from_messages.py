"""Messages on the control socket and answers of the server that cannot be used, each to a whole daemon."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from pi_hook import cli, control
from pi_hook.client import HttpServer
from pi_hook.control import LONGEST_LINE, MOST_CLIENTS
from pi_hook.errors import RefusedError, ServerError
from pi_hook.talk import connected
from tests.integration.pi_hook_daemon.story import Device
from tests.support.pi_hook_fakes import START, Release
from tests.unit.bad_input.table import Cases, Place
from tests.unit.pi_hook.test_client import Scripted

sockets = Cases()
answers = Cases()


@contextmanager
def running(place: Place) -> Iterator[Device]:
    """A daemon that serves its socket from a thread; its clock stands still."""
    device = Device(place.folder)
    device.clock.wait = lambda selector, timeout: selector.select(0.01)  # type: ignore[method-assign]  # threads
    daemon = device.start()
    thread = threading.Thread(target=daemon.loop.run)
    thread.start()
    try:
        yield device
    finally:
        daemon.loop.stop()
        thread.join()
        device.kill()


def told(place: Place, raw: bytes, *, ends: bool = False) -> str:
    """The refusal of a line; the daemon and, but where it ends it, the connection go on."""
    with running(place) as device, connected(device.folder / "run" / "control.sock", 5) as channel:
        stream = channel.makefile("rb")
        channel.sendall(raw)
        answer = json.loads(stream.readline())
        assert answer["ok"] is False
        if ends:
            assert stream.readline() == b""
            with connected(device.folder / "run" / "control.sock", 5) as other:
                other.sendall(b'{"command": "activity"}\n')
                assert json.loads(other.makefile("rb").readline()) == {"ok": True}
        else:
            channel.sendall(b'{"command": "activity"}\n')
            assert json.loads(stream.readline()) == {"ok": True}
        stream.close()
    return str(answer["error"]["message"])


@sockets("a line that is not JSON")
def _(place: Place) -> str:
    told(place, b"[" * 3000 + b"\n")
    told(place, b"\xff\xfe\n")
    return told(place, b"hello\n")


@sockets("JSON that is no object with a `command`")
def _(place: Place) -> str:
    told(place, b"[]\n")
    return told(place, b'{"command": 5}\n')


@sockets("a command that does not exist")
def _(place: Place) -> str:
    return told(place, b'{"command": "dance"}\n')


@sockets("a field that the command does not have")
def _(place: Place) -> str:
    return told(place, b'{"command": "activity", "mood": "fine"}\n')


@sockets("`seconds` that is no number, or out of range")
def _(place: Place) -> str:
    for value in (b"true", b'"60"', b"0", b"-1", b"NaN"):
        told(place, b'{"command": "busy", "seconds": ' + value + b"}\n")
    return told(place, b'{"command": "busy", "seconds": 7201}\n')


@sockets("`why` that is no text, or too long")
def _(place: Place) -> str:
    told(place, b'{"command": "busy", "why": 3}\n')
    return told(place, b'{"command": "busy", "why": "' + b"x" * 201 + b'"}\n')


@sockets("`install` or `rollback` of a caller that is not root")
def _(place: Place) -> str:
    place.monkeypatch.setattr(control, "_user", lambda _channel: 1000)
    told(place, b'{"command": "rollback"}\n')
    return told(place, b'{"command": "install", "now": true}\n')


@sockets('`install` without `"now": true`')
def _(place: Place) -> str:
    return told(place, b'{"command": "install", "now": 1}\n')


@sockets("a line of more than 4,096 bytes")
def _(place: Place) -> str:
    return told(place, b"x" * (LONGEST_LINE + 2), ends=True)


@sockets("a connection that ends within a line, or while busy")
def _(place: Place) -> str:
    with running(place) as device:
        path = device.folder / "run" / "control.sock"
        with connected(path, 5) as channel:
            channel.sendall(b'{"command": "busy", "why": "speaking"}\n{"comm')
            channel.makefile("rb").readline()
        with connected(path, 5) as channel:
            channel.sendall(b'{"command": "status"}\n')
            assert json.loads(channel.makefile("rb").readline())["status"]["busy"] == []
    return "nothing"


@sockets("a 33rd connection at a time")
def _(place: Place) -> str:
    with running(place) as device:
        channels = []
        for _ in range(MOST_CLIENTS):
            channel = socket.socket(socket.AF_UNIX)
            channel.connect(str(device.folder / "run" / "control.sock"))
            channels.append(channel)
        with connected(device.folder / "run" / "control.sock", 5) as late:
            assert late.recv(10) == b""
        for channel in channels:
            channel.close()
    return place.caplog.text


@sockets("a caller outside of the group, or no daemon")
def _(place: Place) -> str:
    assert cli.main(["--socket", str(place.folder / "none.sock"), "hold"]) == 69
    return place.capsys.readouterr().err


# The server's answers


def asked(place: Place, prepare: Callable[[Device], None]) -> str:
    """The daemon's complaint about an answer; it installs nothing by it, and goes on asking."""
    device = Device(place.folder)
    device.world.published["1.0.0"] = Release()
    device.start()
    device.until(lambda: device.server.heartbeats)
    prepare(device)
    device.run_for(2 * 3600)
    problem = device.status()["server"]["problem"] or ""
    calls = len(device.server.heartbeats)
    assert device.world.installs == []
    device.kill()
    assert calls >= 1
    return f"{problem}\n{place.caplog.text}"


def answered(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> ServerError:
    """What the client makes of one answer to a heartbeat."""
    from tests.unit.pi_hook.test_client import HEARTBEAT, IDENTITY  # noqa: PLC0415  # its own fixtures stay its own

    server = Scripted()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    server.reply = (status, headers or {}, body if isinstance(body, bytes) else json.dumps(body).encode())
    try:
        HttpServer(f"http://127.0.0.1:{server.server_address[1]}", timeout=5).heartbeat(IDENTITY, HEARTBEAT)
    except ServerError as error:
        return error
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    raise AssertionError("the answer was taken")


GOOD: dict[str, Any] = {
    "server_time": "2026-03-29T01:30:00Z", "next_heartbeat_seconds": 300, "channel": "stable",
    "offer": {"update_id": "u", "name": "sample", "version": "1.1.0", "urgency": "urgent",
              "granted_at": "2026-03-29T01:30:00Z"},
}  # fmt: skip


def changed(**offer: Any) -> dict[str, Any]:
    return {**GOOD, "offer": {**GOOD["offer"], **offer}}


@answers("no JSON, or more than 64 kB")
def _(_place: Place) -> str:
    answered(b"x" * 70_000)
    error = answered(b"<html>captive portal</html>")
    assert not isinstance(error, RefusedError), "it may pass"
    return str(error)


@answers("a field that matters is missing or of another type")
def _(_place: Place) -> str:
    answered({**GOOD, "server_time": None})
    answered({**GOOD, "next_heartbeat_seconds": "soon"})
    answered({**GOOD, "timezone": ["Europe/Berlin"]})
    return str(answered(changed(update_id="")))


@answers("a time without an offset")
def _(_place: Place) -> str:
    return str(answered({**GOOD, "server_time": "2026-03-29T01:30:00"}))


@answers("an urgency that does not exist")
def _(_place: Place) -> str:
    return str(answered(changed(urgency="at once")))


@answers("a version that is none")
def _(_place: Place) -> str:
    answered(changed(version="1.0.0\nPin: x"))
    return str(answered(changed(version="../../etc")))


@answers("both an offer and a withhold")
def _(_place: Place) -> str:
    return str(answered({**GOOD, "withheld": {"update_id": "u", "version": "1.1.0", "reason": "PAUSED"}}))


@answers("an offer of another assistant")
def _(place: Place) -> str:
    def prepare(device: Device) -> None:
        device.server.offer("1.0.0", "urgent", name="other-assistant")

    return asked(place, prepare)


@answers("an offer on a channel that the file keeps the device from")
def _(place: Place) -> str:
    def prepare(device: Device) -> None:
        device.kill()
        device.settings = replace(device.settings, may_set=frozenset())
        device.start()
        device.server.channel = "beta"
        device.server.offer("1.0.0", "urgent")

    return asked(place, prepare)


@answers("400, 404, 409, 422: refused as it is")
def _(place: Place) -> str:
    def prepare(device: Device) -> None:
        device.server.refusal = 422

    return asked(place, prepare)


@answers("401, 403: not welcome")
def _(place: Place) -> str:
    def prepare(device: Device) -> None:
        device.server.refusal = 403

    said = asked(place, prepare)
    device = Device(place.folder)
    device.server.refusal = 401
    device.start()
    calls = device.server.calls
    device.run_for(4000)
    assert device.server.calls - calls == 4, "asked once an hour: with a heartbeat, and whether it may come back"
    device.kill()
    return said


@answers("410: retired")
def _(place: Place) -> str:
    def prepare(device: Device) -> None:
        device.server.refusal = 410

    said = asked(place, prepare)
    device = Device(place.folder)
    device.world.apt = None
    device.server.refusal = 410
    device.start()
    device.run_for(60)
    calls = device.server.calls
    device.run_for(100_000)
    assert device.server.calls == calls, "never asked again"
    assert device.world.apt is None, "its repository is gone too"
    device.kill()
    return said


@answers("429, 503 with `Retry-After`")
def _(_place: Place) -> str:
    error = answered({"error": {"kind": "unavailable", "message": "busy, come back later"}}, 503, {"Retry-After": "90"})
    assert error.retry_after == 90
    huge = answered({}, 429, {"Retry-After": "99999999"})
    assert huge.retry_after == 86_400, "at most a day"
    dated = answered({}, 429, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"})
    assert dated.retry_after is None, "a date needs a true clock"
    return str(error)


@answers("fewer statuses acknowledged than were sent")
def _(place: Place) -> str:
    def prepare(device: Device) -> None:
        device.server.offer("1.0.0", "scheduled")
        device.server.report = lambda identity, batch: 0  # type: ignore[method-assign]

    device = Device(place.folder)
    device.world.published["1.0.0"] = Release()
    prepare(device)
    device.start()
    device.run_for(3600)
    problem = str(device.status()["server"]["problem"])
    assert device.status()["server"]["unsent"] > 0, "they are kept and sent again"
    device.kill()
    return problem


@answers("nobody answers, or TLS does not hold")
def _(_place: Place) -> str:
    from tests.unit.pi_hook.test_client import HEARTBEAT, IDENTITY  # noqa: PLC0415

    try:
        HttpServer("https://127.0.0.1:9", timeout=5).heartbeat(IDENTITY, HEARTBEAT)
    except ServerError as error:
        return str(error)
    raise AssertionError


@answers("407 from a proxy")
def _(_place: Place) -> str:
    error = answered({}, 407)
    assert not isinstance(error, RefusedError)
    return str(error)


@answers("a server's time before what was proven")
def _(place: Place) -> str:
    device = Device(place.folder)
    device.clock.synchronised = False
    device.start()
    device.until(lambda: device.server.heartbeats)
    assert device.daemon is not None
    device.daemon.clock.proven(START)
    device.clock.synchronised = True
    device.clock.wall = START.replace(year=2001)
    assert device.daemon.clock.read().wall >= START, "the clock is not believed; the server's last word goes on"
    device.kill()
    return "nothing"


@answers("an interval out of reason, or fields of a newer server")
def _(_place: Place) -> str:
    from pi_hook.wire import HeartbeatAnswer  # noqa: PLC0415

    answer = HeartbeatAnswer.parse({**GOOD, "next_heartbeat_seconds": 10**9, "mood": "fine"})
    assert answer.next_heartbeat_seconds == 86_400
    return "nothing"
