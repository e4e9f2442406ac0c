"""Debian's own apt on a state folder of its own, which knows one repository only; this machine stays as it is."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class AptClient:
    """Fetches as a device does, with its credentials."""

    root: Path
    source: str
    """A line of sources.list."""
    machine: str
    """The server's address, as auth.conf names it."""
    login: str
    password: str
    architectures: tuple[str, ...] = ("amd64",)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """``apt-get COMMAND``; downloads lie in ``root``."""
        for folder in ("state/lists/partial", "cache/archives/partial", "parts", "auth"):
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        (self.root / "status").touch()
        login = f"machine {self.machine} login {self.login} password {self.password}\n"
        (self.root / "auth" / "pi-ota.conf").write_text(login)
        (self.root / "sources.list").write_text(f"{self.source}\n")
        settings = {
            "Dir::State": self.root / "state", "Dir::State::status": self.root / "status",
            "Dir::Cache": self.root / "cache", "Dir::Etc::sourcelist": self.root / "sources.list",
            "Dir::Etc::sourceparts": "-", "Dir::Etc::parts": self.root / "parts",
            "Dir::Etc::netrcparts": self.root / "auth", "APT::Architecture": self.architectures[0],
            "APT::Sandbox::User": "root", "Acquire::Retries": "0", "Acquire::Languages": "none",
            "Acquire::http::Proxy": "DIRECT", "Acquire::GzipIndexes": "false",
        }  # fmt: skip
        options = [part for key, value in settings.items() for part in ("-o", f"{key}={value}")]
        options += [part for one in self.architectures for part in ("-o", f"APT::Architectures::={one}")]
        return subprocess.run(
            ["apt-get", *options, "-q", *command],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=self.root,
            check=False,
        )

    def lists(self) -> list[Path]:
        """The ``Packages`` that apt has accepted."""
        return sorted((self.root / "state" / "lists").glob("*_Packages"))
