"""Debian's Chromium, one context for each who looks at the desk, and everything that a page must not do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, sync_playwright

from tests.desk.serving import Service

CHROMIUM = "/usr/bin/chromium"
WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 740}
PATIENCE_MILLISECONDS = 20_000
"""For what comes at last; on a machine that is busy."""
_TELL_VIOLATIONS = """addEventListener("securitypolicyviolation", (event) =>
  console.error(`Content-Security-Policy: ${event.violatedDirective} kept out ${event.blockedURI}`));"""
Colours = Literal["light", "dark"]


@dataclass
class Watch:
    """What went wrong on the pages of one context: errors, violations of the policy, requests to elsewhere."""

    host: str
    problems: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)
    """Patterns of what the test itself brings about, such as an answer 403."""

    def look_at(self, context: BrowserContext) -> None:
        """From the first page on."""
        context.add_init_script(_TELL_VIOLATIONS)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.problems.append(f"uncaught: {error.error}"))
        context.on("request", self._asked)

    def verdict(self) -> list[str]:
        """What was not expected."""
        return [one for one in self.problems if not any(re.search(pattern, one) for pattern in self.expected)]

    def _said(self, message: ConsoleMessage) -> None:
        where = str(message.location.get("url"))
        # The stream is refused: as many watch as may (a page that was left is noticed only after some seconds), or the
        # session has ended. The page is fetched instead, which then also asks to sign in.
        if where.endswith("/live") and re.search("status of (503|401)", message.text):
            return
        if message.type in {"error", "warning"}:
            self.problems.append(f"{message.type} at {where}: {message.text}")

    def _asked(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme not in {"data", "blob", "about"} and parts.netloc != self.host:
            self.problems.append(f"a request to another host: {request.url}")


@dataclass
class Visitor:
    """Somebody at a browser."""

    service: Service
    context: BrowserContext
    page: Page
    watch: Watch

    def sign_in(self, role: str) -> None:
        """As the sign-in page does, without it."""
        answer = self.context.request.post(
            f"{self.service.url}/api/v1/session", headers={"X-API-Key": self.service.seeded.keys[role]}
        )
        assert answer.status == 201, answer.text()

    def open(self, path: str, status: int = 200) -> Response:
        """Open a page of the desk; it answers with this status."""
        answer = self.page.goto(self.service.url + path)
        assert answer is not None
        assert answer.status == status, (path, answer.status, self.page.inner_text("body"))
        return answer

    def path(self) -> str:
        """Where the visitor is."""
        parts = urlsplit(self.page.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def csrf_token(self) -> str:
        """As the session's own pages have it."""
        answer = self.context.request.get(f"{self.service.url}/api/v1/session")
        return str(answer.json()["csrf_token"])

    def post(self, path: str, form: dict[str, Any]) -> int:
        """Send a form past the pages, with the visitor's cookies; the status of the answer."""
        answer = self.context.request.post(
            self.service.url + path, form=form, headers={"Accept": "text/html"}, max_redirects=0
        )
        return answer.status


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def visiting(
    browser: Browser,
    service: Service,
    *,
    role: str | None = None,
    colours: Colours = "light",
    size: dict[str, int] = WIDE,
    scripts: bool = True,
    scale: float = 1,
) -> Iterator[Visitor]:
    """A new visitor, whose clock is the server's, and who is signed in where a ``role`` is given."""
    context = browser.new_context(
        viewport=size,  # type: ignore[arg-type]  # a TypedDict of just this form
        color_scheme=colours,
        locale="en-GB",
        timezone_id="Europe/Berlin",
        java_script_enabled=scripts,
        device_scale_factor=scale,
        reduced_motion="reduce",
    )
    context.set_default_timeout(PATIENCE_MILLISECONDS)
    context.clock.set_fixed_time(service.seeded.now)
    watch = Watch(urlsplit(service.url).netloc)
    watch.look_at(context)
    try:
        visitor = Visitor(service, context, context.new_page(), watch)
        if role is not None:
            visitor.sign_in(role)
        yield visitor
    finally:
        context.close()
