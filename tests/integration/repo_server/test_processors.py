"""The real worker keeps to one processor unless it is told otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.server import running_server


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="this machine has one processor only")
@pytest.mark.parametrize(("wanted", "processors_of_it"), [("true", 1), ("false", len(os.sched_getaffinity(0)))])
def test_the_real_worker_does_as_the_setting_says(tmp_path: Path, wanted: str, processors_of_it: int) -> None:
    with running_server(tmp_path, environ={"REPO_SERVER_ONE_PROCESSOR": wanted}) as server:
        (worker,) = server.workers()
        assert len(os.sched_getaffinity(worker)) == processors_of_it
