"""The outbox: statuses kept durably, in order, until the server has acknowledged them.

Sequence numbers are never used twice, even where the state or the outbox is lost: a file of its own holds a ceiling
that is raised ahead of use, in blocks; whoever has lost count goes on above the ceiling.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from pi_hook.durable import read_json, set_aside
from pi_hook.errors import BadMessageError
from pi_hook.files import write_atomic
from pi_hook.wire import MOST_STATUSES, Status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_log = logging.getLogger(__name__)
_SCHEMA = 1
_BLOCK = 100
_MOST_KEPT = 300
"""Of the backlog. Deferrals go first, then the oldest steps; outcomes go last of all."""
_MOST_REFUSED = 50
_MODE = 0o600
_OUTCOMES = frozenset({"succeeded", "rolled_back", "failed"})


class Outbox:
    """Files in one folder: ``outbox.json``, ``sequence`` and, for what the server would not take, ``refused.json``."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "outbox.json"
        self._ceiling_path = folder / "sequence"
        self._refused_path = folder / "refused.json"
        self._entries: list[Status] = []
        self.last = 0
        """The highest sequence ever put in, as far as the file knows."""
        self._load()
        self._ceiling = self._load_ceiling()

    def __len__(self) -> int:
        return len(self._entries)

    def reserve(self, known_last: int | None, count: int) -> int:
        """The first of ``count`` numbers that nobody has used; durable before it returns.

        ``known_last`` is the highest that the state remembers, None where the state was lost.
        """
        first = max(self._ceiling if known_last is None else known_last, self.last) + 1
        if first + count - 1 > self._ceiling:
            self._ceiling = first + count - 1 + _BLOCK
            write_atomic(self._ceiling_path, f"{self._ceiling}\n", _MODE)
        return first

    def append(self, statuses: Iterable[Status]) -> None:
        """Keep these; those that were put in before are skipped, so it may be repeated after a crash."""
        new = [status for status in statuses if status.sequence > self.last]
        if new:
            self._entries = _bounded([*self._entries, *new])
            self.last = new[-1].sequence
            self._save()

    def batch(self) -> list[Status]:
        """The oldest statuses that belong to one update, at most a batch; empty where nothing waits."""
        if not self._entries:
            return []
        batch: list[Status] = []
        for status in self._entries[:MOST_STATUSES]:
            if status.update_id != self._entries[0].update_id:
                break
            batch.append(status)
        return batch

    def acknowledge(self, batch: list[Status], acknowledged: int) -> None:
        """Forget what of a batch the server has recorded."""
        done = {status.sequence for status in batch if status.sequence <= acknowledged}
        self._forget(done)

    def refuse(self, status: Status, why: str) -> None:
        """Set aside one status that the server will never take, so that it does not block the others."""
        _log.warning(
            "the server refuses status %d (%s): %s; kept in %s", status.sequence, status.status, why, self._refused_path
        )
        kept = read_json(self._refused_path)
        items = kept["refused"] if kept and isinstance(kept.get("refused"), list) else []
        items.append({"update_id": status.update_id, "why": why, **status.to_json()})
        write_atomic(self._refused_path, json.dumps({"refused": items[-_MOST_REFUSED:]}) + "\n", _MODE)
        self._forget({status.sequence})

    def _forget(self, sequences: set[int]) -> None:
        left = [status for status in self._entries if status.sequence not in sequences]
        if len(left) != len(self._entries):
            self._entries = left
            self._save()

    def _save(self) -> None:
        items = [{"update_id": status.update_id, **status.to_json()} for status in self._entries]
        write_atomic(self._path, json.dumps({"schema": _SCHEMA, "last": self.last, "statuses": items}) + "\n", _MODE)

    def _load(self) -> None:
        body = read_json(self._path)
        if body is None:
            return
        try:
            self.last = _whole(body["last"])
            self._entries = [Status.from_json(item["update_id"], item) for item in body["statuses"]]
        except (KeyError, TypeError, ValueError, BadMessageError) as error:
            set_aside(self._path, str(error))
            self._entries = []

    def _load_ceiling(self) -> int:
        try:
            return _whole(int(self._ceiling_path.read_text(encoding="ascii")))
        except FileNotFoundError:
            return self.last
        except (OSError, ValueError) as error:
            set_aside(self._ceiling_path, str(error))
            return self.last + _BLOCK


def _whole(value: Any) -> int:  # noqa: ANN401  # from JSON
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is not a sequence number")
    return value


def _bounded(entries: list[Status]) -> list[Status]:
    for droppable in ({"deferred"}, None):
        excess = len(entries) - _MOST_KEPT
        if excess <= 0:
            return entries
        candidates = [
            e.sequence for e in entries if (e.status in droppable if droppable else e.status not in _OUTCOMES)
        ]
        gone = set(candidates[:excess])
        entries = [entry for entry in entries if entry.sequence not in gone]
    return entries[-_MOST_KEPT:]
