"""What happens, told in the order in which it was committed: to each watcher all of it, or that it has missed some."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo_server import events
from repo_server.errors import UnavailableError
from repo_server.events import Bus, Event
from repo_server.silence import Silence
from tests.support.fleet_bodies import DEVICE, status
from tests.unit.repo_server.conftest import Service


@dataclass(frozen=True)
class Told:
    """One event as a browser reads it."""

    id: str
    kind: str
    data: object


def parse(text: bytes) -> list[Told]:
    found = []
    for block in text.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append(Told(fields["id"], fields["event"], json.loads(fields["data"])))
    return found


def new(*numbers: int) -> list[Event]:
    return [Event("thing", {"number": number}) for number in numbers]


def told(stream: Iterator[bytes], texts: int) -> list[Told]:
    """What the next texts of a stream tell."""
    return [event for text in islice(stream, texts) for event in parse(text)]


def numbers(events: list[Told]) -> list[int | str]:
    return [event.data["number"] if event.kind == "thing" else event.kind for event in events]  # type: ignore[index]


@pytest.fixture
def bus() -> Bus:
    return Bus(2, ring=5, keep_alive_seconds=0.0)


def test_a_watcher_hears_what_happens_from_now_on(bus: Bus) -> None:
    bus.publish(new(1))
    stream = iter(bus.watch(None))
    assert next(stream) == b"retry: 3000\n\n"
    bus.publish(new(2, 3))
    assert numbers(told(stream, 1)) == [2, 3]
    assert next(stream) == b": nothing new\n\n"


def test_one_that_comes_back_hears_what_it_has_missed(bus: Bus) -> None:
    stream = iter(bus.watch(None))
    next(stream)
    bus.publish(new(1, 2, 3))
    last = told(stream, 1)[0].id
    again = iter(bus.watch(last))
    assert numbers(told(again, 2)) == [2, 3]


@pytest.mark.parametrize("last", ["other-1", "", "x", "-", "{life}-x", "{life}-99", "{life}--1", "{life}-" + "9" * 30])
def test_one_that_knows_nothing_of_this_server_looks_anew(bus: Bus, last: str) -> None:
    bus.publish(new(1))
    stream = iter(bus.watch(last.replace("{life}", bus._life)))
    assert numbers(told(stream, 2)) == ["reset"]
    bus.publish(new(2))
    assert numbers(told(stream, 1)) == [2]


def test_one_that_is_slower_than_the_ring_looks_anew_and_holds_up_nobody(bus: Bus) -> None:
    slow = iter(bus.watch(None))
    next(slow)
    for number in range(6):
        bus.publish(new(number))
    assert numbers(told(slow, 1)) == ["reset"]
    bus.publish(new(6))
    assert numbers(told(slow, 1)) == [6]


@given(st.lists(st.integers(min_value=0, max_value=4), max_size=30), st.lists(st.booleans(), max_size=60))
def test_nothing_is_missed_without_a_word(bursts: list[int], reads: list[bool]) -> None:
    """Whatever comes in whatever bursts, read whenever: every number in order, or a reset where some are left out."""
    bus = Bus(1, ring=5, keep_alive_seconds=0.0)
    stream = iter(bus.watch(None))
    next(stream)
    heard: list[int | str] = []
    published = 0
    for index in range(max(len(bursts), len(reads))):
        burst = bursts[index] if index < len(bursts) else 0
        bus.publish(new(*range(published, published + burst)))
        published += burst
        if index < len(reads) and reads[index]:
            heard += numbers(told(stream, 1))
    heard += numbers(told(stream, 1))
    expected = 0
    for one in heard:
        if one == "reset":
            expected = -1
            continue
        assert expected in {-1, one}
        expected = int(one) + 1
    assert expected in {-1, published}


def test_more_than_may_are_turned_away_until_one_leaves(bus: Bus) -> None:
    first, _ = bus.watch(None), bus.watch(None)
    with pytest.raises(UnavailableError, match="try again later") as refused:
        bus.watch(None)
    assert refused.value.headers == {"Retry-After": "10"}
    first.close()
    first.close()
    assert bus.watching == 1
    bus.watch(None).close()


def test_all_end_at_once_when_the_server_stops() -> None:
    bus = Bus(2, keep_alive_seconds=600)
    waiting = threading.Event()

    def watch() -> list[bytes]:
        stream = iter(bus.watch(None))
        found = [next(stream)]
        waiting.set()
        return found + list(stream)

    with ThreadPoolExecutor(1) as pool:
        watcher = pool.submit(watch)
        assert waiting.wait(30)
        bus.close()
        assert watcher.result(30) == [b"retry: 3000\n\n"]
    with pytest.raises(UnavailableError):
        bus.watch(None)


def test_one_that_may_not_watch_any_more_is_left(bus: Bus) -> None:
    allowed = [True, False]
    stream = iter(bus.watch(None, lambda: allowed.pop(0)))
    assert list(stream) == [b"retry: 3000\n\n", b": nothing new\n\n"]


def test_one_that_may_not_watch_any_more_is_left_also_where_something_happens_all_the_time() -> None:
    now, allowed, heard = 0.0, True, list[int | str]()
    bus = Bus(1, keep_alive_seconds=15.0, clock=lambda: now)
    stream = iter(bus.watch(None, lambda: allowed))
    next(stream)
    for number in range(10):
        now, allowed = now + 4.0, number < 5
        bus.publish(new(number))
        heard += numbers(told(stream, 1))
    assert heard == [0, 1, 2, 3, 4, 5, 6]  # looked at after 16 and 32 seconds


def watch(service: Service) -> events.Stream:
    bus: Bus = service.app.extensions[events.KEY]
    bus._keep_alive_seconds = 0.0
    return bus.watch(None)


def test_changes_are_told_once_they_are_committed(service: Service) -> None:
    stream = iter(watch(service))
    next(stream)
    service.register()
    update = service.announce("1.1.0")
    service.beat("1.0.0")
    service.report(update, status(1, "deferred", "1.1.0", reason="BUSY"), status(1, "deferred", "1.1.0"))
    operator = service.key("operator")
    service.request("PATCH", f"/api/v1/devices/{DEVICE}", {"name": "Kitchen"}, key=operator)
    service.request("POST", f"/api/v1/updates/{update}/halt", key=operator)
    service.request("POST", f"/api/v1/updates/{update}/halt", key=operator)
    service.request("DELETE", f"/api/v1/devices/{DEVICE}", key=operator)
    heard = told(stream, 1)
    assert [event.kind for event in heard] == [
        "device.register", "update.announce", "device.online", "device_update", "device_update", "device.change",
        "update.halted",
        "device.decommission",
    ]  # fmt: skip
    at = "2026-03-29T01:30:00Z"
    device_updates = [event.data for event in heard if event.kind == "device_update"]
    of_both = {"device_id": DEVICE, "update_id": update, "at": at}
    assert device_updates == [
        {**of_both, "status": "granted", "reason": None},
        {**of_both, "status": "deferred", "reason": "BUSY"},
    ]
    assert heard[0].data == {"id": DEVICE, "at": at}
    assert "Kitchen" not in str(heard)


def kinds(stream: Iterator[bytes]) -> list[str]:
    return [event.kind for event in told(stream, 1)]


def test_a_device_that_falls_silent_and_comes_back(service: Service) -> None:
    stream = iter(watch(service))
    next(stream)
    silence = Silence(service.db, service.app.extensions[events.KEY], lambda: service.now)
    service.register()
    service.beat("1.0.0")
    assert kinds(stream) == ["device.register", "device.online"]
    service.now += timedelta(minutes=5)
    silence.look()
    service.beat("1.0.0")
    assert kinds(stream) == []
    service.now += timedelta(minutes=16)
    silence.look()
    late = told(stream, 1)
    assert [(event.kind, event.data) for event in late] == [
        ("device.late", {"id": DEVICE, "at": "2026-03-29T01:50:01Z"})
    ]
    silence.look()
    service.now += timedelta(minutes=1)
    silence.look()
    assert kinds(stream) == []
    service.beat("1.0.0")
    assert kinds(stream) == ["device.online"]
    service.now += timedelta(days=2)
    silence.look()
    assert kinds(stream) == ["device.late", "device.lost"]
    service.now -= timedelta(days=1)  # a clock that is set back makes nobody late
    silence.look()
    assert kinds(stream) == []


def test_an_outage_is_told_as_one_thing_and_to_nobody_where_nobody_watches(service: Service) -> None:
    bus: Bus = service.app.extensions[events.KEY]
    silence = Silence(service.db, bus, lambda: service.now)
    for number in range(300):
        service.register(id=f"0195e0c8-0000-7000-8000-{number:012x}", token=f"token{number}")
    service.now += timedelta(days=2)
    published = bus._published
    silence.look()
    assert bus._published == published
    service.now -= timedelta(days=2)
    silence = Silence(service.db, bus, lambda: service.now - timedelta(seconds=1))
    stream = iter(watch(service))
    next(stream)
    silence._clock = lambda: service.now + timedelta(days=2)
    silence.look()
    assert kinds(stream) == ["reset"]


def test_what_is_refused_is_not_told(service: Service) -> None:
    stream = iter(watch(service))
    next(stream)
    service.request("PATCH", f"/api/v1/devices/{DEVICE}", {"name": "x"}, key=service.key("operator"))
    service.request("POST", "/api/v1/devices/", {}, token=service.enrollment_token())
    assert told(stream, 1) == []


def test_the_stream_over_http(service: Service) -> None:
    key = service.key("viewer")
    head = service.request("HEAD", "/api/v1/events", key=key)
    assert (head.status_code, head.mimetype) == (200, "text/event-stream")
    bus: Bus = service.app.extensions[events.KEY]
    assert bus.watching == 0
    answer = service.request("GET", "/api/v1/events", key=key)
    assert (answer.status_code, answer.headers["X-Accel-Buffering"]) == (200, "no")
    assert answer.headers["Cache-Control"] == "no-store"
    assert bus.watching == 1
    service.register()
    stream = iter(answer.response)
    next(stream)
    assert [event.kind for event in parse(next(stream))] == ["device.register"]  # type: ignore[arg-type]
    answer.close()
    assert bus.watching == 0


def test_a_key_that_is_revoked_stops_watching(service: Service) -> None:
    key = service.key("viewer")
    bus: Bus = service.app.extensions[events.KEY]
    bus._keep_alive_seconds = 0.0
    answer = service.request("GET", "/api/v1/events", key=key)
    stream = iter(answer.response)
    assert [next(stream), next(stream)] == [b"retry: 3000\n\n", b": nothing new\n\n"]
    service.revoke(key)
    assert b"thing" not in b"".join(stream)  # type: ignore[arg-type]
    answer.close()
