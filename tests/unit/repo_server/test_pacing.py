"""How often devices are told to come, and what they hear when too many come."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from repo_server.app import create_app
from repo_server.config import Settings
from repo_server.context import KEY, Context
from repo_server.pace import Pace, spread
from repo_server.pool import CountingPool
from tests.support.fleet_bodies import DEVICE, OTHER_DEVICE, TOKEN, heartbeat
from tests.unit.repo_server.conftest import Service

SECONDS = st.integers(1, 86_400)


@given(SECONDS, SECONDS, st.integers(1, 100_000), st.integers(0, 10_000_000))
def test_the_interval_is_as_short_as_the_fleet_allows(seconds: int, most: int, per_second: int, devices: int) -> None:
    interval = Pace(seconds, most, per_second).interval(devices)
    assert seconds <= interval <= max(seconds, most)
    if interval < max(seconds, most):
        assert devices / interval <= per_second
    if interval > seconds:
        assert devices / (interval - 1) > per_second


@given(SECONDS, st.floats(0, 1, exclude_max=True))
def test_spreading_stays_around_the_interval(interval: int, fraction: float) -> None:
    assert max(1, interval // 2) <= spread(interval, fraction) <= interval * 1.5 + 1


def test_a_crowd_is_spread_evenly() -> None:
    told = sorted(spread(300, number / 1000) for number in range(1000))
    assert (told[0], told[500], told[-1]) == (150, 300, 450)


def again(service: Service) -> tuple[Flask, Context]:
    """The same database, served anew at the same clock."""
    app = create_app(service.settings, lambda: service.now)
    return app, app.extensions[KEY]


def test_the_fleet_sets_the_pace(tmp_path: Path, service: Service) -> None:
    settings = Settings(state_dir=service.settings.state_dir, heartbeats_per_second=1, heartbeat_seconds=1)
    for device in (DEVICE, OTHER_DEVICE, DEVICE.replace("d1", "d3")):
        service.register(id=device, token=device)
    app = create_app(settings, lambda: service.now)
    here: Context = app.extensions[KEY]
    try:
        assert here.pacer.next_seconds(service.now) == 3
        service.request("DELETE", f"/api/v1/devices/{DEVICE}", key=service.key("operator"))
        here.pacer.look(here.db.connection())
        assert here.pacer.next_seconds(service.now) == 2
    finally:
        here.db.close()


@pytest.mark.parametrize(("outage", "spread_out"), [(20, False), (149, False), (151, True), (86_400, True)])
def test_after_an_outage_of_its_own_the_server_spreads_the_devices(
    service: Service, outage: int, spread_out: bool
) -> None:
    service.register()
    service.beat()
    service.now += timedelta(seconds=outage)
    _, here = again(service)
    try:
        told = {here.pacer.next_seconds(service.now) for _ in range(100)}
        assert (len(told) > 20) is spread_out
        assert all(150 <= each <= 450 for each in told)
        service.now += timedelta(seconds=600)
        assert {here.pacer.next_seconds(service.now) for _ in range(100)} == {300}
    finally:
        here.db.close()


def test_a_crowd_is_told_to_come_later_and_statuses_are_not(service: Service) -> None:
    service.register()
    update = service.announce()
    waiting = [0]
    app = create_app(service.settings, lambda: service.now, lambda: waiting[0])
    here: Context = app.extensions[KEY]
    path, headers = f"/api/v1/devices/{DEVICE}", {"Authorization": f"Bearer {TOKEN}"}
    try:
        client = app.test_client()
        assert client.post(f"{path}/heartbeat", json=heartbeat(), headers=headers).status_code == 200
        waiting[0] = service.settings.most_waiting + 1
        answers = [client.post(f"{path}/heartbeat", json=heartbeat(), headers=headers) for _ in range(20)]
        assert {answer.status_code for answer in answers} == {503}
        retries = {int(answer.headers["Retry-After"]) for answer in answers}
        assert len(retries) > 5
        assert all(75 <= each <= 225 for each in retries)
        body = {"statuses": [{"sequence": 1, "status": "refreshed", "at": "2026-03-29T01:30:00Z", "version": "1.1.0"}]}
        assert client.post(f"{path}/updates/{update}/status", json=body, headers=headers).status_code == 200
    finally:
        here.db.close()


def test_the_pool_knows_what_waits() -> None:
    pool, go, begun = CountingPool(1), threading.Event(), threading.Event()

    def hold() -> int:
        begun.set()
        assert go.wait(30)
        return pool.waiting

    first = pool.submit(hold)
    assert begun.wait(30)
    others = [pool.submit(lambda: pool.waiting) for _ in range(3)]
    assert pool.waiting == 3
    go.set()
    assert first.result(30) == 3
    assert [other.result(30) for other in others] == [2, 1, 0]
    pool.shutdown()
