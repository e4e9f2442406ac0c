"""The assistant's unit, as systemd and /proc tell of it (``ports.Service``)."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

from pi_hook import classic, manager
from pi_hook.apt_source import AUTH
from pi_hook.files import Root
from pi_hook.names import checked_name
from pi_hook.ports import ServiceError, ServiceState
from pi_hook.redact import redact, tail
from pi_hook.release_command import Running, wanted
from pi_hook.release_dir import ReleaseDir

if TYPE_CHECKING:
    from datetime import datetime

    from pi_hook.ports import ReleaseCommand

_PROPERTIES = ("LoadState", "ActiveState", "SubState", "Result", "NRestarts", "MainPID", "User", "Group")
_SHOW_SECONDS = 15
_RESTART_SECONDS = 180
_JOURNAL_SECONDS = 30
_JOURNAL_LINES = 400


class AssistantService:
    """``NAME.service``. Where systemd does not answer, the state says so and is neither active nor failed."""

    def __init__(self, name: str, root: Root | None = None) -> None:
        self._name = checked_name(name)
        self._unit = f"{name}.service"
        self._root = root or Root()
        self._releases = ReleaseDir(name, self._root)

    def state(self) -> ServiceState:
        """The state now."""
        try:
            shown = self._show()
        except ServiceError as error:
            return ServiceState(active=False, failed=False, restarts=0, main_pid=0, release=None, words=str(error))
        active, sub, result = shown["ActiveState"], shown["SubState"], shown["Result"]
        main_pid = int(shown["MainPID"] or 0)
        words = f"{active} ({sub})" + ("" if result in {"", "success"} else f" (Result: {result})")
        return ServiceState(
            active=active == "active" and sub == "running",
            failed=active == "failed",
            restarts=int(shown["NRestarts"] or 0),
            main_pid=main_pid,
            release=self._release_of(main_pid) if main_pid else None,
            words=words if shown["LoadState"] == "loaded" else f"unit is {shown['LoadState']}",
        )

    def _show(self) -> dict[str, str]:
        done = self._systemctl("show", f"--property={','.join(_PROPERTIES)}", self._unit, seconds=_SHOW_SECONDS)
        shown = dict.fromkeys(_PROPERTIES, "")
        for line in done.stdout.splitlines():
            key, _, value = line.partition("=")
            shown[key] = value
        if done.returncode != 0:
            raise ServiceError(f"systemd does not tell of {self._unit}: {done.stderr.strip()}")
        return shown

    def _release_of(self, pid: int) -> str | None:
        try:
            variables = self._root.at(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:  # it has just ended
            return None
        prefix = b"PI_OTA_RELEASE="
        told = next((v[len(prefix) :].decode(errors="replace") for v in variables if v.startswith(prefix)), None)
        return told or classic.running(self._name, pid, self._root)

    def _systemctl(self, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
        """Ask the systemd that runs the assistant. Raises ``ServiceError`` where it does not come back."""
        return manager.systemctl(manager.account_of(self._name, self._root), *arguments, seconds=seconds)

    def _make_way(self) -> None:
        """For a unit of an account: have its systemd up, and end a unit of the system that a version before was."""
        account = manager.account_of(self._name, self._root)
        if account is not None:
            manager.systemctl(None, "stop", self._unit, seconds=_RESTART_SECONDS)
            manager.systemctl(None, "start", account.unit, seconds=_RESTART_SECONDS)
            self._systemctl("daemon-reload", seconds=_RESTART_SECONDS)

    def restart(self) -> None:
        """``reset-failed``, then restart.

        Raises ``ServiceError`` where systemd refuses. A crash is no refusal, even where systemd already reports it (a
        ``Type=notify`` unit): it shows in ``state``.
        """
        self._make_way()
        shown = self._show()
        if shown["LoadState"] == "loaded" and (shown["ActiveState"], shown["SubState"]) != ("active", "running"):
            # In a crash loop systemd's own restart is due at any moment. Between the two calls below it would count in
            # NRestarts, and so against the release that is started here.
            self._systemctl("stop", self._unit, seconds=_RESTART_SECONDS)
        # A crash loop has used up the start limit: without this even the way back would be refused.
        self._systemctl("reset-failed", self._unit, seconds=_SHOW_SECONDS)
        done = self._systemctl("restart", self._unit, seconds=_RESTART_SECONDS)
        if done.returncode == 0:
            return
        shown = self._show()
        if shown["LoadState"] != "loaded" or (shown["ActiveState"], shown["Result"]) == ("inactive", "success"):
            raise ServiceError(f"systemd did not restart {self._unit}: {' '.join(done.stderr.split())}")

    def stop(self) -> None:
        """Stop it. Raises ``ServiceError`` where systemd refuses."""
        done = self._systemctl("stop", self._unit, seconds=_RESTART_SECONDS)
        if done.returncode != 0:
            raise ServiceError(f"systemd did not stop {self._unit}: {' '.join(done.stderr.split())}")

    def begin(self, command: ReleaseCommand, version: str) -> Running | None:
        """Start a command of a release as the service's user; None where the release names no such command."""
        folder = self._releases.folder(version)
        try:
            own = classic.installed(self._name, self._root)
            if own is not None and own.version == version:
                return None  # one ordinary package names no commands
            asked = wanted(command, folder, version, f"/var/lib/{self._name}/state")
            if asked is None:
                return None
            account = manager.account_of(self._name, self._root)
            if account is not None:
                asked = replace(asked, environment={**account.environment, **asked.environment})
                return Running(asked, user=account.name, group="", folder=folder, secrets=self._secrets)
            shown = self._show()
            return Running(asked, user=shown["User"], group=shown["Group"], folder=folder, secrets=self._secrets)
        except (OSError, ValueError) as error:
            raise ServiceError(str(error)) from error

    def journal_tail(self, since: datetime, max_characters: int = 16_384) -> str:
        """The unit's last journal lines since then, secrets removed; a sentence where there is no journal."""
        try:
            matches = manager.journal_matches(manager.account_of(self._name, self._root), self._unit)
        except ServiceError as error:
            return str(error)
        command = ["journalctl", *matches, f"--since=@{since.timestamp():.6f}"]
        command += [f"--lines={_JOURNAL_LINES}", "--output=short-iso", "--no-hostname", "--no-pager", "--quiet"]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_JOURNAL_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"the journal of {self._unit} cannot be read: {error}"
        # Redacted before it is cut: half a secret would not be recognised.
        return tail(redact(done.stdout or done.stderr, self._secrets()), max_characters)

    def _secrets(self) -> list[str]:
        """The device's own token, whatever it looks like."""
        try:
            lines = self._root.at(AUTH).read_text(encoding="utf-8").splitlines()
        except OSError:
            return []
        return [line.split(maxsplit=1)[1] for line in lines if line.startswith("password ")]
