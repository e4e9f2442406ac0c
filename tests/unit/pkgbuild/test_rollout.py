"""``[rollout]`` of a release: checked before anything is built, and announced as the server takes it."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from pkgbuild.control import Release, Urgency
from pkgbuild.errors import PkgbuildError
from pkgbuild.release import _update
from pkgbuild.rollout import FIELD, of_field
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


def test_it_travels_in_the_package_for_when_it_is_promoted(tmp_path: Path) -> None:
    for text in (
        ROLLOUT,
        "[rollout]\npaused = true\n",
        '[rollout]\nwaves = [{ group = "ä\\nb", dwell_seconds = 9 }, { percent = 100 }]\n',
    ):
        file = read(tmp_path, GOOD + text).file
        fields = Release(file=file, version="1.0.0", urgency=Urgency.SCHEDULED, notes="x").update_fields()
        assert fields[FIELD].isascii()
        assert fields[FIELD].isprintable()
        assert of_field(fields[FIELD]) == file.rollout
    file = read(tmp_path, GOOD).file
    assert FIELD not in Release(file=file, version="1.0.0", urgency=Urgency.SCHEDULED, notes="x").update_fields()
    assert of_field(None) is None


def test_a_field_of_somebody_else_is_a_sentence() -> None:
    with pytest.raises(PkgbuildError, match="Update-Rollout is not of this pkgbuild"):
        of_field('{"waves": "slowly"}')


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
