"""Whether the system asks for a restart, and restarting it (``ports.Machine``)."""

from __future__ import annotations

import logging
import re
import subprocess

from pi_hook.dpkg import query
from pi_hook.files import Root
from pi_hook.ports import RebootFlag

_log = logging.getLogger(__name__)

# The same place on Debian; not where /var/run is a folder of its own.
_FLAGS = ("/run/reboot-required", "/var/run/reboot-required")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9.+-]+")
_SYSTEMCTL_SECONDS = 30
_MOST_CAUSE = 2_000
"""Characters of a cause: it is remembered."""


class SystemMachine:
    """``ports.Machine`` over Debian's convention, ``reboot-required`` and ``reboot-required.pkgs``."""

    def __init__(self, root: Root | None = None) -> None:
        self._root = root or Root()

    def reboot_flag(self) -> RebootFlag | None:
        """Whether some package has asked for a restart since the boot."""
        for path in _FLAGS:
            if self._root.at(path).exists():
                return RebootFlag(self._cause(f"{path}.pkgs"))
        return None

    def _cause(self, path: str) -> str | None:
        """The packages with the versions that are installed now: the next version of one is another cause."""
        try:
            names = sorted({line.strip() for line in self._root.at(path).read_text(errors="replace").splitlines()})
        except OSError:
            return None
        named = [name for name in names if _PACKAGE.fullmatch(name)]
        try:
            versions = {state.package: state.version for state in query(self._root, *named)} if named else {}
        except OSError as error:
            _log.warning("the versions of what asks for a restart are unknown: %s", error)
            versions = {}
        return ", ".join(f"{name} {versions.get(name, '')}".rstrip() for name in named)[:_MOST_CAUSE] or None

    def reboot(self) -> None:
        """Shut down in order and start again; returns at once."""
        try:
            done = subprocess.run(
                ["systemctl", "--no-block", "reboot"],
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_SYSTEMCTL_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise OSError(f"systemd does not answer: {error}") from error
        if done.returncode != 0:
            raise OSError(f"systemd refuses to restart the device: {' '.join(done.stderr.split())}")
