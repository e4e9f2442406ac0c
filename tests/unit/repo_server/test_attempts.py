"""Wrong credentials are slowed down, right ones never."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo_server.attempts import Attempts, address
from repo_server.config import Settings
from tests.support.fleet_bodies import DEVICE, TOKEN, heartbeat, registration
from tests.unit.repo_server.conftest import Service, serving

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
FLEET = "/api/v1/fleet"
BEAT = f"/api/v1/devices/{DEVICE}/heartbeat"
LIMIT = 5


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(Settings(state_dir=tmp_path / "state", failed_attempts_per_minute=LIMIT)) as one:
        yield one


def guess(service: Service, number: int, **more: Any) -> Any:
    return service.request("GET", FLEET, key=f"pik_guess_{number}", **more)


def from_address(one: str) -> dict[str, Any]:
    return {"environ_base": {"REMOTE_ADDR": one}}


def test_an_address_that_guesses_hears_when_to_come_back(service: Service) -> None:
    assert [guess(service, n).status_code for n in range(LIMIT)] == [401] * LIMIT
    answer = guess(service, LIMIT)
    assert (answer.status_code, answer.get_json()["error"]["kind"]) == (429, "too_many_requests")
    assert answer.headers["Retry-After"] == "12"  # five a minute
    assert "try again in 12 s" in answer.get_json()["error"]["message"]
    service.now += timedelta(seconds=11)
    assert guess(service, LIMIT).status_code == 429
    service.now += timedelta(seconds=1)
    assert [guess(service, n).status_code for n in range(2)] == [401, 429]


def test_a_stranger_behind_the_same_address_locks_nobody_out(service: Service) -> None:
    service.register()
    key, token = service.key("viewer"), service.enrollment_token()
    while guess(service, 0).status_code != 429:
        pass
    assert service.request("GET", FLEET, key=key).status_code == 200
    assert service.request("POST", BEAT, heartbeat(), token=TOKEN).status_code == 200
    assert service.request("POST", "/api/v1/devices/", registration(), token=token).status_code == 200
    assert service.request("GET", "/repo/trixie/x", auth=(DEVICE, TOKEN)).status_code == 404


@pytest.mark.parametrize("who", ["device", "key", "token"])
def test_one_identity_is_not_tried_from_many_addresses_either(service: Service, who: str) -> None:
    service.register()
    statuses = []
    for number in range(LIMIT + 1):
        there = from_address(f"192.0.2.{number}")
        if who == "device":
            statuses.append(service.request("POST", BEAT, heartbeat(), token=f"guess {number}", **there).status_code)
        elif who == "key":
            statuses.append(guess(service, 0, **there).status_code)
        else:
            statuses.append(service.request("POST", "/api/v1/devices/", {}, token="pie_guess", **there).status_code)
    assert statuses == [401] * LIMIT + [429]
    # The device itself, from wherever.
    assert service.request("POST", BEAT, heartbeat(), token=TOKEN, **from_address("192.0.2.1")).status_code == 200
    # Somebody else's mistake, from elsewhere.
    assert guess(service, 1, **from_address("198.51.100.1")).status_code == 401


def test_who_shows_nothing_is_told_so_any_number_of_times(service: Service) -> None:
    """It is no attempt: a page that is opened before somebody has given a key, a monitor."""
    assert {service.request("GET", FLEET).status_code for _ in range(3 * LIMIT)} == {401}


def test_a_forwarded_address_is_believed_from_named_proxies_only(tmp_path: Path) -> None:
    for trusted, last in (((), 429), (("127.0.0.1",), 401)):
        settings = Settings(state_dir=tmp_path / str(last), failed_attempts_per_minute=LIMIT, trusted_proxies=trusted)
        with serving(settings) as service:
            statuses = [
                guess(service, n, headers={"X-Forwarded-For": f"203.0.113.{n}"}).status_code for n in range(LIMIT + 1)
            ]
        assert statuses == [401] * LIMIT + [last]


def test_no_limit_where_the_settings_say_so(tmp_path: Path) -> None:
    with serving(Settings(state_dir=tmp_path / "state", failed_attempts_per_minute=0)) as service:
        assert {guess(service, n).status_code for n in range(100)} == {401}


def test_the_memory_is_bounded_and_forgets_the_longest_unseen() -> None:
    attempts = Attempts(1, most=3)
    assert attempts.failed(["busy"], NOW) is None
    for number in range(10):
        attempts.failed([f"other {number}"], NOW)
        assert attempts.failed(["busy"], NOW) == 60.0
    assert len(attempts) == 3
    for number in range(3):
        attempts.failed([f"another {number}"], NOW)
    assert attempts.failed(["busy"], NOW) is None


def test_long_names_take_no_more_room_than_short_ones() -> None:
    attempts = Attempts(1)
    attempts.failed(["device " + "x" * 100_000], NOW)
    assert max(len(name) for name in attempts._buckets) == 100


@given(st.lists(st.integers(-120, 300), max_size=80), st.integers(1, 20))
def test_never_more_are_let_through_than_the_rate_allows(steps: list[int], per_minute: int) -> None:
    """``steps``: seconds from one attempt to the next; the clock may be set back."""
    attempts, now, passed, let_through = Attempts(per_minute), NOW, 0, 0
    for step in steps:
        now += timedelta(seconds=step)
        passed += max(0, step)
        wait = attempts.failed(["one"], now)
        let_through += wait is None
        assert wait is None or 0 < wait <= 60 / per_minute
        assert let_through <= per_minute + passed * per_minute / 60 + 1e-6


@pytest.mark.parametrize(
    ("remote", "name"),
    [
        ("192.0.2.7", "192.0.2.7"), ("::ffff:192.0.2.7", "192.0.2.7"), (None, "unix"), ("", "unix"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("2001:db8:1:2::9", "2001:db8:1:2::/64"), ("odd", "odd"),
    ],
)  # fmt: skip
def test_a_home_is_one_address(remote: str | None, name: str) -> None:
    assert address(remote) == name
