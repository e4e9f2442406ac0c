"""A server with a seeded fleet, as `repo-server serve` starts it, at the instant of the seeding."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from repo_server import development_clock, times
from tests.seeding import Seeded, seed
from tests.support.server import RunningServer, running_server

STREAMS = 48
"""Each page that is open holds one, for some seconds after it was closed too."""


@dataclass
class Service:
    """The server and what its database was seeded with."""

    server: RunningServer
    seeded: Seeded

    @property
    def url(self) -> str:
        return self.server.url


def seeded_folder(folder: Path, size: int) -> Seeded:
    """What ``serving`` serves."""
    seeded = seed(folder / "state", size)
    (folder / "clock").write_text(times.render(seeded.now))
    return seeded


@contextmanager
def serving(folder: Path, seeded: Seeded, port: int = 0) -> Iterator[Service]:
    """Its clock stands still: what was seeded as a moment ago stays that."""
    environ = {"REPO_SERVER_EVENT_STREAMS": str(STREAMS), development_clock.VARIABLE: str(folder / "clock")}
    repository = folder / "state" / "public"
    with running_server(folder, repository=repository, environ=environ, port=port, threads=STREAMS + 16) as server:
        yield Service(server, seeded)
