"""schemathesis with all its checks against the real server, as everyone who may ask: no 5xx, no undocumented answer.

`make test` runs a few cases of each endpoint, the same ones every time; `make fuzz-api` runs many.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.integration.repo_server.conftest import enrolled
from tests.support.fleet_bodies import announcement
from tests.support.server import RunningServer, running_server

FUZZ = int(os.environ.get("PI_OTA_FUZZ", "0"))
"""Cases for each endpoint in the long run."""
STREAM = "/api/v1/events"
"""Does not end for those who may watch; tests/integration/repo_server/test_restart.py reads it."""
SESSION = "/api/v1/session"
OF_A_DEVICE = r"^POST /api/v1/devices/\{device_id\}/(heartbeat|token|updates/.*)$"
SETTINGS = Path(__file__).with_name("schemathesis.toml")


@dataclass(frozen=True)
class Caller:
    """With what schemathesis asks, and which endpoints."""

    arguments: tuple[str, ...]
    cases: int
    phases: str = "coverage,fuzzing"
    keys: Mapping[str, str] = field(default_factory=dict)
    """By the name of the security scheme."""


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Failed attempts are not slowed down: schemathesis makes nothing else for a while."""
    folder = tmp_path_factory.mktemp("fuzzed")
    with running_server(folder, environ={"REPO_SERVER_FAILED_ATTEMPTS_PER_MINUTE": "0"}) as server:
        (server.repository / "file").write_text("content")
        yield server


def run(server: RunningServer, tmp_path: Path, caller: Caller, parameters: dict[str, str]) -> None:
    """Fails with schemathesis's own report where it has found anything."""
    settings = tmp_path / "schemathesis.toml"
    fixed = "".join(f'"path.{name}" = "{value}"\n' for name, value in parameters.items())
    keys = "".join(f'[auth.openapi.{scheme}]\napi_key = "{value}"\n' for scheme, value in caller.keys.items())
    settings.write_text((f"[parameters]\n{fixed}\n" if fixed else "") + keys + SETTINGS.read_text())
    tomllib.loads(settings.read_text())
    phases = "coverage,fuzzing,stateful" if FUZZ else caller.phases
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "run",
         f"{server.url}/api/v1/openapi.json", "--url", server.url, "--checks", "all", "--phases", phases,
         "--seed", "1", "--max-examples", str(FUZZ or caller.cases), "--no-color", "--warnings", "off",
         *caller.arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=3_600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "No failures" in done.stdout or "passed" in done.stdout, done.stdout
    assert server.process.poll() is None
    assert " 500 " not in server.stderr()


@pytest.mark.parametrize(("role", "cases"), [("viewer", 1), ("operator", 1), ("builder", 1), ("admin", 1)])
def test_a_key_of_each_role(fuzzed: RunningServer, tmp_path: Path, role: str, cases: int) -> None:
    phases = "coverage,fuzzing" if role == "admin" else "fuzzing"
    asks = ("--header", f"X-API-Key: {fuzzed.key(role)}", "--exclude-path", STREAM)
    run(fuzzed, tmp_path, Caller(asks, cases, phases), {})


def test_a_session(fuzzed: RunningServer, tmp_path: Path) -> None:
    signed_in = fuzzed.request("POST", SESSION, key=fuzzed.key("admin"))
    assert signed_in.status == 201
    cookie, token = signed_in.headers["Set-Cookie"].partition(";")[0], signed_in.json["csrf_token"]
    sent = {"Cookie": cookie, "X-CSRF-Token": token}
    keys = {"Session": cookie.partition("=")[2], "CsrfToken": token}
    left_out = ("--exclude-path", STREAM, "--exclude-name", f"DELETE {SESSION}")  # it would sign itself out
    before = fuzzed.stderr()
    run(fuzzed, tmp_path, Caller(left_out, 1, "fuzzing", keys), {})
    lines = fuzzed.stderr().removeprefix(before).splitlines()
    assert [line for line in lines if "POST /api/v1/api-keys/ 201 " in line and " who=key:test%20admin " in line]
    assert fuzzed.request("GET", SESSION, headers=sent).json == signed_in.json
    assert fuzzed.request("DELETE", SESSION, headers=sent).status == 204


def test_a_stranger(fuzzed: RunningServer, tmp_path: Path) -> None:
    run(fuzzed, tmp_path, Caller((), 1, "fuzzing"), {})


def test_a_device_at_its_own_addresses(fuzzed: RunningServer, tmp_path: Path) -> None:
    device = enrolled(fuzzed)
    update = fuzzed.request("POST", "/api/v1/updates/", body=announcement("7.0.0"), key=fuzzed.key("builder"))
    asks = ("--header", f"Authorization: Bearer {device.token}", "--include-name-regex", OF_A_DEVICE)
    run(fuzzed, tmp_path, Caller(asks, 10), {"device_id": device.id, "update_id": update.json["id"]})
    assert device.beat().status == 200


def test_a_device_at_the_repository(fuzzed: RunningServer, tmp_path: Path) -> None:
    device = enrolled(fuzzed)
    asks = ("--auth", f"{device.id}:{device.token}", "--include-path-regex", "^/repo/")
    run(fuzzed, tmp_path, Caller(asks, 10), {})


def test_an_enrollment_token(fuzzed: RunningServer, tmp_path: Path) -> None:
    asks = ("--header", f"Authorization: Bearer {fuzzed.secrets['enrollment_token']}", "--include-name",
            "POST /api/v1/devices/")  # fmt: skip
    run(fuzzed, tmp_path, Caller(asks, 20), {})
