"""An example of each endpoint: what a server with one device and one update answered to a request that was made.

The story is asked of the application itself, on a database of its own, with a clock that stands.
"""

from __future__ import annotations

import base64
import hashlib
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docs.reference.asking import DEVICE, Example, Story
from repo_server import openapi
from repo_server.app import create_app
from repo_server.config import Settings
from repo_server.context import KEY
from repo_server.roles import Role


@dataclass(frozen=True, slots=True)
class Played:
    """What the application said of itself and answered."""

    openapi: dict[str, Any]
    examples: dict[tuple[str, str], Example]
    """By method and path."""
    metrics: str
    addresses: frozenset[str]
    """All of the application, those of people's pages too, as OpenAPI writes them."""


def play() -> Played:
    """Ask the whole story."""
    with tempfile.TemporaryDirectory(prefix="docs-reference-") as name:
        folder = Path(name)
        release = folder / "public" / "trixie" / "dists" / "stable" / "InRelease"
        release.parent.mkdir(parents=True)
        release.write_text("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: pi-ota\nSuite: stable\n")
        _publish_keys(folder / "public" / "trixie", folder)
        made: list[Story] = []
        settings = Settings(state_dir=folder / "state", repository_dir=folder / "public")
        app = create_app(settings, lambda: made[0].now)
        made.append(Story(app, app.extensions[KEY].db))
        try:
            _tell(made[0])
            addresses = frozenset(openapi.path_of(rule) for rule in app.url_map.iter_rules())
            return Played(openapi.document(app), made[0].shown, made[0].metrics, addresses)
        finally:
            made[0].db.close()


def _publish_keys(root: Path, folder: Path) -> None:
    """The package with the fleet's keys, and the list that names it."""
    tree = folder / "tree"
    keyring = tree / "usr/share/keyrings/pi-ota-archive-keyring.gpg"
    keyring.parent.mkdir(parents=True)
    keyring.write_bytes(b"keys")
    fields = "Package: pi-ota-keyring\nVersion: 1\n"
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN").chmod(0o755)  # dpkg-deb wants it so, whatever the umask is
    about = "Architecture: all\nMaintainer: you <you@example.org>\nDescription: keys\n"
    (tree / "DEBIAN/control").write_text(fields + about)
    deb = root / "pool/main/p/pi-ota-keyring/pi-ota-keyring_1_all.deb"
    deb.parent.mkdir(parents=True)
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", str(tree), str(deb)], check=True, capture_output=True)
    index = root / "dists/stable/main/binary-arm64/Packages"
    index.parent.mkdir(parents=True)
    index.write_text(f"{fields}Filename: {deb.relative_to(root)}\n")


def _tell(story: Story) -> None:
    viewer, operator = story.key(Role.VIEWER), story.key(Role.OPERATOR)
    builder, admin = story.key(Role.BUILDER), story.key(Role.ADMIN)
    _credentials(story, admin)
    device = _registered(story, admin)
    _announced(story, builder)
    _installed(story, device)
    _looked_at(story, viewer)
    _steered(story, operator)
    _served(story, device, viewer)
    _session(story, viewer)
    _retired(story, operator)


def _credentials(story: Story, admin: Mapping[str, str]) -> None:
    asked = {"name": "lobby", "role": "viewer", "expires_at": "2026-06-10T00:00:00Z"}
    story.ids["key_id"] = story.ask("POST", "/api/v1/api-keys/", admin, asked).get_json()["id"]
    story.ask("DELETE", "/api/v1/api-keys/{key_id}", admin)
    story.ask("GET", "/api/v1/api-keys/", admin, query="?limit=1")


