"""Every command, option and setting stands in its man page, in the completion, and in the example of settings.

Read off the parser and the settings' keys, so whoever adds one has to describe it.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pi_hook import cli, config
from pi_hook.config import Settings
from pi_hook.settings_keys import KEYS

DEBIAN = Path(__file__).parents[3] / "debian"
MANUAL = (DEBIAN / "man" / "pi-hook.8").read_text(encoding="utf-8")
SETTINGS_MANUAL = (DEBIAN / "man" / "pi-hook.toml.5").read_text(encoding="utf-8")
COMPLETION = DEBIAN / "pi-hook.completion.bash"


def commands() -> dict[str, argparse.ArgumentParser]:
    """The parser's commands."""
    (found,) = [a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found.choices)


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Long options that are shown to people."""
    actions = [action for action in parser._actions if action.help != argparse.SUPPRESS]
    return {name for action in actions for name in action.option_strings if name.startswith("--")}


def words(parser: argparse.ArgumentParser) -> set[str]:
    """What may stand there without a dash."""
    return {str(word) for action in parser._actions if not action.option_strings for word in action.choices or ()}


def sections(manual: str, macro: str) -> Iterator[tuple[str, str]]:
    """The parts of a man page, by their headings."""
    for part in re.split(rf"^\.{macro} ", manual, flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        yield heading.strip('"'), text


def manual_options(text: str) -> set[str]:
    found = re.findall(r"^\.BI? (\\-\\-[\w\\-]+)", text, flags=re.MULTILINE)
    return {name.replace("\\-", "-") for name in found}


def test_every_command_and_option_stands_in_the_man_page_and_no_other() -> None:
    parts = {heading.split()[0]: (heading, text) for heading, text in sections(MANUAL, "SS")}
    assert set(parts) == set(commands())
    for name, parser in commands().items():
        heading, text = parts[name]
        text = text.partition("\n.SH ")[0]
        assert manual_options(text) | {"--help"} == options(parser), name
        for word in words(parser):
            assert re.search(rf"\b{word}\b", heading + text), f"{name} {word}"


def test_the_common_options_stand_in_the_man_page() -> None:
    (text,) = [text for heading, text in sections(MANUAL, "SH") if heading == "OPTIONS"]
    assert manual_options(text) == options(cli.parser())


def completed(*line: str) -> set[str]:
    """What bash offers for the last word."""
    program = (
        f'source {COMPLETION}; COMP_WORDS=(pi-hook "$@"); COMP_CWORD=$#; _pi_hook; printf "%s\\n" "${{COMPREPLY[@]}}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", program, "bash", *line], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stderr == ""
    return set(done.stdout.split())


def test_the_completion_offers_every_command() -> None:
    assert completed("") == set(commands()) | options(cli.parser())
    assert completed("sta") == {"status"}
    assert completed("dance", "") == set()


@pytest.mark.parametrize("name", sorted(commands()))
def test_the_completion_offers_what_a_command_takes_and_nothing_else(name: str) -> None:
    parser = commands()[name]
    assert completed(name, "") == options(parser) | words(parser)


def test_the_completion_knows_what_options_take() -> None:
    assert completed("explain", "--urgency", "") == {"scheduled", "urgent"}
    assert completed("explain", "--idle", "") == set()
    assert completed("explain", "--busy", "--help") == {"--help"}


def test_every_setting_stands_in_its_man_page_and_no_other() -> None:
    found = set()
    for table, text in sections(SETTINGS_MANUAL.partition("\n.SH SEE")[0], "SS"):
        entries = re.findall(r"^\.TP\n\.B (\w+)\n(.+)", text, flags=re.MULTILINE)
        assert all(len(words) > 5 for _, words in entries)
        found |= {f"{table.strip('[]')}.{key}" for key, _ in entries}
    assert found == set(KEYS)


def example() -> dict[str, object]:
    """The example file with every line in force."""
    text = (DEBIAN / "pi-hook.toml.example").read_text(encoding="utf-8")
    lines = [line.removeprefix("# ") if re.match(r"# \w+ = ", line) else line for line in text.splitlines()]
    return config.merge([config.Fragment("the example", tomllib.loads("\n".join(lines).replace('"…"', '"token"')))])


def test_the_example_holds_every_setting_with_its_default() -> None:
    merged = example()
    assert set(merged) == set(KEYS)
    shown = {"enrollment.token", "device.timezone", "network.proxy"}  # no default: an example of a value
    given = config.validate({key: value for key, value in merged.items() if key not in shown})
    assert given == Settings(str(merged["server.url"]), str(merged["assistant.name"]))


@pytest.mark.parametrize("page", ["pi-hook.8", "pi-hook.toml.5"])
def test_the_man_pages_are_clean(page: str) -> None:
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(DEBIAN / "man" / page)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "80", "LC_ALL": "C.UTF-8"},
    )
    assert done.stderr == ""
