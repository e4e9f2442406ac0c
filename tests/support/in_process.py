"""The agent's own client and the real application in one process, with one clock: stories that need many instants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from pi_hook.client import HttpServer
from pi_hook.errors import ServerError
from pi_hook.http import Reply
from tests.support.pi_hook_fakes import FakeClock
from tests.unit.repo_server.conftest import Service


@dataclass
class Line:
    """What lies between them."""

    loses_answer_to: str | None = None
    """The end of an address; the next answer from there never arrives, once."""
    asked: list[tuple[str, int]] = field(default_factory=list)
    """Every address that was asked and the status of the answer, lost or not."""
    before: Callable[[str], None] = lambda path: None
    """Called with each address before it is asked."""
    after: Callable[[str], None] = lambda path: None
    """Called with each address after the server has answered, before the agent hears it."""

    def lose_answer_to(self, end: str) -> None:
        """Lose the next answer from an address that ends so."""
        self.loses_answer_to = end


class InProcessServer(HttpServer):
    """``pi_hook.client.Server`` on ``service``, which goes by the device's clock."""

    def __init__(self, service: Service, clock: FakeClock, line: Line) -> None:
        super().__init__("http://127.0.0.1:1")
        self._service, self._clock, self._line = service, clock, line

    def _ask(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Reply:
        line = self._line
        line.before(path)
        self._service.now = self._clock.wall
        answer = self._service.app.test_client().open(path, method=method, headers=headers, data=body)
        line.asked.append((path, answer.status_code))
        line.after(path)
        if line.loses_answer_to is not None and path.endswith(line.loses_answer_to):
            line.loses_answer_to = None
            raise ServerError("the answer was lost")
        names = {name.lower(): value for name, value in answer.headers.items()}
        return Reply(answer.status_code, "", names, answer.get_data())
