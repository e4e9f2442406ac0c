"""What the documents name is there: files of this tree, and targets of the Makefile."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
TARGETS = frozenset(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
FOLDERS = r"(?:pkgbuild|repo_server|pi_hook|debian|examples|demo|benchmarks|tests|docs)"


def named_files(text: str) -> set[str]:
    """Paths of this tree in backquotes."""
    return set(re.findall(rf"`({FOLDERS}/[\w./-]*)`", text))


def broken_links(document: Path) -> list[str]:
    """Links to files that are not there; other hosts and anchors are not looked at."""
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    return [link for link in links if "://" not in link and not (document.parent / link).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_links_and_targets_exist(document: Path) -> None:
    text = document.read_text()
    assert [name for name in sorted(named_files(text)) if not (ROOT / name).exists()] == []
    assert broken_links(document) == []
    assert set(re.findall(r"\bmake ([a-z][a-z0-9-]*)[`\s]", "\n".join(commands(text)))) - TARGETS == set()


def commands(text: str) -> list[str]:
    """What stands in backquotes or after a prompt: elsewhere "make" is a word of English."""
    return [one + " " for one in re.findall(r"`([^`\n]+)`", text) + re.findall(r"^\$ (.*)$", text, re.MULTILINE)]


def test_what_is_gone_would_be_found(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("[there](a.md), [gone](b.md#part), [elsewhere](https://example.org/c.md)")
    assert broken_links(document) == ["b.md"]
    assert named_files("`pi_hook/no_such.py` and `other/file`") == {"pi_hook/no_such.py"}
    assert commands("people make noise; `make nothing`\n$ make this X=1\n") == ["make nothing ", "make this X=1 "]
