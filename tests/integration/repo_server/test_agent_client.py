"""The device agent's own client against the real server: the two never share code, only the page they follow."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest

from pi_hook import wire
from pi_hook.client import HttpServer
from pi_hook.errors import RefusedError
from pi_hook.identity import Identity
from pi_hook.policy import Decided
from pi_hook.reasons import Reason
from repo_server.ids import uuid7
from tests.support.fleet_bodies import BOOT, announcement
from tests.support.server import RunningServer

NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


@pytest.fixture
def identity() -> Identity:
    return Identity(uuid7(datetime.now(UTC)), uuid.uuid4().hex)


def registration(identity: Identity) -> wire.Registration:
    return wire.Registration(
        id=identity.device_id,
        token_sha256=identity.token_sha256,
        hostname="kitchen",
        timezone="Europe/Berlin",
        assistant="sample-assistant",
        channel=f"channel-{identity.device_id}",
        agent_version="0.1.0",
        debian="trixie",
        architecture="arm64",
        model="Raspberry Pi 4 Model B Rev 1.4",
    )


def heartbeat(update: str | None = None) -> wire.Heartbeat:
    return wire.Heartbeat(
        boot_id=BOOT,
        sent_at=NOW,
        clock_synchronised=True,
        uptime_seconds=60,
        agent_version="0.1.0",
        timezone="Europe/Berlin",
        assistant="sample-assistant",
        installed="1.0.0",
        active="1.0.0",
        idle_seconds=None,
        gate=wire.Gate(Decided.DEFER, Reason.RECENT_ACTIVITY, NOW),
        update=(update, "deferred") if update else None,
    )


def test_the_agent_registers_beats_is_offered_an_update_and_reports(server: RunningServer, identity: Identity) -> None:
    client = HttpServer(server.url)
    registered = client.register(server.secrets["enrollment_token"], registration(identity))
    assert (registered.id, registered.state) == (identity.device_id, "active")
    assert client.heartbeat(identity, heartbeat()).offer is None

    version = f"1.1.0+{identity.device_id}"
    body = announcement(version, channel=f"channel-{identity.device_id}", urgency="urgent")
    assert server.request("POST", "/api/v1/updates/", body=body, key=server.key("builder")).status == 201
    answer = client.heartbeat(identity, heartbeat())
    assert answer.offer is not None
    assert (answer.offer.version, answer.offer.urgency, answer.withheld) == (version, "urgent", None)

    update = answer.offer.update_id
    long_log = "ü\n" * (wire.MOST_LOG_TAIL // 2)
    batch = [
        wire.Status(update, 1, "deferred", NOW, version, str(Reason.RECENT_ACTIVITY), NOW),
        wire.Status(update, 2, "rolled_back", NOW, version, detail="exited with status 1", log_tail=long_log),
    ]
    assert client.report(identity, batch) == 2
    assert client.heartbeat(identity, heartbeat(update)).withheld == wire.Withheld(update, version, "FAILED_HERE")


def test_the_agent_is_told_to_stop_when_it_was_decommissioned(server: RunningServer, identity: Identity) -> None:
    client = HttpServer(server.url)
    client.register(server.secrets["enrollment_token"], registration(identity))
    server.request("DELETE", f"/api/v1/devices/{identity.device_id}", key=server.secrets["admin_key"])
    with pytest.raises(RefusedError) as refused:
        client.heartbeat(identity, heartbeat())
    assert (refused.value.status, refused.value.means_stop) == (410, True)