def _registered(story: Story, admin: Mapping[str, str]) -> dict[str, str]:
    """A device comes; the header of its token."""
    token = "the-device-s-own-token"  # noqa: S105 - of an example
    asked = {"name": "attic", "uses": 10, "group": "attic", "approval": True}
    made = story.ask("POST", "/api/v1/enrollment-tokens/", admin, asked).get_json()
    story.ids["token_id"] = made["id"]
    body = {
        "id": DEVICE,
        "token_sha256": hashlib.sha256(token.encode()).hexdigest(),
        "hostname": "kitchen",
        "timezone": "Europe/Berlin",
        "assistant": "sample-assistant",
        "agent_version": "0.1.0",
        "debian": "trixie",
        "architecture": "arm64",
        "model": "Raspberry Pi 4 Model B Rev 1.4",
    }
    story.ask("POST", "/api/v1/devices/", {"Authorization": f"Bearer {made['secret']}"}, body)
    story.ask("POST", "/api/v1/devices/{device_id}/approve", admin)
    story.ask("GET", "/api/v1/enrollment-tokens/", admin)
    story.ask("DELETE", "/api/v1/enrollment-tokens/{token_id}", admin)
    return {"Authorization": f"Bearer {token}"}


def _announced(story: Story, builder: Mapping[str, str]) -> None:
    packages = [
        {
            "package": name,
            "version": "1.1.0",
            "debian": "trixie",
            "architecture": "arm64",
            "size": 2048,
            "sha256": hashlib.sha256(name.encode()).hexdigest(),
        }
        for name in ("sample-assistant", "sample-assistant-app-1.1.0")
    ]
    release = {
        "name": "sample-assistant",
        "version": "1.1.0",
        "channel": "stable",
        "urgency": "urgent",
        "notes": "Answers faster",
        "packages": packages,
        "rollout": {"waves": [{"group": "attic", "dwell_seconds": 86400}, {"percent": 100}]},
    }
    story.ids["update_id"] = story.ask("POST", "/api/v1/updates/", builder, release).get_json()["id"]
    story.ids["name"] = "sample-assistant"


def _installed(story: Story, device: Mapping[str, str]) -> None:
    def heartbeat(version: str) -> dict[str, Any]:
        return {
            "boot_id": "7a3f1c55-6f0c-4f3e-9f2c-0d8f3f1f0a01",
            "sent_at": "2026-03-10T12:00:00Z",
            "clock_synchronised": True,
            "uptime_seconds": 86400,
            "agent_version": "0.1.0",
            "timezone": "Europe/Berlin",
            "assistant": {"name": "sample-assistant", "installed": version, "active": version},
            "idle_seconds": 300,
            "gate": {"decision": "defer", "reason": "RECENT_ACTIVITY", "retry_at": "2026-03-10T13:00:00Z"},
        }

    path = "/api/v1/devices/{device_id}/heartbeat"
    story.ask("POST", path, device, heartbeat("1.0.0"))
    words = (
        "refreshed",
        "downloading",
        "downloaded",
        "installing",
        "activating",
        "restarting",
        "verifying",
        "succeeded",
    )
    reported = [
        {"sequence": number, "status": word, "at": "2026-03-10T13:00:00Z", "version": "1.1.0"}
        for number, word in enumerate(words, 7)
    ]
    status = "/api/v1/devices/{device_id}/updates/{update_id}/status"
    story.ask("POST", status, device, {"statuses": reported[:1]})
    story.ask("POST", "/api/v1/updates/{update_id}/devices/{device_id}/expedite", story.key(Role.OPERATOR))
    story.ask("POST", status, device, {"statuses": reported[1:]})
    story.ask("POST", path, device, heartbeat("1.1.0"))


