"""aptly and the server on this machine, in a state folder of their own, with throwaway keys made there.

`make serve` runs it for people who try pi-ota out; the demo and the end-to-end tests run it too. In production
each part has a systemd unit and a user of its own instead.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demo.shell import PROJECT, CommandError, end, run

START_SECONDS = 60.0
DEFAULT_PORT = 8000


class StackError(RuntimeError):
    """A part did not start; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the server: status and decoded JSON."""

    status: int
    body: Any


class Stack:
    """The two services of one state folder; ``start`` and ``stop`` them, ``release`` to them, ask the server."""

    def __init__(
        self,
        state: Path,
        *,
        port: int = DEFAULT_PORT,
        heartbeat_seconds: int | None = None,
        repository: Path | None = None,
    ) -> None:
        """``state`` is made where it is missing; ``port`` is the server's, on loopback.

        With ``repository``, a tree that aptly has published, ``state`` is a copy of another stack's and nothing can be
        released: only the server runs.
        """
        self.state = state.resolve()
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self._heartbeat_seconds = heartbeat_seconds
        self._repository = repository
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def settings(self) -> Path:
        """The builder's settings, ``pkgbuild.toml``."""
        return self.state / "pkgbuild.toml"

    def secret(self, name: str) -> str:
        """A secret made at the first start: ``admin_key``, ``builder_key`` or ``enrollment_token``."""
        return (self.state / "secrets" / name).read_text(encoding="utf-8").strip()

    def start(self) -> None:
        """Make what is missing, start both services, return when both answer. Raises ``StackError``."""
        (self.state / "logs").mkdir(parents=True, exist_ok=True)
        if self._repository is None:
            self._initialise()
            self._spawn("aptly", [sys.executable, "-m", "pkgbuild", "aptly"])
        self.start_server()
        if self._repository is None:
            self._wait_for("aptly", self._aptly_answers)

    @property
    def published(self) -> Path:
        """The tree that aptly publishes."""
        return self._repository or self.state / "aptly" / "public"

    def stop(self) -> None:
        """End both services and the agents of their keys, each by its own pid, and wait for them."""
        for name in reversed(tuple(self._processes)):
            self._end(name)
        for home in (path for path in (self.state / "keys").glob("*") if path.is_dir()):
            with contextlib.suppress(CommandError):
                run(["gpgconf", "--homedir", home, "--kill", "gpg-agent"])

    def start_server(self) -> None:
        """Start the server alone, on its port, and return when it answers. Raises ``StackError``."""
        self._spawn("server", self._server_command())
        self._wait_for("server", self._server_answers)

    def stop_server(self) -> None:
        """End the server alone: for devices it is as if it had gone away."""
        self._end("server")

    @property
    def pids(self) -> Mapping[str, int]:
        """Process ids of what runs, for a person who wants to end it."""
        return {name: process.pid for name, process in self._processes.items()}

    def release(self, *words: str) -> Iterator[str]:
        """Run ``pkgbuild release WORDS`` and yield its lines as they come. Raises ``CommandError`` where it fails."""
        command = [sys.executable, "-m", "pkgbuild", "release", *words]
        lines = []
        with subprocess.Popen(
            command,
            cwd=PROJECT,
            env={**os.environ, "PKGBUILD_CONFIG": str(self.settings)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.rstrip())
                yield lines[-1]
        if process.returncode != 0:
            raise CommandError(f"pkgbuild release: exit status {process.returncode}\n" + "\n".join(lines[-10:]))

    def pkgbuild(self, *words: str) -> str:
        """Run another ``pkgbuild`` command with these settings and return what it prints."""
        return run([sys.executable, "-m", "pkgbuild", *words], cwd=PROJECT, env={"PKGBUILD_CONFIG": str(self.settings)})

    def get(self, path: str) -> Answer:
        """GET a path of the server with the admin key."""
        return self.request("GET", path, headers={"X-API-Key": self.secret("admin_key")})

    def operate(self, method: str, path: str, body: object | None = None) -> Answer:
        """Any other request with the admin key and a JSON body. Raises ``StackError`` where the server refuses it."""
        headers = {"X-API-Key": self.secret("admin_key"), "Content-Type": "application/json"}
        answer = self.request(method, path, None if body is None else json.dumps(body).encode(), headers)
        if answer.status >= 400:
            raise StackError(f"{method} {path}: {answer.status} {answer.body!r}")
        return answer

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Any request, without a key of its own; the answer's body is decoded where it is JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            data = response.read()
        is_json = response.headers.get_content_type() == "application/json"
        return Answer(response.status, json.loads(data) if is_json else data)

    def log(self, name: str) -> str:
        """All that a service (``aptly`` or ``server``) has logged."""
        return (self.state / "logs" / f"{name}.log").read_text(errors="replace")

    def _initialise(self) -> None:
        server = self.state / "server"
        secrets = self.state / "secrets"
        if not (server / "repo_server.db").exists():
            shutil.rmtree(secrets, ignore_errors=True)
            self._repo_server("init", "--state", server, "--write-keys", secrets)
            made = self._repo_server(
                "api-key", "create", "--state", server, "--role", "builder", "--name", "make release"
            )
            key_file = secrets / "builder_key"
            key_file.touch(mode=0o600)
            key_file.write_text(json.loads(made)["api_key"])
        key = secrets / "builder_key"
        words: list[str | Path] = ["--state", self.state, "--server-url", self.url, "--api-key-file", key]
        run([sys.executable, "-m", "pkgbuild", "init", *words], cwd=PROJECT)

    def _repo_server(self, *words: str | Path) -> str:
        return run([sys.executable, "-m", "repo_server", *words, "--json"], cwd=PROJECT)

    def _server_command(self) -> list[str]:
        steering = ["--heartbeat-seconds", str(self._heartbeat_seconds)] if self._heartbeat_seconds else []
        return [
            *(sys.executable, "-m", "repo_server", "serve"),
            *("--state", str(self.state / "server"), "--repository", str(self.published)),
            *("--host", "127.0.0.1", "--port", str(self.port), *steering),
        ]

    def _spawn(self, name: str, command: list[str]) -> None:
        with (self.state / "logs" / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=PROJECT,
                env={**os.environ, "PKGBUILD_CONFIG": str(self.settings)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes[name] = process

    def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            end(process, 20)

    def _wait_for(self, name: str, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not answers():
            ended = any(process.poll() is not None for process in self._processes.values())
            if ended or time.monotonic() > deadline:
                self.stop()
                tail = "\n".join(self.log(name).splitlines()[-15:])
                raise StackError(f"{name} did not start; the end of its log:\n{tail}")
            time.sleep(0.1)

    def _server_answers(self) -> bool:
        try:
            return self.request("GET", "/readyz").status == 200
        except OSError:
            return False

    def _aptly_answers(self) -> bool:
        try:
            self.pkgbuild("show")
        except CommandError:
            return False
        return True

    def __enter__(self) -> Stack:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()


def main() -> int:
    """`make serve`: run until Ctrl-C or SIGTERM, and say how to use it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):  # SIGINT may have come ignored, from a shell that put us aside
        signal.signal(number, signal.default_int_handler)
    try:
        with Stack(arguments.state, port=arguments.port) as stack:
            key = stack.secret("admin_key")
            print(f"server      {stack.url}")
            print(f'devices     curl -H "X-API-Key: {key}" {stack.url}/api/v1/devices/')
            print(f"enroll      token {stack.secret('enrollment_token')}")
            print("release     make release VERSION=1.0.0 NOTES=… URGENCY=scheduled SRC=examples/sample_assistant")
            print(f"logs        {stack.state / 'logs'}")
            print("Ctrl-C ends both services.", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except (StackError, CommandError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
