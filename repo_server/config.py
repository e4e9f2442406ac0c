"""Settings: a TOML file, then the environment, then the command line; the later wins. Unknown keys are refused."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from repo_server import proxies, waves
from repo_server.errors import ConfigError
from repo_server.lifecycle import Patience
from repo_server.pace import Pace
from repo_server.presence import Tolerance
from repo_server.session_life import Life

ENVIRONMENT = "REPO_SERVER_"
"""``REPO_SERVER_PORT=8001`` sets ``port``."""
FILE_VARIABLE = "REPO_SERVER_CONFIG"
"""Names the settings file, as ``--config`` does."""


class Settings(BaseModel):
    """What the service can be told."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state_dir: Path
    """Holds the database; 0700."""
    repository_dir: Path | None = None
    """aptly's public folder, served under ``/repo/``; ``STATE/public`` where not given."""
    url: str | None = Field(default=None, pattern=r"^https://[a-z0-9][a-z0-9.-]*[a-z0-9]$")
    """Where devices and people reach the server, as ``https://updates.example.org``; `doctor` looks at what answers."""
    backup_dir: Path | None = None
    """Where ``repo-server backup`` puts copies of the database if no file is named; `doctor` looks how old they are."""
    host: str = "0.0.0.0"  # noqa: S104 - it serves a fleet; put it behind TLS, or bind it to loopback behind nginx
    """The address to listen on; ``127.0.0.1`` where nginx stands in front on the same machine."""
    port: int = Field(default=8000, ge=0, le=65535)
    """The port to listen on; 0 takes a free one and says which."""
    threads: int = Field(default=16, ge=1, le=256)
    """Requests that are served at once. A download holds a thread while it lasts."""
    one_processor: bool = True
    """The worker keeps to one processor, on which its threads change places faster than across two."""
    heartbeat_seconds: int = Field(default=300, ge=1, le=86_400)
    """What devices are told; they add jitter."""
    heartbeat_seconds_at_most: int = Field(default=3600, ge=1, le=86_400)
    """What devices are told where there are more than the server should hear each ``heartbeat_seconds``."""
    heartbeats_per_second: int = Field(default=400, ge=1, le=100_000)
    """How many the server should hear; the interval grows with the number of devices so that it does not hear more."""
    most_waiting: int = Field(default=400, ge=1, le=100_000)
    """Requests that may wait for a thread; heartbeats beyond it are told to come later."""
    missed_heartbeats: int = Field(default=3, ge=1, le=1_000)
    """A device is online until this many heartbeats are missing, then late."""
    lost_heartbeats: int = Field(default=288, ge=1, le=100_000)
    """A device is lost when this many heartbeats are missing: a day, at 300 s."""
    heartbeats_kept_hours: int = Field(default=168, ge=1, le=87_600)
    """How long heartbeats are kept; what was last heard of each device is kept for ever."""
    fleet_history_days: int = Field(default=400, ge=1, le=3_650)
    """How long the history of the fleet's numbers is kept, in samples of an hour in which the server ran."""
    busy_timeout_seconds: float = Field(default=5.0, gt=0, le=60)
    """How long a write waits for another process that holds the database."""
    log_format: Literal["text", "json"] = "text"
    """One line a request, for people or for programs."""
    event_streams: int | None = Field(default=None, ge=1, le=64)
    """How many may watch ``/api/v1/events`` at once; each holds a thread. By default a quarter of the threads."""
    accel_prefix: str | None = Field(default=None, pattern=r"^/([A-Za-z0-9_.-]+/)+$")
    """Behind nginx: the internal address of ``repository_dir`` there. We check who asks, nginx sends the bytes."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose ``X-Forwarded-For`` is believed; ``unix`` for a Unix socket's peers."""

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """Also as one text, as the environment has it: ``127.0.0.1,10.0.0.0/8``."""
        return tuple(filter(None, (part.strip() for part in value.split(",")))) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        proxies.networks(value)
        return value

    failed_attempts_per_minute: int = Field(default=30, ge=0, le=10_000)
    """Wrong credentials that an address may send, or that may be sent for one device, before 429; 0: any number."""
    session_seconds: int = Field(default=43_200, ge=300, le=30 * 86_400)
    """A person who has signed in has to do so again after so long: 12 hours."""
    session_idle_seconds: int = Field(default=7_200, ge=300, le=30 * 86_400)
    """… or after so long without a request: 2 hours."""
    approve_devices: bool = False
    """Every new device waits for an operator's approval, whatever its enrollment token says."""
    rollout_waves: str = "100%"
    """Of releases that bring none of their own, such as ``canary:1d,5%:1d,25%:12h,100%``."""
    failure_limit_percent: float = Field(default=5, ge=0, le=100)
    """A rollout halts when so many of the devices that have an outcome failed, unless the release says otherwise."""
    failure_limit_minimum: int = Field(default=3, ge=1, le=1_000_000)
    """And so many devices at least."""
    stuck_silent_seconds: int = Field(default=3_600, ge=1, le=30 * 86_400)
    """A device that began to install and says nothing for so long counts as failed."""
    stuck_progress_seconds: int = Field(default=7_200, ge=1, le=30 * 86_400)
    """One that goes on to say something, but not what comes next, is shown as stuck."""
    tick_seconds: float = Field(default=10, ge=0.05, le=3_600)
    """How often waves and stuck devices are looked at."""

    @field_validator("rollout_waves")
    @classmethod
    def _readable_waves(cls, text: str) -> str:
        waves.parse(text)
        return text

    @property
    def rollout(self) -> waves.Rollout:
        """The rollout of a release that brings none of its own."""
        limit = waves.FailureLimit(self.failure_limit_percent, self.failure_limit_minimum)
        return waves.Rollout(waves.parse(self.rollout_waves), limit)

    @property
    def patience(self) -> Patience:
        """How long a device that has started may take; a device is never silent while it still counts as online."""
        silent = max(timedelta(seconds=self.stuck_silent_seconds), self.online_for)
        return Patience(silent, timedelta(seconds=self.stuck_progress_seconds))

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.state_dir / "repo_server.db"

    @property
    def repository(self) -> Path:
        """The folder under ``/repo/``."""
        return self.repository_dir if self.repository_dir is not None else self.state_dir / "public"

    @property
    def online_for(self) -> timedelta:
        """How long after its last heartbeat a device is online, unless it was told to come less often."""
        return timedelta(seconds=self.heartbeat_seconds * self.missed_heartbeats)

    @property
    def heartbeats_kept(self) -> timedelta:
        """How long heartbeats are kept."""
        return timedelta(hours=self.heartbeats_kept_hours)

    @property
    def samples_kept(self) -> int:
        """How many samples of the fleet's numbers are kept: one an hour."""
        return self.fleet_history_days * 24

    @property
    def pace(self) -> Pace:
        """How often devices are told to come."""
        return Pace(self.heartbeat_seconds, self.heartbeat_seconds_at_most, self.heartbeats_per_second)

    @property
    def tolerance(self) -> Tolerance:
        """When a silent device is late, and lost."""
        return Tolerance(self.missed_heartbeats, max(self.missed_heartbeats, self.lost_heartbeats))

    @property
    def session_life(self) -> Life:
        """How long a session lasts."""
        return Life(timedelta(seconds=self.session_idle_seconds), timedelta(seconds=self.session_seconds))

    @property
    def streams(self) -> int:
        """How many may watch events at once."""
        return self.event_streams if self.event_streams is not None else max(1, self.threads // 4)

    def environment(self) -> dict[str, str]:
        """The same settings as environment variables, for the process that gunicorn runs."""
        values = self.model_dump(mode="json", exclude_none=True)
        return {
            ENVIRONMENT + name.upper(): ",".join(value) if isinstance(value, list) else str(value)
            for name, value in values.items()
        }


def load(given: Mapping[str, Any], environ: Mapping[str, str], file: Path | None = None) -> Settings:
    """Settings from all three. ``given``: from the command line, None where not given.

    Raises ``ConfigError`` with a sentence that names the setting and where it came from.
    """
    named = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    values: dict[str, Any] = _from_file(named) if named is not None else {}
    unknown = sorted(set(values) - set(Settings.model_fields))
    if unknown:
        raise ConfigError(f"{named}: unknown setting {unknown[0]!r}; known are {', '.join(Settings.model_fields)}")
    values |= {
        name: environ[ENVIRONMENT + name.upper()]
        for name in Settings.model_fields
        if environ.get(ENVIRONMENT + name.upper())
    }
    values |= {name: value for name, value in given.items() if value is not None}
    if "state_dir" not in values:
        raise ConfigError(
            "no state folder: give --state DIR, or set REPO_SERVER_STATE_DIR or state_dir in the TOML file"
        )
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"setting {first['loc'][0]}: {message}") from None


def _from_file(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the settings file {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
