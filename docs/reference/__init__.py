"""The references: documents that are made from the code and never written by hand. `make docs` writes them."""

from __future__ import annotations

import re
from pathlib import Path

from docs.reference import api, commands, settings
from docs.reference.markdown import BY_HAND, between, code, page, table
from pkgbuild.habits import names
from repo_server.desk import words
from repo_server.lifecycle import Status

MOVE = "docs/MIGRATION.md"
WORDS = "docs/GLOSSARY.md"
ROOT = Path(__file__).resolve().parents[2]
MAP = "docs/OTA_UPDATES.md"
"""Has the table of endpoints between marks; the rest is written by hand, as in the one before."""


def generated() -> dict[str, str]:
    """Every document that the code gives, by its path in the tree: what it has to be now."""
    described = api.described()
    glossary = (ROOT / WORDS).read_text(encoding="utf-8")
    return {
        "docs/API.md": api.document(described),
        "docs/COMMANDS.md": commands.document((ROOT / "Makefile").read_text(encoding="utf-8")),
        "docs/SETTINGS.md": settings.document(ROOT),
        MAP: between((ROOT / MAP).read_text(encoding="utf-8"), "endpoints", api.overview(described)),
        "docs/adr/README.md": decisions(ROOT / "docs" / "adr"),
        WORDS: between(between(glossary, "reasons", reasons()), "statuses", statuses()),
        MOVE: between((ROOT / MOVE).read_text(encoding="utf-8"), "names", old_names()),
    }


def old_names() -> list[str]:
    """The names of `.env` files and what they are here, as a table."""
    rows = [
        [
            ", ".join(code(name) for name in one.names),
            *(code(where) if where else "" for where in (one.builder, one.device, one.server)),
            one.words,
        ]
        for one in names.NAMES
    ]
    return table(["name", "`create_update.sh`", "`pi-hook.toml`", "`repo-server`", "what becomes of it"], rows)


def reasons() -> list[str]:
    """Why a device waits or gets nothing, in the pages' own words."""
    rows = [[code(str(reason)), why.text, why.mend or ""] for reason, why in words.REASONS.items()]
    return table(["reason", "meaning", "what to do"], rows)


def statuses() -> list[str]:
    """Where a device is in an update, in the pages' own words."""
    return table(["status", "meaning"], [[code(str(one)), words.status(one).text] for one in Status])


def decisions(folder: Path) -> str:
    """The index of the decision records, from their headings. Raises ``ValueError`` where one is not as all are."""
    rows = []
    for path in sorted(folder.glob("[0-9]*.md")):
        found = re.match(r"# (\d+)\. (.+)\n\nStatus: (\w+.*)\n", path.read_text(encoding="utf-8"))
        if found is None or int(found[1]) != int(path.name[:4]):
            raise ValueError(f"{path.name} does not begin with '# NUMBER. TITLE', an empty line and 'Status: …'")
        rows.append([found[1], f"[{found[2]}]({path.name})", found[3]])
    words = "What was decided, why, and what was not taken. A number that is missing was never used."
    return page([BY_HAND], ["# Decisions"], [words], table(["", "decision", "status"], rows))


def stale() -> list[str]:
    """The documents that are not what the code gives."""
    return _stale(generated())


def write() -> list[str]:
    """Write those that are stale; returns which."""
    documents = generated()
    changed = _stale(documents)
    for path in changed:
        (ROOT / path).write_text(documents[path], encoding="utf-8")
    return changed


def _stale(documents: dict[str, str]) -> list[str]:
    files = {path: ROOT / path for path in documents}
    return [path for path, file in files.items() if not file.is_file() or file.read_text("utf-8") != documents[path]]
