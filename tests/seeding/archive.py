"""What of the published repository the server reads: when each suite was signed, and until when the keys are good."""

from __future__ import annotations

import email.utils
from datetime import datetime, timedelta
from pathlib import Path

from repo_server import times

_ARCHIVE, _BUILDER, _NEXT = "6B1F" * 10, "A40C" * 10, "51D7" * 10


def publish(public: Path, now: datetime) -> None:
    """Two suites for each Debian: stable signed an hour ago, beta four days ago; a builder's key that ends soon."""
    for debian in ("bookworm", "trixie"):
        for channel, ago in (("stable", timedelta(hours=1)), ("beta", timedelta(days=4))):
            suite = public / debian / "dists" / channel
            (suite / "main" / "binary-arm64").mkdir(parents=True)
            date = email.utils.format_datetime(now - ago, usegmt=True)
            (suite / "InRelease").write_text(f"Origin: pi-ota\nSuite: {channel}\nDate: {date}\n", encoding="ascii")
            (suite / "main" / "binary-arm64" / "Packages").write_text(_keyring(now), encoding="ascii")


def _keyring(now: datetime) -> str:
    def until(days: int) -> str:
        return times.render((now + timedelta(days=days)).replace(hour=0, minute=0, second=0))

    return (
        "Package: pi-ota-keyring\nVersion: 3\nArchitecture: all\n"
        f"Archive-Keys: {_ARCHIVE} {until(1_640)}\n"
        f"Builder-Keys: {_BUILDER} {until(38)}, {_NEXT} {until(1_790)}\n\n"
    )
