"""Lines, table and JSON of `make check-debian`, and what it takes for wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.debian_package import living, looking
from tests.debian_package.findings import Outcome
from tests.debian_package.report import Report, Row, StepFailedError, table
from tests.support import traces


def test_steps_as_lines_and_as_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    report = Report()
    report.add("bookworm", "lintian", [], "0 errors, 0 warnings")
    report.add("trixie", "purge", ["left behind or changed: /etc/pi-hook"], "as before")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "bookworm  lintian                ok      0 errors, 0 warnings"
    assert lines[1].split() == ["trixie", "purge", "FAILED", "as", "before"]
    assert lines[2].strip() == "left behind or changed: /etc/pi-hook"
    assert report.failed == 1
    report.write(tmp_path / "build/rows.json")
    rows = json.loads((tmp_path / "build/rows.json").read_text())
    assert [(row["suite"], row["step"], row["result"]) for row in rows] == [
        ("bookworm", "lintian", "ok"),
        ("trixie", "purge", "FAILED"),
    ]


def test_a_step_that_cannot_be_done_fails_and_ends_its_suite(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    with pytest.raises(StepFailedError), report.step("trixie", "build"):
        raise RuntimeError("dpkg-buildpackage ended with 2")
    assert report.failed == 1
    assert "dpkg-buildpackage ended with 2" in capsys.readouterr().out
    with report.step("trixie", "clone") as words:
        words.append("of what is committed")
    assert (report.rows[-1].result, report.rows[-1].words) == ("ok", "of what is committed")


def test_the_table_has_a_column_for_each_suite() -> None:
    rows = [
        Row("bookworm", "build", (), "", 7.25),
        Row("bookworm", "lintian", ("W: x",), "", 3.0),
        Row("trixie", "build", (), "", 12.5),
    ]
    assert [line.split() for line in table(rows).splitlines()] == [
        ["bookworm", "trixie"],
        ["build", "ok", "7.2", "s", "ok", "12.5", "s"],
        ["lintian", "FAILED", "3.0", "s", "not", "run"],
    ]


def test_a_test_that_was_skipped_has_shown_nothing(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output/daemon-stderr").write_text("it does not start\n")
    assert looking.judged(Outcome("smoke", "PASS", "(superficial)"), tmp_path) == ([], "passed (superficial)")
    for result in ("SKIP", "FAIL", "FLAKY"):
        wrong, _ = looking.judged(Outcome("daemon", result, "why"), tmp_path)
        assert wrong == [f"{result} why", "it does not start"]


def test_a_daemon_that_did_anything_else_is_named() -> None:
    assert any(sentence.startswith("purged: not seen") for sentence in living.judged({}))
    seen = {"started": "failed", "nobody thought of": "this"}
    wrong = list(living.judged(seen))
    assert "started: failed, and not active" in wrong
    assert "nobody thought of: this, which nobody expects" in wrong


def test_traces_are_files_links_and_new_folders(tmp_path: Path) -> None:
    lower, upper = tmp_path / "lower", tmp_path / "upper"
    for folder in (lower / "etc", upper / "etc/pi-hook", upper / "var/log"):
        folder.mkdir(parents=True)
    (upper / "etc/file").write_text("words")
    (upper / "etc/link").symlink_to("file")
    (upper / "var/log/file").write_text("what any package writes")
    before = traces.state(upper, (lower,))
    assert before.keys() == {"etc/file", "etc/link", "etc/pi-hook", "var"}
    assert traces.state(upper).keys() == {"etc/file", "etc/link"}, "without the layers no folder is known to be new"
    (upper / "etc/file").write_text("others")
    (upper / "etc/link").unlink()
    (upper / "etc/more").write_text("")
    assert traces.changed(before, traces.state(upper, (lower,))) == ["etc/file", "etc/link", "etc/more"]
