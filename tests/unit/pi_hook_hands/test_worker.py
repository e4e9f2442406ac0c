from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pi_hook import steps, worker
from pi_hook.apt_errors import StepError
from pi_hook.ports import Problem, Step, StepRequest, StepResult
from pi_hook.step_files import Ticket, read_result, write_request, write_result

if TYPE_CHECKING:
    from .conftest import SmallRoot

TICKET = Ticket("id-1", StepRequest("sample-assistant", "1.1.0", "urgent"))


@pytest.mark.parametrize(
    ("raised", "problem", "words"),
    [
        (StepError(Problem.REFUSED, "not you"), Problem.REFUSED, "not you"),
        (OSError(28, "No space left on device"), Problem.DISK_FULL, "No space"),
        (OSError(30, "Read-only file system"), Problem.READ_ONLY_ROOT, "Read-only"),
        (OSError(5, "Input/output error"), Problem.INTERRUPTED, "Input/output"),
        (RuntimeError("a bug"), Problem.INTERRUPTED, "a bug"),
    ],
)
def test_whatever_happens_a_result_is_left(
    small: SmallRoot, monkeypatch: pytest.MonkeyPatch, raised: Exception, problem: Problem, words: str
) -> None:
    def fails(*_: object) -> StepResult:
        raise raised

    monkeypatch.setattr(steps, "refresh", fails)
    write_request(small.root, Step.REFRESH, TICKET)
    worker.run_step(Step.REFRESH, small.root)
    result = read_result(small.root, Step.REFRESH, TICKET)
    assert result.problem is problem
    assert words in result.message


def test_a_ticket_is_good_for_one_run(small: SmallRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> StepResult:
        raise AssertionError("ran again")

    monkeypatch.setattr(steps, "install", never)
    write_request(small.root, Step.INSTALL, TICKET)
    write_result(small.root, TICKET.id, StepResult(Step.INSTALL, "1.1.0", Problem.DPKG_FAILED, "so it was"))
    result = worker.run_step(Step.INSTALL, small.root)
    assert result is not None
    assert result.message == "so it was"


def test_without_a_request_nothing_is_done(small: SmallRoot) -> None:
    assert worker.run_step(Step.INSTALL, small.root) is None


@pytest.mark.parametrize("arguments", [[], ["upgrade"], ["install", "now"]])
def test_misuse(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert worker.main(arguments) == 2
    assert "usage: pi-hook worker {refresh|download|install|reinstall|lists|system|recover}" in capsys.readouterr().err
