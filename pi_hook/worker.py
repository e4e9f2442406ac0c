"""What ``pi-hook worker STEP`` does inside ``pi-hook-STEP.service``: read the request, do it, leave the result."""

from __future__ import annotations

import logging
import signal
import sys
from typing import TYPE_CHECKING

from pi_hook import recovery
from pi_hook.apt_errors import StepError
from pi_hook.files import Root
from pi_hook.ports import Problem, Step, StepResult, SystemRequest
from pi_hook.step_files import answered, read_request, read_result, write_result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pi_hook.ports import Request

_log = logging.getLogger(__name__)


def run_step(step: Step, root: Root) -> StepResult | None:
    """Do the requested step and leave its result durably; None where there is no request to work on."""
    try:
        ticket = read_request(root, step)
    except ValueError as error:
        _log.error("nothing to do: %s", error)
        return None
    request = ticket.request
    if answered(root, step, ticket):
        # A daemon that joined a unit in the instant it ended has started it again; nobody asked the gate for that.
        _log.info("%s of %s %s is done already", step, request.name, request.version)
        return read_result(root, step, ticket)
    _log.info("%s of %s %s begins", step, request.name, request.version)
    try:
        result = _do(step, request, root)
    except StepError as error:
        result = StepResult(step, request.version, error.problem, str(error))
    except OSError as error:
        result = StepResult(step, request.version, _os_problem(error), f"the {step} stopped: {error}")
    except Exception as error:  # noqa: BLE001 - the daemon must get an answer
        _log.exception("%s of %s %s broke off", step, request.name, request.version)
        result = StepResult(step, request.version, Problem.INTERRUPTED, f"the {step} broke off: {error!r}")
    write_result(root, ticket.id, result)
    level = logging.INFO if result.problem is None else logging.WARNING
    _log.log(level, "%s: %s%s", step, f"{result.problem}: " if result.problem else "", result.message)
    return result


def _do(step: Step, request: Request, root: Root) -> StepResult:
    from pi_hook import steps, system_steps  # noqa: PLC0415 - python-apt costs memory that a wrong call need not pay

    if step in {Step.INSTALL, Step.REINSTALL, Step.SYSTEM}:
        # A shutdown waits for the transaction (TimeoutStopSec); dpkg and its scripts inherit this.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if isinstance(request, SystemRequest):
        return {Step.LISTS: system_steps.lists, Step.SYSTEM: system_steps.upgrade}[step](request, root)
    work = {Step.REFRESH: steps.refresh, Step.DOWNLOAD: steps.download, Step.INSTALL: steps.install}
    work[Step.REINSTALL] = steps.reinstall
    return work[step](request, root)


_ERRNO = {28: Problem.DISK_FULL, 122: Problem.DISK_FULL, 30: Problem.READ_ONLY_ROOT}  # ENOSPC, EDQUOT, EROFS


def _os_problem(error: OSError) -> Problem:
    return _ERRNO.get(error.errno or 0, Problem.INTERRUPTED)


def main(arguments: Sequence[str] | None = None) -> int:
    """``worker STEP`` or ``worker recover``.

    Exit status 0 when a result was left (good or bad), 1 when there was no request to work on, 2 on misuse.
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["recover"]:
        return recovery.main()
    if len(given) != 1 or given[0] not in set(Step):
        sys.stderr.write(f"usage: pi-hook worker {{{'|'.join(Step)}|recover}}\n")
        return 2
    return 0 if run_step(Step(given[0]), Root()) else 1


if __name__ == "__main__":
    sys.exit(main())
