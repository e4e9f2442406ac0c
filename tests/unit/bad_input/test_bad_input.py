"""docs/BAD_INPUT.md, row by row: each is given to the agent, and what it says is what the page says.

A row without a case fails, a case without a row fails, and a setting without a row fails.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from pi_hook.settings_keys import KEYS
from tests.unit.bad_input import from_files, from_messages, from_outside, from_settings
from tests.unit.bad_input.table import Cases, Place, Row, rows
from tests.unit.pi_hook_hands.conftest import Programs, SmallRoot

SETTINGS = "Settings, one by one"
SECTIONS: dict[str, Cases] = {
    "Settings files": from_settings.files,
    "The file on the SD card": from_settings.card,
    "Time zones": from_settings.zones,
    "The control socket": from_messages.sockets,
    "The server's answers": from_messages.answers,
    "The repository": from_outside.repository,
    "Keys and signatures": from_outside.keys,
    "Files of the steps": from_files.steps,
    "What the agent remembers": from_files.memory,
    "Releases on the device": from_files.releases,
    "Sources of activity": from_outside.sources,
}
ROWS = list(rows())


@pytest.fixture
def place(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> Place:
    caplog.set_level("INFO")
    folder, programs = tmp_path / "place", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return Place(folder, SmallRoot(tmp_path / "root"), Programs(programs), monkeypatch, caplog, capsys)


def setting_of(row: Row) -> tuple[str, str]:
    """``window.start = "2 AM"`` as the setting's name and TOML text."""
    name, _, value = row.given.strip("`").partition(" = ")
    return name, value


@pytest.mark.parametrize("row", [row for row in ROWS if row.section == SETTINGS], ids=lambda row: row.given)
def test_a_setting_that_cannot_be_used(row: Row, place: Place) -> None:
    name, value = setting_of(row)
    table, _, key = name.rpartition(".")
    text = f"[{table}]\n{key} = {value}\n"
    tomllib.loads(text)
    said = from_settings.refused(place, text)
    assert row.matches(said), said


@pytest.mark.parametrize("row", [row for row in ROWS if row.section != SETTINGS], ids=lambda row: row.given)
def test_a_row_of_the_page(row: Row, place: Place) -> None:
    case = SECTIONS[row.section].get(row.given)
    assert case is not None, f"{row.section}: no case shows {row.given!r}"
    said = case(place)
    assert row.matches(said), said


def test_every_case_has_its_row() -> None:
    written = {(row.section, row.given) for row in ROWS}
    assert len(written) == len(ROWS), "a row is there twice"
    for section, cases in SECTIONS.items():
        assert {given for given in cases if (section, given) not in written} == set(), section


def test_every_setting_has_a_row() -> None:
    assert {setting_of(row)[0] for row in ROWS if row.section == SETTINGS} == set(KEYS)


def test_every_row_says_what_is_done() -> None:
    assert [row.given for row in ROWS if len(row.does) < 8 or not row.says] == []
