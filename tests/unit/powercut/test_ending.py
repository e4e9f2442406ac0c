"""A campaign that is ended by SIGTERM leaves nothing running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = """
import sys, time
from concurrent.futures import ProcessPoolExecutor
from tests.powercut.__main__ import end_in_order, unless_ended

def work():
    try:
        print("at work", flush=True)
        time.sleep(600)
    finally:
        print("put away", flush=True)

end_in_order()
with ProcessPoolExecutor(1) as pool:
    try:
        done = [pool.submit(unless_ended, work) for _ in range(3)][0]
        print("waiting", flush=True)
        done.result()
    except KeyboardInterrupt:
        pool.shutdown(cancel_futures=True)
        print("ended", flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_what_its_workers_have_started(tmp_path: Path, number: signal.Signals) -> None:
    script = tmp_path / "campaign.py"
    script.write_text(CAMPAIGN)
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, start_new_session=True, env={"PYTHONPATH": "."}
    ) as process:
        assert process.stdout is not None
        assert {process.stdout.readline(), process.stdout.readline()} == {"at work\n", "waiting\n"}
        if number is signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        assert process.stdout.read().splitlines() == ["put away", "ended"]
