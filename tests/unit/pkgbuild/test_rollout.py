"""``[rollout]`` of a release: checked before anything is built, and announced as the server takes it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from pkgbuild.control import Release, Urgency
from pkgbuild.errors import PkgbuildError
from pkgbuild.release import _update
from repo_server import wire
from repo_server.waves import FailureLimit, Wave
from tests.unit.pkgbuild.test_payload import GOOD, read

ROLLOUT = """
[rollout]
waves = [{ group = "canary", dwell_seconds = 86400 }, { percent = 5, dwell_seconds = 3600 }, { percent = 100 }]
failure_limit = { percent = 2.5, minimum = 5 }
paused = true
"""


def announced(tmp_path: Path, text: str) -> wire.Announcement:
    file = read(tmp_path, text).file
    update = _update(Release(file=file, version="1.0.0", urgency=Urgency.SCHEDULED, notes="x"), "stable", [])
    package = {"package": "assistant", "version": "1.0.0", "debian": "trixie", "architecture": "amd64", "size": 1}
    update["packages"] = [{**package, "sha256": "0" * 64}]
    return wire.Announcement.model_validate_json(json.dumps(update))


def test_the_server_takes_it_as_it_was_meant(tmp_path: Path) -> None:
    rollout = announced(tmp_path, GOOD + ROLLOUT).rollout
    assert rollout is not None
    assert rollout.plan() == (
        Wave(group="canary", dwell=timedelta(days=1)),
        Wave(percent=5, dwell=timedelta(hours=1)),
        Wave(percent=100),
    )
    assert rollout.limit() == FailureLimit(percent=2.5, minimum=5)
    assert rollout.paused is True


def test_what_is_left_out_is_left_to_the_server(tmp_path: Path) -> None:
    assert announced(tmp_path, GOOD).rollout is None
    rollout = announced(tmp_path, GOOD + "[rollout]\npaused = true\n").rollout
    assert rollout is not None
    assert rollout.model_fields_set == {"paused"}


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("waves = []", "'rollout.waves'"),
        ("waves = [{ percent = 5 }]", "the last of the waves must be"),
        ("waves = [{ percent = 101 }]", "'rollout.waves.0.percent'"),
        ('waves = [{ percent = 5, group = "x" }, { percent = 100 }]', "write either percent or group"),
        ("failure_limit = { percent = -1 }", "'rollout.failure_limit.percent'"),
        ("wave = []", "unknown key 'rollout.wave': did you mean 'waves'?"),
    ],
)
def test_a_slip_is_seen_before_anything_is_built(tmp_path: Path, wrong: str, says: str) -> None:
    with pytest.raises(PkgbuildError, match=says.replace("?", r"\?")):
        read(tmp_path, f"{GOOD}[rollout]\n{wrong}\n")