def _looked_at(story: Story, viewer: Mapping[str, str]) -> None:
    story.ask("GET", "/api/v1/devices/", viewer, query="?channel=stable&presence=online")
    story.ask("GET", "/api/v1/devices/{device_id}", viewer)
    story.ask("GET", "/api/v1/devices/{device_id}/heartbeats", viewer, query="?limit=1")
    story.ask("GET", "/api/v1/updates/", viewer, query="?name=sample-assistant")
    story.ask("GET", "/api/v1/updates/{update_id}", viewer)
    story.ask("GET", "/api/v1/updates/{update_id}/plan", viewer)
    story.ask("GET", "/api/v1/updates/{update_id}/devices", viewer)
    story.ask("GET", "/api/v1/updates/{update_id}/devices/{device_id}/events", viewer, query="?limit=2")
    story.ask("GET", "/api/v1/fleet", viewer)
    story.ask("GET", "/api/v1/fleet/history", viewer, query="?since=2026-03-01T00:00:00Z")
    story.ask("GET", "/api/v1/releases/{name}", story.key(Role.BUILDER))
    told = 'id: 41.7\nevent: device_update\ndata: {"device_id": "…", "update_id": "…", "status": "downloading", …}'
    story.ask("GET", "/api/v1/events", viewer, as_shown=told).close()


def _steered(story: Story, operator: Mapping[str, str]) -> None:
    story.ask("PATCH", "/api/v1/devices/{device_id}", operator, {"name": "Kitchen", "timezone": "Asia/Kolkata"})
    waves = {"rollout": {"failure_limit": {"percent": 2, "minimum": 5}}}
    story.ask("PATCH", "/api/v1/updates/{update_id}", operator, waves)
    for verb in ("pause", "resume", "halt"):
        story.ask("POST", f"/api/v1/updates/{{update_id}}/{verb}", operator)
    story.ask("POST", "/api/v1/updates/{update_id}/resume", operator)
    story.ask("POST", "/api/v1/updates/{update_id}/expedite", operator)
    story.ask("POST", "/api/v1/updates/{update_id}/withdraw", operator)
    story.ask("GET", "/api/v1/audit", story.key(Role.ADMIN), query="?action=device.change")


def _served(story: Story, device: Mapping[str, str], viewer: Mapping[str, str]) -> None:
    token = device["Authorization"].removeprefix("Bearer ")
    basic = base64.b64encode(f"{DEVICE}:{token}".encode()).decode()
    story.ids["name"] = "trixie/dists/stable/InRelease"
    story.ask("GET", "/repo/{name}", {"Authorization": f"Basic {basic}"})
    story.ask("GET", "/onboarding/pi.sh", {})
    story.ask("GET", "/onboarding/archive-keyring.gpg", {}, as_shown="…")
    figures = [
        'repo_server_requests_total{method="GET",route="/api/v1/fleet",status="200"} 12.0',
        'repo_server_devices{presence="online"} 1.0',
        "…",
    ]
    story.metrics = story.ask("GET", "/metrics", viewer, as_shown="\n".join(figures)).get_data(as_text=True)
    story.ask("GET", "/", {}, as_shown='{"service": "pi-ota repo-server", "version": "…", "api": "/api/v1/"}')
    story.ask("GET", "/healthz", {})
    story.ask("GET", "/readyz", {})
    story.ask("GET", "/api/v1/openapi.json", {}, as_shown='{"openapi": "3.1.0", …}')


def _session(story: Story, viewer: Mapping[str, str]) -> None:
    begun = story.ask("POST", "/api/v1/session", viewer)
    cookie = begun.headers["Set-Cookie"].partition(";")[0]
    story.ask("GET", "/api/v1/session", {"Cookie": cookie})
    story.ask("DELETE", "/api/v1/session", {"Cookie": cookie, "X-CSRF-Token": begun.get_json()["csrf_token"]})


def _retired(story: Story, operator: Mapping[str, str]) -> None:
    story.ask("POST", "/api/v1/devices/{device_id}/rotate-token", operator)
    device = {"Authorization": "Bearer the-device-s-own-token"}
    following = {"token_sha256": hashlib.sha256(b"the next token").hexdigest()}
    story.ask("POST", "/api/v1/devices/{device_id}/token", device, following)
    story.ask("GET", "/api/v1/devices/{device_id}/export", operator)
    story.ask("DELETE", "/api/v1/devices/{device_id}/reenrollment", operator)
    story.ask("DELETE", "/api/v1/devices/{device_id}/data", operator)
    story.ask("DELETE", "/api/v1/devices/{device_id}", operator, query="?erase=true")
