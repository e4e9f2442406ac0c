"""``python -m docs.reference``: write what the code gives now."""

from __future__ import annotations

from docs.reference import generated, write

if __name__ == "__main__":
    changed = write()
    for path in generated():
        print(f"{path}: {'written' if path in changed else 'as it was'}")  # noqa: T201 - it is a program
