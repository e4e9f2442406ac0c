"""Asking the application for real, and keeping what was asked and answered as examples.

What differs from run to run (ids, secrets) is replaced, so that the same code gives the same examples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from repo_server.db import Database
from repo_server.roles import Role
from repo_server.store import credentials

_START = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
_STEP = timedelta(minutes=5)
DEVICE = "0195e0c8-0000-7000-8000-000000000001"
_TLS = "https://updates.example.org/"
_LINES = 4
"""Of an answer that is no JSON, this many are shown."""
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_SECRET = re.compile(r"\b(pi[a-z])_[A-Za-z0-9_-]{43}")
_HASH = re.compile(r"\b[0-9a-f]{64}\b")
_CHANGING = re.compile(r'"(csrf_token|next_cursor)": ?"[^"]*"')
_LONGEST_LIST = 2


@dataclass(frozen=True, slots=True)
class Example:
    """A request and what was answered."""

    method: str
    path: str
    headers: tuple[str, ...]
    body: str | None
    status: int
    answer: str

    def lines(self, instead: str | None = None) -> list[str]:
        """As Markdown; ``instead``: a sentence in the place of the answer."""
        sent = [f"{self.method} {self.path}", *self.headers]
        sent += [] if self.body is None else ["", *self.body.splitlines()]
        answered = [instead] if instead else ["```http", str(self.status), *self.answer.splitlines(), "```"]
        return ["```http", *sent, "```", "", *answered]


@dataclass
class Story:
    """The application, what was made so far, and the examples."""

    app: Flask
    db: Database
    now: datetime = _START
    ids: dict[str, str] = field(default_factory=lambda: {"device_id": DEVICE})
    shown: dict[tuple[str, str], Example] = field(default_factory=dict)
    metrics: str = ""
    """What `/metrics` answered."""
    _seen: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        method: str,
        path: str,
        who: Mapping[str, str],
        body: object = None,
        *,
        query: str = "",
        as_shown: str | None = None,
    ) -> TestResponse:
        """One request, which becomes the example of its endpoint unless that has one. Raises ``AssertionError``."""
        self.now += _STEP
        address = re.sub(r"\{(\w+)\}", lambda found: self.ids[found[1]], path) + query
        sent: dict[str, Any] = {} if body is None else {"json": body}
        answer = self.app.test_client(use_cookies=False).open(
            address, method=method, headers=dict(who), base_url=_TLS, **sent
        )
        if answer.status_code >= 300:  # noqa: PLR2004 - success is below it
            raise AssertionError(f"{method} {address}: {answer.status_code} {answer.get_data(as_text=True)}")
        told = self._readable(answer.get_data(as_text=True)) if as_shown is None else as_shown
        if as_shown is None:
            answer.close()
        text = None if body is None else self._readable(json.dumps(body))
        self.shown.setdefault(
            (method, path),
            Example(
                method,
                self._stable(address),
                tuple(f"{name}: {_shown(name, value)}" for name, value in who.items()),
                text,
                answer.status_code,
                told,
            ),
        )
        return answer

    def key(self, role: Role) -> dict[str, str]:
        """The header of a new API key."""
        self.now += _STEP
        tables = self.db.tables()
        made = self.db.write(lambda _: credentials.create_api_key(tables, str(role), role, "cli:you", self.now))
        return {"X-API-Key": made}

    def _readable(self, text: str) -> str:
        try:
            return _json(json.loads(self._stable(text)))
        except json.JSONDecodeError:
            lines = self._stable(text).strip().splitlines()
            return "\n".join([*lines[:_LINES], *(["…"] if len(lines) > _LINES else [])])

    def _stable(self, text: str) -> str:
        text = _CHANGING.sub(r'"\1": "…"', _ID.sub(self._numbered, text))
        return _HASH.sub(lambda found: f"{found[0][:8]}…", _SECRET.sub(r"\1_…", text))

    def _numbered(self, found: re.Match[str]) -> str:
        return self._seen.setdefault(found[0], f"{found[0][:8]}…{len(self._seen) + 1}")


def _shown(name: str, value: str) -> str:
    """A header without its secret."""
    if name == "Authorization":
        scheme = value.partition(" ")[0]
        return f"{scheme} …"
    return value.partition("=")[0] + "=…" if name == "Cookie" else "…"


def _json(value: object, indent: str = "") -> str:
    """JSON for people: what fits stands on one line, lists of which there is more are cut."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + len(indent) <= 110 or not isinstance(value, dict | list) or not value:  # noqa: PLR2004 - characters
        return flat
    deeper = indent + "  "
    if isinstance(value, list):
        lines = [deeper + _json(one, deeper) for one in value[:_LONGEST_LIST]]
        lines += [f"{deeper}…"] if len(value) > _LONGEST_LIST else []
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    pairs = [f"{deeper}{json.dumps(name)}: {_json(one, deeper)}" for name, one in value.items()]
    return "{\n" + ",\n".join(pairs) + f"\n{indent}" + "}"
