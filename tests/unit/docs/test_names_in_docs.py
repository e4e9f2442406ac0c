"""What the documents name is there: files and tests of this tree, and headings that are linked."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from docs.reference.markdown import anchor
from tests.unit.docs.documents import DOCUMENTS, ROOT, name_of

FOLDERS = r"(?:pkgbuild|repo_server|pi_hook|debian|examples|demo|benchmarks|tests|docs)"


def named_files(text: str) -> set[str]:
    """Paths of this tree in backquotes."""
    return set(re.findall(rf"`({FOLDERS}/[\w./-]*)`", text))


def named_tests(text: str) -> set[tuple[str, str]]:
    """Tests in backquotes, as the file and its function."""
    return set(re.findall(r"`(tests/[\w./-]*)::(test_\w+)`", text))


def missing_tests(text: str) -> list[str]:
    """Of these, those that are not there."""
    files = {file: ROOT / file for file, _ in named_tests(text)}
    found = {
        file: set(re.findall(r"def (test_\w+)", path.read_text())) for file, path in files.items() if path.is_file()
    }
    return sorted(f"{file}::{test}" for file, test in named_tests(text) if test not in found.get(file, ()))


def broken_links(document: Path) -> list[str]:
    """Links to files and headings that are not there; other hosts are not looked at."""
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text())
    return [link for link in links if "://" not in link and not leads_somewhere(document, link)]


def leads_somewhere(document: Path, link: str) -> bool:
    file, _, part = link.partition("#")
    target = document.parent / file if file else document
    return target.exists() and (not part or (target.suffix == ".md" and part in anchors(target)))


@cache
def anchors(document: Path) -> frozenset[str]:
    """The addresses of a document's headings."""
    text = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return frozenset(anchor(re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)) for heading in headings)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_files_tests_and_links_exist(document: Path) -> None:
    text = document.read_text()
    assert [name for name in sorted(named_files(text)) if not (ROOT / name).exists()] == []
    assert broken_links(document) == []
    assert missing_tests(text) == []


def test_what_is_gone_would_be_found(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    links = (
        "[there](a.md), [gone](b.md#part), [elsewhere](https://example.org/c.md), [here](#a-part), [not](a.md#apart)"
    )
    document.write_text(f"# A part\n{links}\n```\n# Apart\n```\n")
    assert broken_links(document) == ["b.md#part", "a.md#apart"]
    assert named_files("`pi_hook/no_such.py` and `other/file`") == {"pi_hook/no_such.py"}
    here = "tests/unit/docs/test_names_in_docs.py"
    assert missing_tests(
        f"`{here}::test_no_such` `{here}::test_what_is_gone_would_be_found` `tests/none.py::test_x`"
    ) == [
        "tests/none.py::test_x",
        f"{here}::test_no_such",
    ]
