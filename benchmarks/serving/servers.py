"""The three servers, each a process of its own on loopback."""

from __future__ import annotations

import contextlib
import http.client
import os
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from demo.ports import free_port
from demo.shell import PROJECT, end, run

GOOSEBIT = "goosebit==0.2.12"
START_SECONDS = 60.0
HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Server:
    """One that answers."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def worker(self) -> int:
        """gunicorn's one worker process."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return int(children[0])

    def peak_memory(self) -> float:
        """MB (of 1,000,000 bytes) that the worker has held at most, with what it shares."""
        status = Path(f"/proc/{self.worker}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
        return round(int(line.split()[1]) * 1024 / 1e6, 1)


@contextlib.contextmanager
def ours(state: Path, **settings: str) -> Iterator[Server]:
    """`repo-server serve` with its own settings, and these."""
    port = free_port()
    command = [sys.executable, "-m", "repo_server", "serve", "--state", str(state), "--host", "127.0.0.1"]
    environ = {f"REPO_SERVER_{name.upper()}": value for name, value in settings.items()}
    with _running([*command, "--port", str(port)], port, "/readyz", state / "server.log", environ=environ) as server:
        yield server


@contextlib.contextmanager
def bare(folder: Path) -> Iterator[Server]:
    """The bare endpoint under the very settings of gunicorn that ours has."""
    port = free_port()
    environ = {"REPO_SERVER_STATE_DIR": str(folder), "REPO_SERVER_HOST": "127.0.0.1", "REPO_SERVER_PORT": str(port)}
    command = [sys.executable, "-m", "gunicorn", "--config", "python:repo_server.gunicorn_conf"]
    with _running([*command, "benchmarks.serving.bare:app"], port, "/", folder / "bare.log", environ=environ) as server:
        yield server


@contextlib.contextmanager
def goosebit(folder: Path, devices: int) -> Iterator[Server]:
    """gooseBit as its own start does it, in an environment of its own, on SQLite, with so many devices."""
    home = PROJECT / "build" / "bench" / GOOSEBIT.replace("==", "-")
    python = home / "bin" / "python"
    if not (home / "installed").exists():
        venv.create(home, clear=True, with_pip=True)
        run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", GOOSEBIT])
        (home / "installed").touch()
    environ = {"GOOSEBIT_DB_URI": f"sqlite://{folder / 'goosebit.db'}", "GOOSEBIT_ARTIFACTS_DIR": str(folder / "files")}
    run([python, HERE / "goosebit_devices.py", str(devices)], cwd=folder, env=environ)
    port = free_port()
    command = [str(python), "-m", "uvicorn", "goosebit:app", "--host", "127.0.0.1", "--port", str(port)]
    log = folder / "goosebit.log"
    with _running([*command, "--log-level", "warning"], port, "/login", log, environ=environ, cwd=folder) as server:
        yield server


@contextlib.contextmanager
def _running(
    command: list[str],
    port: int,
    path: str,
    log: Path,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path = PROJECT,
) -> Iterator[Server]:
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **(environ or {})}, stdout=stream, stderr=stream
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port, path):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{command[2]} did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield Server(port, process)
    finally:
        end(process, 40)


def _answers(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status > 0
    except OSError:
        return False
    finally:
        connection.close()
