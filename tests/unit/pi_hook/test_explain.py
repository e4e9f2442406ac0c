"""``pi-hook explain`` as a support person calls it: no daemon, no root, also ``python3 -m pi_hook`` in a checkout."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from pi_hook import cli
from pi_hook.explain import QuestionError, parse_duration

ROOT = Path(__file__).parents[3]
BASE = ["explain", "--json", "--timezone", "Europe/Berlin"]


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str | None]:
    assert cli.main([*BASE, *arguments]) == 0
    found: dict[str, str | None] = json.loads(capsys.readouterr().out)
    assert set(found) == {"decision", "reason", "retry_at"}
    return found


@pytest.mark.parametrize(
    ("question", "decision", "reason", "retry_at"),
    [
        ("--at 2026-03-29T01:30:00Z --idle 3h --urgency scheduled", "install", None, None),
        ("--at 2026-03-29T02:00:00Z --idle 3h", "defer", "OUTSIDE_WINDOW", "2026-03-30T00:00:00Z"),
        ("--at 2026-03-29T03:30:00+02:00 --idle 3h", "install", None, None),
        ("--at 2026-03-10T11:00:00Z --idle 20min --urgency urgent", "defer", "RECENT_ACTIVITY", "2026-03-10T11:40:00Z"),
        ("--at 2026-03-10T11:00:00Z --idle 20min --urgency urgent --waiting 2d", "install", None, None),
        ("--at 2026-03-10T11:00:00Z --idle 3h --urgency urgent --busy", "defer", "BUSY", None),
        ("--at 2026-03-10T11:00:00Z --idle 3h --urgency scheduled --clock-unsynced", "defer", "CLOCK_UNSYNCED", None),
        ("--at 2026-03-10T11:00:00Z --idle 3h --urgency urgent --withheld", "defer", "WITHHELD", None),
        ("--at 2026-03-10T11:00:00Z --idle 3h --urgency urgent --withheld --held", "defer", "HELD_BY_ADMIN", None),
        ("--at 2026-03-10T11:00:00Z --urgency urgent", "defer", "OUTSIDE_WINDOW", "2026-03-11T01:00:00Z"),
        ("--at 2026-03-10T11:00:00Z --idle unknown", "defer", "OUTSIDE_WINDOW", "2026-03-11T01:00:00Z"),
    ],
)
def test_questions_and_answers(
    capsys: pytest.CaptureFixture[str], question: str, decision: str, reason: str | None, retry_at: str | None
) -> None:
    assert answer(capsys, *question.split()) == {"decision": decision, "reason": reason, "retry_at": retry_at}


def test_a_settings_file_changes_the_rules_and_need_not_be_whole(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[window]\nstart = "12:00"\nend = "13:00"\n[device]\ntimezone = "Asia/Tokyo"\n')
    question = ["explain", "--json", "--at", "2026-03-10T03:30:00Z", "--idle", "1h", "--config", str(path)]
    assert cli.main(question) == 0
    assert json.loads(capsys.readouterr().out)["decision"] == "install"


def test_a_device_has_its_own_start(capsys: pytest.CaptureFixture[str]) -> None:
    question = ["--at", "2026-03-10T11:00:00Z", "--idle", "3h", "--device-id"]
    one = answer(capsys, *question, "0195E0C8-0000-7000-8000-000000000001")
    assert one == answer(capsys, *question, "0195e0c8-0000-7000-8000-000000000001"), "an id is the same in capitals"
    assert one["retry_at"] is not None
    assert "2026-03-11T01:00:00Z" < one["retry_at"] < "2026-03-11T02:00:00Z"


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("--idle 3", "write 90s, 10min, 3h or 8d"),
        ("--idle 3 hours", "3"),
        ("--waiting soon", "'soon' is not a duration"),
        ("--at yesterday", "2026-03-29T01:30:00Z"),
        ("--at 2026-03-29T01:30:00", "offset"),
        ("--at 0001-01-01T00:00:00Z", "1900"),
        ("--timezone Mars/Olympus", "Mars/Olympus"),
        ("--config /nonexistent.toml", "/nonexistent.toml"),
        ("--urgency soon", "soon"),
        ("--device-id kitchen", "is not a UUID"),
        ("--idle -3h", "--idle"),
    ],
)
def test_a_question_that_cannot_be_understood_says_how_to_ask(
    capsys: pytest.CaptureFixture[str], question: str, words: str
) -> None:
    try:
        status = cli.main([*BASE, *question.split(" ", 1)])
    except SystemExit as leaving:  # argparse's own
        status = int(leaving.code or 0)
    assert status != 0
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10min", 600), ("3h", 10_800), ("8d", 691_200), ("1h30min", 5400), ("0.5h", 1800)],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "h", "3", "-3h", "3 h", "3hx", "99999999999999d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(QuestionError):
        parse_duration(text)


def test_it_runs_from_a_checkout_with_the_standard_library_alone() -> None:
    """``-I -S``: no site-packages; what it loads would else be a dependency of the support tool."""
    command = [sys.executable, "-I", "-S", "-c"]
    program = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pi_hook.cli import main; "
        f"sys.exit(main(['explain', '--at', '2026-03-10T11:00:00Z', '--timezone', 'Etc/UTC', '--idle', '3h']))"
    )
    done = subprocess.run([*command, program], capture_output=True, text=True, timeout=60, check=True)
    assert "OUTSIDE_WINDOW" in done.stdout
    for python in {sys.executable, "/usr/bin/python3"}:
        module = [python, "-m", "pi_hook", "explain", "--at", "2026-03-29T01:30:00Z", "--timezone", "Europe/Berlin"]
        module += ["--idle", "3h", "--urgency", "scheduled", "--json"]
        done = subprocess.run(module, capture_output=True, text=True, timeout=60, check=True, cwd=ROOT)
        assert json.loads(done.stdout) == {"decision": "install", "reason": None, "retry_at": None}


def test_all_options_at_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """As the issue of the support tool spells them; each one alone is asked about above."""
    path = tmp_path / "rules.toml"
    path.write_text("[window]\nquiet_seconds = 60\n")
    question = (
        "--at 2026-03-29T01:30:00Z --idle 3h --urgency scheduled --waiting 8d --busy --clock-unsynced --withheld --held"
    )
    more = ["--device-id", "0195e0c8-0000-7000-8000-000000000001", "--config", str(path)]
    assert answer(capsys, *question.split(), *more)["reason"] == "HELD_BY_ADMIN"
    fewer = question.replace(" --held", "")
    for flag, reason in (("--withheld", "WITHHELD"), ("--clock-unsynced", "CLOCK_UNSYNCED"), ("--busy", "BUSY")):
        assert answer(capsys, *fewer.split(), *more)["reason"] == reason
        fewer = fewer.replace(f" {flag}", "")


def test_people_get_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "--timezone", "Europe/Berlin", "--at", "2026-03-10T11:00:00Z", "--idle", "3h"]) == 0
    assert capsys.readouterr().out == (
        "waiting: OUTSIDE_WINDOW, it is not this device's time of night (next try 2026-03-11T01:00:00Z)\n"
    )
