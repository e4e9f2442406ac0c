from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from debian.changelog import Changelog
from debian.copyright import Copyright
from debian.deb822 import Deb822

from pkgbuild import control, payload, running
from pkgbuild.control import About, Release, Urgency
from pkgbuild.errors import EXIT_CODES, Kind, PkgbuildError
from pkgbuild.targets import Target
from tests.support.aptly import ROOT

TARGET = Target("trixie", "arm64")
ABOUT = About("assistant", "A <a@b.example>", None, "MIT")


@pytest.fixture
def release() -> Release:
    file = payload.read(ROOT / "examples/sample_assistant").file
    return Release(file=file, version="1.1.0~rc1", urgency=Urgency.URGENT, notes="Speaks more clearly")


def test_service_package_pulls_exactly_its_layers(release: Release) -> None:
    fields = control.service_fields(release, TARGET, "0123456789ab")
    text = control.control(fields, About.of(release.file), 12)
    found = Deb822(text)
    depends = [part.strip() for part in found["Depends"].split(",")]
    assert depends[:2] == [
        "sample-assistant-app-1.1.0+trc1 (= 1.1.0~rc1)",
        "sample-assistant-deps-0123456789ab",
    ]
    assert found["Update-Urgency"] == "urgent"
    assert found["Update-Notes"] == "Speaks more clearly"
    assert found["Upgrade-Requires"] == "app-restart"
    assert "Update-Minimum-Agent" not in found
    assert all(line.startswith(" ") for line in found["Description"].splitlines()[1:])
    assert fields.file_name == "sample-assistant_1.1.0~rc1_arm64.deb"


def test_minimum_agent_travels_where_asked_for(release: Release) -> None:
    asking = Release(
        file=release.file.model_copy(update={"minimum_agent": "0.2"}),
        version="1",
        urgency=Urgency.SCHEDULED,
        notes="x",
    )
    assert control.service_fields(asking, TARGET, None).more["Update-Minimum-Agent"] == "0.2"


def test_release_json_is_the_documented_one(release: Release) -> None:
    text = (ROOT / "docs/INTERFACES.md").read_text().split("`release.json`:\n\n```json\n")[1].split("```")[0]
    documented = json.loads(text)
    ours = running.release_json(release, TARGET, "0123456789ab")
    assert set(ours) == set(documented)
    for key in ("target", "health", "hooks"):
        assert set(ours[key]) == set(documented[key])
    assert json.loads(json.dumps(ours)) == ours
    assert running.release_json(release, TARGET, None)["deps"] is None


def test_launcher_is_plain_shell_and_quotes_what_it_is_given(tmp_path: Path, release: Release) -> None:
    nasty = {"QUOTES": 'it\'s "$HOME" `id`\n2'}
    service = release.file.run.model_copy(update={"environment": nasty, "arguments": ("a b", "$x")})
    file = release.file.model_copy(update={"service": service})
    text = running.launcher(Release(file, "1.0", Urgency.SCHEDULED, "x"), TARGET)
    text = text.replace("/usr/bin/python3.13", "/usr/bin/python3")
    run = tmp_path / "run"
    run.write_text(text)
    program = "import os, sys; print(repr((os.environ['QUOTES'], os.environ['PI_OTA_RELEASE'], sys.argv[1:])))"
    done = subprocess.run(["sh", run, "--python", "-c", program, "y z"], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == repr((nasty["QUOTES"], "1.0", ["y z"]))
    assert "-m sample_assistant 'a b' '$x' \"$@\"" in text


def test_unit_never_names_the_version_and_escapes_percent(release: Release) -> None:
    file = release.file.model_copy(update={"summary": "100% yours"})
    text = running.unit(file)
    assert "ExecStart=/var/lib/sample-assistant/current/run\n" in text
    assert "Description=100%% yours\n" in text
    assert release.version not in text
    assert "@" not in text.replace("sample-assistant@", "")


def test_unit_is_accepted_by_systemd(tmp_path: Path, release: Release) -> None:
    unit = tmp_path / "sample-assistant.service"
    unit.write_text(running.unit(release.file).replace("/var/lib/sample-assistant/current/run", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], check=False, capture_output=True, text=True, timeout=60
    )
    assert "sample-assistant.service:" not in done.stderr, done.stderr
    assert done.returncode == 0


def test_groups_become_sysusers_lines(release: Release) -> None:
    service = release.file.run.model_copy(update={"groups": ("audio", "gpio")})
    text = running.sysusers(release.file.model_copy(update={"service": service}))
    assert text.splitlines()[1:] == ["m sample-assistant audio", "m sample-assistant gpio"]


def test_changelog_and_copyright_are_read_by_debians_own_parsers(release: Release) -> None:
    fields = control.service_fields(release, TARGET, None)
    entry = Changelog(control.changelog(fields, release.file.maintainer, [release.notes], 0), strict=True)
    assert (entry.package, str(entry.version)) == ("sample-assistant", "1.1.0~rc1")
    assert entry.date == "Thu, 01 Jan 1970 00:00:00 +0000"
    for third_party in ([], [("numpy 2", "BSD")]):
        text = control.copyright_file(ABOUT, third_party)
        assert Copyright(text.splitlines(keepends=True), strict=True).header["Upstream-Name"] == "assistant"


@pytest.mark.parametrize(
    ("summary", "synopsis"),
    [
        ("An assistant.", "assistant"),
        ("the voice of a house", "voice of a house"),
        ("another one", "another one"),
        ("A .", "A ."),
    ],
)
def test_descriptions_are_as_debian_has_them(release: Release, summary: str, synopsis: str) -> None:
    long = f"{'word ' * 40}\n\n  and more  "
    file = release.file.model_copy(update={"summary": summary, "description": long})
    fields = control.service_fields(Release(file, "1.0", Urgency.URGENT, "x"), TARGET, None)
    first, *rest = Deb822(control.control(fields, About.of(file), 1))["Description"].splitlines()
    assert first == synopsis
    assert max(map(len, rest)) <= 80
    assert rest[-2:] == [" .", " and more"]


@pytest.mark.parametrize("notes", ["", " \n ", "x" * 501, "bell\a"])
def test_notes_that_do_not_fit_are_refused(notes: str) -> None:
    with pytest.raises(PkgbuildError, match="The notes") as caught:
        control.one_line(notes)
    assert caught.value.kind is Kind.BAD_INPUT


def test_notes_of_several_lines_become_one() -> None:
    assert control.one_line("First\n  second\tthird ") == "First second third"


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    assert set(EXIT_CODES) == set(Kind)
    assert len(set(EXIT_CODES.values())) == len(Kind)
    assert all(1 < code < 126 for code in EXIT_CODES.values())
