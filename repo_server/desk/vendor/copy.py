# ruff: noqa: INP001 - a program that make runs, no module
"""Copies what the pages use from `npm ci`'s node_modules into static/vendor, with licences: see `make vendor`."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
TO = HERE.parent / "static" / "vendor"
FILES = (
    ("idiomorph", "dist/idiomorph.min.js"),
    ("uplot", "dist/uPlot.iife.min.js"),
    ("uplot", "dist/uPlot.min.css"),
)
_INNER = re.compile(r"<svg[^>]*>(.*)</svg>", re.DOTALL)


def main() -> None:
    """Anew, so that nothing stays that is not used any more."""
    shutil.rmtree(TO, ignore_errors=True)
    (TO / "licences").mkdir(parents=True)
    for package, name in FILES:
        shutil.copyfile(MODULES / package / name, TO / Path(name).name)
    (TO / "icons.svg").write_text(sprite())
    for package in sorted({*(package for package, _ in FILES), "lucide-static"}):
        shutil.copyfile(MODULES / package / "LICENSE", TO / "licences" / f"{package}.txt")
    wanted = json.loads((HERE / "package.json").read_text())["dependencies"]
    (TO / "versions.json").write_text(json.dumps(wanted, indent=2, sort_keys=True) + "\n")


def sprite() -> str:
    """The icons that the pages use, each as a symbol of its name."""
    symbols = []
    for name in (HERE / "icons.txt").read_text().split():
        source = MODULES / "lucide-static" / "icons" / f"{name}.svg"
        if not source.exists():
            sys.exit(f"lucide has no icon {name!r}: look for another one in {source.parent}, and name it in icons.txt")
        found = _INNER.search(source.read_text())
        inner = " ".join(found[1].split()) if found is not None else ""
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{inner}</symbol>')
    return '<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n"


if __name__ == "__main__":
    main()
