"""The sample assistant itself: it talks, its health check tells releases apart, and it can be made to crash."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from demo.ports import free_port
from pkgbuild import wheels
from pkgbuild.targets import Target
from tests.support.aptly import SAMPLE

pytestmark = pytest.mark.network


@pytest.fixture(scope="module")
def import_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    deps = tmp_path_factory.mktemp("deps")
    wheels.install(SAMPLE / "locks/trixie-amd64.txt", Target("trixie", "amd64"), deps)
    return f"{SAMPLE}:{deps}"


def environment(import_path: str, port: int, **more: str) -> dict[str, str]:
    own = {"PYTHONPATH": import_path, "SAMPLE_ASSISTANT_PORT": str(port), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **own, **more}


@contextmanager
def assistant(import_path: str, port: int) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sample_assistant"],
        env=environment(import_path, port, PI_OTA_RELEASE="1.1.0"),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert "1.1.0 listens" in process.stdout.readline()
        yield
    finally:
        process.terminate()
        assert process.wait(10) == 0
        if process.stdout:
            process.stdout.close()


def check(import_path: str, port: int, release: str) -> subprocess.CompletedProcess[str]:
    env = environment(import_path, port, PI_OTA_RELEASE=release)
    words = [sys.executable, "-m", "sample_assistant.check"]
    return subprocess.run(words, env=env, check=False, capture_output=True, text=True, timeout=30)


def test_talks_and_is_healthy_only_as_the_release_it_is(import_path: str) -> None:
    port = free_port()
    assert check(import_path, port, "1.1.0").returncode == 1
    with assistant(import_path, port):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as line, line.makefile() as answers:
            line.sendall("grüezi\n".encode())
            answer = json.loads(answers.readline())
        assert (answer["version"], answer["heard"], answer["columns"]) == ("1.1.0", "grüezi", 6)
        assert check(import_path, port, "1.1.0").returncode == 0
        wrong = check(import_path, port, "1.0.0")
        assert wrong.returncode == 1
        assert "1.1.0 is running instead of 1.0.0" in wrong.stderr


def test_crashes_at_start_with_a_traceback_when_told_to(import_path: str) -> None:
    text = (SAMPLE / "release.toml").read_text()
    assert 'SAMPLE_ASSISTANT_CRASH = "0"' in text, "the switch that a crashing variant flips"
    done = subprocess.run(
        [sys.executable, "-m", "sample_assistant"],
        env=environment(import_path, free_port(), SAMPLE_ASSISTANT_CRASH="1"),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "SAMPLE_ASSISTANT_CRASH is set" in done.stderr


def test_every_lock_of_the_sample_is_there_for_the_default_targets() -> None:
    assert {path.name for path in Path(SAMPLE / "locks").iterdir()} >= {"trixie-amd64.txt", "trixie-arm64.txt"}
