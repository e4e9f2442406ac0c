"""Secrets taken out of text that leaves the device: pure. What cannot be recognised with certainty is taken out too."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

REMOVED = "[removed]"
_SHORTEST_SECRET = 6

_WORD = r"(?:[\w-]*(?:token|passw(?:or)?d|secret|api[_-]?key|access[_-]?key|private[_-]?key|credential)s?|pwd|key|auth)"
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"-----BEGIN [^-]*PRIVATE KEY-----.*?(?:-----END [^-]*-----|\Z)", re.DOTALL), REMOVED),
    (
        re.compile(r"(?i)\b((?:proxy-)?authorization\W{1,4}(?:(?:bearer|basic|digest|token)\s+)?)[^\s\"',]+"),
        rf"\1{REMOVED}",
    ),
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}"), rf"\1{REMOVED}"),
    (re.compile(r"(?i)\b((?:set-)?cookie\W{1,3})[^\r\n]+"), rf"\1{REMOVED}"),
    (re.compile(r"(://)[^/\s@:]*(?::[^/\s@]*)?@"), rf"\1{REMOVED}@"),
    (re.compile(rf"(?i)(\b{_WORD}[\"']?\s*[=:]\s*[\"']?)[^\s\"',;&}}]+"), rf"\1{REMOVED}"),
    (re.compile(rf"(?i)(--{_WORD}\s+)[^\s\"',;]+"), rf"\1{REMOVED}"),
    (re.compile(r"\b(?:sk|pk|ghp|gho|xox[abp]|AKIA)[-_]?[A-Za-z0-9_-]{16,}\b"), REMOVED),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), REMOVED),
)
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without the given secrets, without what looks like one, and without terminal control characters."""
    text = _CONTROL.sub("", text)
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, REMOVED)
    for pattern, replacement in _RULES:
        text = pattern.sub(replacement, text)
    return text


def tail(text: str, max_characters: int) -> str:
    """The last whole lines that fit; the end of the last line where even that is too long."""
    if len(text) <= max_characters:
        return text
    cut = text[-max_characters:]
    return cut.partition("\n")[2] or cut
