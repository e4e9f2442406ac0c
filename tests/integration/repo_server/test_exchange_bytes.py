"""What one heartbeat costs on the wire: the agent's own client and the real server, counted between them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from benchmarks.proxy import CountingProxy
from pi_hook import wire
from pi_hook.client import HttpServer
from pi_hook.identity import Identity
from pi_hook.policy import Decided
from pi_hook.reasons import Reason
from repo_server.ids import uuid7
from tests.support.fleet_bodies import announcement
from tests.support.server import RunningServer

LIMIT = 1000
"""Of an exchange of a device with nothing to do, which is nearly every one."""
LIMIT_AT_WORK = 1300
"""While there is an update, its id, version and times go both ways."""
NOW = datetime(2026, 3, 29, 1, 30, tzinfo=UTC)


def heartbeat(gate: wire.Gate, update: tuple[str, str] | None) -> wire.Heartbeat:
    """With long values where they vary."""
    return wire.Heartbeat(
        boot_id=str(uuid.uuid4()),
        sent_at=NOW,
        clock_synchronised=False,
        uptime_seconds=99_999_999,
        agent_version="0.10.10",
        timezone="America/Argentina/ComodRivadavia",
        assistant="sample-assistant",
        installed="1.10.10",
        active="1.10.10",
        idle_seconds=99_999_999,
        gate=gate,
        update=update,
    )


def test_a_heartbeat_fits_into_a_kilobyte(server: RunningServer) -> None:
    identity = Identity(uuid7(datetime.now(UTC)), "t" * 43)
    with CountingProxy(server.port) as proxy:
        client = HttpServer(f"http://127.0.0.1:{proxy.port}", agent_version="0.10.10")
        channel = f"c{identity.device_id[-11:]}"
        client.register(
            server.secrets["enrollment_token"],
            wire.Registration(identity.device_id, identity.token_sha256, "kitchen", "Etc/UTC", "sample-assistant",
                              channel, "0.10.10", "trixie", "arm64", None),
        )  # fmt: skip
        client.heartbeat(identity, heartbeat(wire.Gate(Decided.NOTHING), None))
        body = announcement(f"1.11.0+{channel}", channel=channel, urgency="scheduled")
        assert server.request("POST", "/api/v1/updates/", body=body, key=server.key("builder")).status == 201
        offered = client.heartbeat(identity, heartbeat(wire.Gate(Decided.NOTHING), None)).offer
        assert offered is not None
        waits = wire.Gate(Decided.DEFER, Reason.DEPENDENCY_BLOCKED, NOW)
        client.heartbeat(identity, heartbeat(waits, (offered.update_id, "downloading")))
        counted = [(exchange.asked, exchange.answered) for exchange in proxy.seen("/heartbeat")]
    assert len(counted) == 3
    assert all(asked > 300 and answered > 200 for asked, answered in counted), "both ways were counted"
    idle, *at_work = (asked + answered for asked, answered in counted)
    assert idle <= LIMIT, counted
    assert max(at_work) <= LIMIT_AT_WORK, counted
