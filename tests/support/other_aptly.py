"""The aptly of a Debian release, whatever this machine has: unpacked into ``.cache/aptly`` and never installed.

``make test-aptly`` runs the tests of publishing with each. Needs root for the chroot in which apt fetches it; the first
use needs the network.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.apt_root import CHECKOUT, SUITES, AptRoot, base

CACHE = CHECKOUT / ".cache" / "aptly"


def programs(suite: str) -> Path:
    """The folder with its ``aptly``, for the front of ``PATH``."""
    folder = CACHE / suite
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            making = CACHE / f"{suite}-making"
            shutil.rmtree(making, ignore_errors=True)  # of a run that was cut off
            with tempfile.TemporaryDirectory() as name, AptRoot((base(suite),), Path(name, "system")) as system:
                system.run("apt-get", "update")
                system.run("sh", "-c", "cd /root && apt-get download aptly")
                (deb,) = (system.path / "root").glob("aptly_*.deb")
                subprocess.run(["dpkg-deb", "--extract", str(deb), str(making)], check=True)
            making.rename(folder)
    return folder / "usr/bin"


def main() -> int:
    """Run the command of the arguments once with each release's aptly; the first status that is not 0."""
    for suite in SUITES:
        path = f"{programs(suite)}:{os.environ['PATH']}"
        said = subprocess.run(["aptly", "version"], env={**os.environ, "PATH": path}, capture_output=True, check=True)
        print(f"== {said.stdout.decode().strip()} of {suite}", flush=True)
        status = subprocess.run(sys.argv[1:], env={**os.environ, "PATH": path}, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
