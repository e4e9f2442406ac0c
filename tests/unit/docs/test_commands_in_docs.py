"""Every command line in the documents, man pages, messages and pages is one that the programs take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.docs.command_lines import problem
from tests.unit.docs.documents import BY_HAND, ROOT, commands, commands_in, name_of

SOURCES = sorted(
    path
    for folder in ("pkgbuild", "repo_server", "pi_hook", "debian", "examples")
    for pattern in ("*.py", "*.html", "*.toml", "*.example", "*.service", "*.timer", "*.conf", "*.yml")
    for path in (ROOT / folder).rglob(pattern)
    if "vendor" not in path.parts and ".debhelper" not in path.parts and "pi-hook/" not in str(path)
)


@pytest.mark.parametrize("document", BY_HAND, ids=name_of)
def test_every_command_line_of_a_document_fits_the_program(document: Path) -> None:
    found = commands(document.read_text(encoding="utf-8"))
    assert [(one, wrong) for one in found if (wrong := problem(one))] == []


@pytest.mark.parametrize("page", sorted((ROOT / "debian" / "man").iterdir()), ids=lambda path: path.name)
def test_every_command_that_a_man_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\-", "-")
    lines = re.findall(r'^\.BR? "?(pi-hook [a-z][^"\n]*?)"?(?: .)?$', text, re.MULTILINE)
    found = [one for line in lines for one in commands_in(line, whole=False)]
    assert found or page.name != "pi-hook.8"
    assert [(one, wrong) for one in found if (wrong := problem(one))] == []


def test_every_command_that_a_message_or_comment_names_is_there() -> None:
    wrong = []
    for path in SOURCES:
        for line in re.findall(r"(?<!`)`([^`\n{}]+)`(?!`)", path.read_text(encoding="utf-8")):
            found = [(one, said) for one in commands_in(line, whole=False) if (said := problem(one))]
            wrong += [(name_of(path), *one) for one in found]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("pkgbuild dance", "there is no command dance"),
        ("pkgbuild keys dance", "there is no command dance"),
        ("pkgbuild release --loud", "release has no option --loud"),
        ("pkgbuild show a 1.0 x", "show takes 2 arguments, not 3"),
        ("pkgbuild keys rotate both", "'both' is not one of"),
        ("pkgbuild release --version 1 --notes x", "release needs --urgency, --src"),
        ("pkgbuild diff a", "diff needs more arguments"),
        (".venv/bin/python -m pkgbuild dance", "there is no command dance"),
        ("repo-server prune --keep soon", "soon"),
        ("repo-server api-key create --role king --name x", "'king' is not one of"),
        ("repo-server devices approve", "approve needs more arguments"),
        ("X=1 sudo pi-hook install --later", "pi-hook install has no option --later"),
        ("pi-hook activity sleeping", "sleeping is none of used, busy, free"),
        ("pi-hook worker", "pi-hook worker needs step"),
        ("pi-hook hold it", "pi-hook hold takes no argument it"),
        ("pi-hook dance", "pi-hook has no command dance"),
        ("make dance", "make has no target dance"),
        ("make release VERSIO=1", "make takes no VERSIO"),
        ("true && make dance", "make has no target dance"),
    ],
)
def test_a_line_that_does_not_fit_is_seen(line: str, words: str) -> None:
    (command,) = commands_in(line, whole=True)
    assert words in str(problem(command))


@pytest.mark.parametrize(
    "line",
    [
        "pkgbuild list [NAME]", "pkgbuild prune", "pkgbuild promote NAME VERSION --paused",
        "repo-server rollout waves 1.2.0 canary:1d,100% --failure-percent 2", "repo-server updates",
        "repo-server devices list --state … --waiting", "pi-hook explain --at … --idle 3h --urgency urgent",
        "pi-hook activity busy --seconds 120 --why speaking", "make prune KEEP=3 DRY_RUN=1", "make release …",
    ],
)  # fmt: skip
def test_a_line_that_fits_is_let_be(line: str) -> None:
    (command,) = commands_in(line, whole=True)
    assert problem(command) is None


def test_a_part_of_a_line_needs_only_to_be_there() -> None:
    (command,) = commands_in("pkgbuild promote --paused", whole=False)
    assert problem(command) is None
    assert commands_in("people make noise", whole=False) == []
    (command,) = commands_in("rollout dance", whole=False)
    assert problem(command) == "there is no command dance"
    assert commands_in("rollout", whole=False) == []
    text = "Text.\n\n  ```console\n  $ make dance \\\n    now   # why\n  ```\n"
    assert [(one.program, one.words) for one in commands(text)] == [("make", ("dance", "now"))]
