"""A real repo-server for tests: gunicorn on a free loopback port, on a database of its own."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.shell import end

ROOT = Path(__file__).resolve().parents[2]
_AS_SYSTEMD_DOES = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""
_LISTENING = re.compile(r"Listening at: http://127\.0\.0\.1:(\d+)")


@dataclass(frozen=True)
class Reply:
    """One HTTP answer."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def error(self) -> Any:
        """The error object's inside; fails where the answer is none."""
        body = self.json
        assert set(body) == {"error"}, body
        assert set(body["error"]) == {"kind", "message"}, body
        return body["error"]


@dataclass
class RunningServer:
    """A server that answers; ``stderr`` is what it has logged."""

    port: int
    state: Path
    repository: Path
    log: Path
    secrets: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def database(self) -> Path:
        return self.state / "repo_server.db"

    def workers(self) -> list[int]:
        """gunicorn's worker processes."""
        master = self.process.pid
        return [int(each) for each in Path(f"/proc/{master}/task/{master}/children").read_text().split()]

    def stderr(self) -> str:
        return self.log.read_text()

    def request(
        self,
        method: str,
        path: str,
        *,
        body: object | None = None,
        raw: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        key: str | None = None,
        token: str | None = None,
    ) -> Reply:
        """One request on a connection of its own. ``body`` is sent as JSON, ``raw`` as it is."""
        sent = dict(headers or {})
        if key is not None:
            sent["X-API-Key"] = key
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        if body is not None:
            raw = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            # The server may have answered before it has read everything, and closed.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, path, raw, sent)
            answer = connection.getresponse()
            return Reply(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def key(self, role: str) -> str:
        """A new API key of this role, made by the CLI while the server runs."""
        made = repo_server(
            "api-key", "create", "--state", self.state, "--role", role, "--name", f"test {role}", "--json"
        )
        return str(json.loads(made)["api_key"])


def repo_server(*arguments: object) -> str:
    """Run the CLI; returns what it prints. Raises ``CalledProcessError``."""
    done = subprocess.run(
        [sys.executable, "-m", "repo_server", *(str(argument) for argument in arguments)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


@contextmanager
def running_server(
    folder: Path,
    *,
    heartbeat_seconds: int = 300,
    repository: Path | None = None,
    listener: socket.socket | None = None,
    environ: Mapping[str, str] | None = None,
    port: int = 0,
    threads: int = 4,
) -> Iterator[RunningServer]:
    """Initialise a state folder under ``folder`` (unless it is there), serve it, and stop it by SIGTERM at the end.

    ``listener``: a socket that is handed over as systemd does, and that stays open. ``environ`` is added to the
    server's environment. ``port`` 0 takes a free one.
    """
    state, log = folder / "state", folder / "stderr.log"
    repository = repository or folder / "public"
    repository.mkdir(parents=True, exist_ok=True)
    secrets_file = folder / "secrets.json"
    if not state.exists():
        secrets_file.write_text(repo_server("init", "--state", state, "--json"))
    secrets = json.loads(secrets_file.read_text()) if secrets_file.exists() else {}
    command = [sys.executable, "-m", "repo_server", "serve", "--state", str(state), "--repository", str(repository)]
    command += ["--host", "127.0.0.1", "--port", str(port), "--threads", str(threads)]
    command += ["--heartbeat-seconds", str(heartbeat_seconds)]
    handed = () if listener is None else (listener.fileno(),)
    if listener is not None:
        command = [sys.executable, "-c", _AS_SYSTEMD_DOES, str(listener.fileno()), *command]
    environment = {**os.environ, "TZ": "UTC", **(environ or {})}
    with log.open("wb") as stream:
        process = subprocess.Popen(command, cwd=ROOT, stderr=stream, stdout=stream, env=environment, pass_fds=handed)
    try:
        server = RunningServer(_wait_for_port(process, log), state, repository, log, secrets, process)
        _wait_until_ready(server)
        yield server
    finally:
        end(process, 40)


def _wait_for_port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = _LISTENING.search(log.read_text())
        if found:
            return int(found[1])
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise AssertionError(f"the server did not start:\n{log.read_text()}")


def _wait_until_ready(server: RunningServer) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if server.request("GET", "/readyz").status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the server does not answer:\n{server.stderr()}")
