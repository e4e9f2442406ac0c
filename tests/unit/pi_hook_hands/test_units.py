"""The real ``SystemdSteps`` over a stand-in for ``systemctl``; the real systemd is used in the virtual Pi."""

from __future__ import annotations

import json
import os
import select
import time
from typing import TYPE_CHECKING

import pytest

from pi_hook.ports import Problem, Step, StepRequest, StepResult
from pi_hook.step_files import Ticket, read_request, read_result, request_path, result_path, write_request, write_result
from pi_hook.units import SystemdStep, SystemdSteps

if TYPE_CHECKING:
    from .conftest import Programs, SmallRoot

REQUEST = StepRequest("sample-assistant", "1.1.0", "urgent")
IDLE = "case $1 in show) echo inactive;; esac"


def ended(step: SystemdStep) -> bool:
    readable, _, _ = select.select([step], [], [], 10)
    return bool(readable)


def test_a_started_step_ends_readable_and_gives_its_own_result(small: SmallRoot, programs: Programs) -> None:
    request = request_path(small.root, Step.REFRESH)
    result = result_path(small.root, Step.REFRESH)
    answer = {"schema": 1, "id": "@ID@", "version": "1.1.0", "problem": None, "message": "m", "urgency": "urgent"}
    template = small.path / "answer"
    template.write_text(json.dumps({**answer, "bytes_fetched": 7, "not_before": None}))
    find_id = f'id=$(sed -n \'s/.*"id": "\\(.*\\)",/\\1/p\' {request})'
    write = f'{find_id}; sed "s/@ID@/$id/" {template} > {result}'
    programs.put("systemctl", f"case $1 in show) echo inactive;; start) {write};; esac")
    step = SystemdSteps(small.root).start(Step.REFRESH, REQUEST)
    assert ended(step)
    assert step.result() == StepResult(Step.REFRESH, "1.1.0", None, "m", "urgent", 7)
    step.close()
    assert programs.calls[-1] == "systemctl start pi-hook-refresh.service"


def test_a_unit_that_leaves_nothing_is_interrupted_with_systemds_words(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", f"{IDLE}\n[ $1 = start ] && echo Unit not found. >&2 && exit 5; exit 0")
    step = SystemdSteps(small.root).start(Step.INSTALL, REQUEST)
    result = step.result()
    step.close()
    assert (result.problem, result.version) == (Problem.INTERRUPTED, "1.1.0")
    assert "Unit not found." in result.message


def test_the_result_of_an_earlier_run_is_not_taken(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", IDLE)
    write_result(small.root, "of-yesterday", StepResult(Step.INSTALL, "1.1.0"))
    step = SystemdSteps(small.root).start(Step.INSTALL, REQUEST)
    assert step.result().problem is Problem.INTERRUPTED
    step.close()


def test_a_restarted_daemon_joins_the_unit_at_work(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", "case $1 in show) echo activating;; esac")
    write_request(small.root, Step.INSTALL, Ticket("first", REQUEST))
    write_result(small.root, "first", StepResult(Step.INSTALL, "1.1.0", None, "done"))
    for step in (
        SystemdSteps(small.root).join(Step.INSTALL, REQUEST),
        SystemdSteps(small.root).start(Step.INSTALL, REQUEST),
    ):
        assert step is not None
        assert step.result().message == "done"
        step.close()
    assert read_request(small.root, Step.INSTALL).id == "first"


def test_joining_starts_nothing_where_the_unit_is_at_rest(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", IDLE)
    assert SystemdSteps(small.root).join(Step.INSTALL, REQUEST) is None
    write_request(small.root, Step.INSTALL, Ticket("first", REQUEST))
    assert SystemdSteps(small.root).join(Step.INSTALL, REQUEST) is None
    assert not any(" start " in call for call in programs.calls)


def test_a_unit_at_work_for_another_request_is_not_disturbed(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", "case $1 in show) echo activating;; esac")
    write_request(small.root, Step.INSTALL, Ticket("first", REQUEST))
    other = StepRequest(REQUEST.name, "1.2.0", "urgent")
    step = SystemdSteps(small.root).start(Step.INSTALL, other)
    write_result(small.root, "first", StepResult(Step.INSTALL, "1.1.0"))
    assert step.result().problem is Problem.INTERRUPTED
    step.close()
    assert read_request(small.root, Step.INSTALL).request == REQUEST


def test_close_ends_our_client_only_and_leaks_no_descriptor(small: SmallRoot, programs: Programs) -> None:
    programs.put("systemctl", "case $1 in show) echo inactive;; start) exec sleep 1000;; esac")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count is enough
    step = SystemdSteps(small.root).start(Step.DOWNLOAD, REQUEST)
    started = time.monotonic()
    step.close()
    step.close()
    assert time.monotonic() - started < 5
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"schema": 2}',
        '{"schema": 1, "id": "x"}',
        '{"schema": 1, "id": "x", "name": "a b", "version": "1", "urgency": "urgent"}',
        '{"schema": 1, "id": "x", "name": "ab", "version": "1", "urgency": "soon"}',
    ],
)
def test_a_damaged_request_is_told_apart(small: SmallRoot, content: str) -> None:
    path = request_path(small.root, Step.INSTALL)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(ValueError, match=r"install\.request\.json|package name"):
        read_request(small.root, Step.INSTALL)


@pytest.mark.parametrize("content", ["", '{"schema": 1, "id": "x"}', '{"schema": 1, "id": "y"}'])
def test_a_damaged_result_is_told_apart(small: SmallRoot, content: str) -> None:
    path = result_path(small.root, Step.INSTALL)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(ValueError, match=r"install\.result\.json"):
        read_result(small.root, Step.INSTALL, Ticket("x", REQUEST))
