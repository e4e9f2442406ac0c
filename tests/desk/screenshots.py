"""``python -m tests.desk.screenshots [NAME…]``: every page of the desk (or those named) as it looks with 5,000 devices.

Into ``build/screenshots/``: light, dark, and on a phone. ``--docs`` makes the pictures of the documentation instead.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page

from demo.shell import PROJECT
from tests.desk.browsing import PHONE, WIDE, Colours, Visitor, chromium, visiting
from tests.desk.pages import Look, looks
from tests.desk.serving import Service, seeded_folder, serving

DEVICES = 5_000
KINDS: dict[str, tuple[Colours, dict[str, int]]] = {
    "light": ("light", WIDE),
    "dark": ("dark", WIDE),
    "phone": ("light", PHONE),
}
DOCS = {"fleet": "light", "update": "dark", "device": "phone"}
"""Which page is shown how in the README."""
_MOST_BYTES = 150_000
_TRIES = 50
_TALLEST = 2_400
"""Pixels: of a long list its beginning is enough."""


def main(words: list[str]) -> None:
    """Make them, and tell where they are."""
    for_docs = "--docs" in words
    named = set(words) - {"--docs"} or (set(DOCS) if for_docs else set())
    to = PROJECT / "docs" / "images" if for_docs else PROJECT / "build" / "screenshots"
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name:
        folder = Path(name)
        with serving(folder, seeded_folder(folder, DEVICES)) as service, chromium() as browser:
            wanted = [look for look in looks(service.seeded) if not named or look.name in named]
            if for_docs:
                for look in wanted:
                    _compressed(browser, service, look, to / f"{look.name}.webp")
            else:
                for kind in KINDS:
                    _all(browser, service, kind, wanted, to)
    print(f"{len(list(to.iterdir()))} pictures in {to.relative_to(PROJECT)}")


def _all(browser: Browser, service: Service, kind: str, wanted: list[Look], to: Path) -> None:
    colours, size = KINDS[kind]
    for role in {look.role for look in wanted}:
        with visiting(browser, service, role=role, colours=colours, size=size) as visitor:
            for look in wanted:
                if look.role == role:
                    page = _settled(visitor, look)
                    height = min(page.evaluate("document.documentElement.scrollHeight"), _TALLEST)
                    clip = {"x": 0, "y": 0, "width": size["width"], "height": height}
                    page.screenshot(path=to / f"{look.name}-{kind}.png", full_page=True, clip=clip)  # type: ignore[arg-type]


def _compressed(browser: Browser, service: Service, look: Look, to: Path) -> None:
    """What a window shows, as WebP, which Playwright itself does not make."""
    colours, size = KINDS[DOCS[look.name]]
    with visiting(browser, service, role=look.role, colours=colours, size=size, scale=1.5) as visitor:
        _settled(visitor, look)
        taken = visitor.context.new_cdp_session(visitor.page).send(
            "Page.captureScreenshot", {"format": "webp", "quality": 82}
        )
        content = base64.b64decode(taken["data"])
        if len(content) > _MOST_BYTES:
            raise RuntimeError(f"{to.name} has {len(content)} bytes; at most {_MOST_BYTES} are wanted")
        to.write_bytes(content)


def _settled(visitor: Visitor, look: Look) -> Page:
    visitor.open(look.path, look.status)
    for _ in range(_TRIES):
        if "being counted" not in visitor.page.inner_text("main"):
            break
        visitor.page.reload()  # the server counts in the background what is too much to count for each page
    visitor.page.evaluate("document.fonts.ready")
    return visitor.page


if __name__ == "__main__":
    main(sys.argv[1:])
