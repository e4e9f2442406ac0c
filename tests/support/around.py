"""A machine around an installed server, as ``repo_server.installed`` looks at it: well, until a test says otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from repo_server.installed import Answer, CertificateError, Unit

WELL = Unit(loaded=True, active=True, enabled=True, failed=False)
IDLE = Unit(loaded=True, active=False, enabled=False, failed=False)
"""A service that a timer starts."""


@dataclass
class AroundStub:
    """``said`` holds the units that are not as they should be; a ``broken`` certificate or port is raised."""

    installed: bool = True
    said: dict[str, Unit] = field(default_factory=dict)
    kept: tuple[bool, bool] = (True, True)
    answer: Answer = field(default_factory=lambda: Answer(200, datetime.now(UTC) + timedelta(days=90)))
    broken: CertificateError | OSError | None = None
    stopped: dict[str, Path] = field(default_factory=dict)
    certbot: bool = False
    member: bool = True

    def units(self, names: Sequence[str]) -> Mapping[str, Unit] | None:
        idle = {name for name in names if name.endswith(("prune.service", "resign.service", "backup.service"))}
        found = {name: self.said.get(name, IDLE if name in idle else WELL) for name in names}
        return found if self.installed else None

    def time_is_kept(self) -> tuple[bool, bool]:
        return self.kept

    def ask(self, name: str) -> Answer:
        if self.broken is not None:
            raise self.broken
        return self.answer

    def stopped_at(self, user: str, folder: Path) -> Path | None:
        return self.stopped.get(user)

    def is_link_to_certbots(self) -> bool:
        return self.certbot

    def is_in_group(self, user: str, group: str) -> bool:
        return self.member
