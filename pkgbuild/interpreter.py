"""An interpreter for uv that says it is another machine, where uv knows no ``--python-platform`` of that name (ARMv7).

uv asks the interpreter that it is given by running a program of its own with it, which prints JSON. Ours passes that
program to the Python that runs here, and puts another machine into the answer; everything else of uv stays as it is, so
that one resolver, with one set of rules and one cache, serves every target (docs/adr/0024-payloads.md).
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PROGRAM = """\
#!{python} -I
import json, subprocess, sys

done = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
try:
    answer = json.loads(done.stdout)
    answer["markers"]["platform_machine"] = {machine}
    answer.update({changes})
except (ValueError, KeyError, TypeError):
    answer = None  # not the question that this is for
sys.stdout.write(done.stdout if answer is None else json.dumps(answer))
sys.exit(done.returncode)
"""


def write(folder: Path, machine: str, glibc: tuple[int, int]) -> Path:
    """Write one into ``folder``: ``machine`` as ``uname -m`` says it (32 bits), with this version of the C library."""
    major, minor = glibc
    changes = {"os": {"name": "manylinux", "major": major, "minor": minor}, "arch": machine, "pointer_size": "32"}
    path = folder / f"python-{machine}"
    text = _PROGRAM.format(python=sys.executable, machine=json.dumps(machine), changes=json.dumps(changes))
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path
