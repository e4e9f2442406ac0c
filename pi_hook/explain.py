"""``pi-hook explain``: what would the gate say? Needs no daemon, no root and no server: the support tool."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pi_hook.config import merge, read_fragment, rules_of
from pi_hook.errors import EXIT_USAGE, PiHookError
from pi_hook.policy import Rules, Situation, Urgency, decide
from pi_hook.status import gate_status
from pi_hook.wire import parse_time
from pi_hook.zone import device_zone, zone_named

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|min|h|d)")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_UNITS = {"s": 1, "min": 60, "h": 3600, "d": 86_400}
_EARLIEST, _LATEST = datetime(1900, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)


class QuestionError(PiHookError):
    """An option of ``explain`` cannot be understood."""

    kind = "usage"
    exit_status = EXIT_USAGE


def parse_duration(text: str) -> timedelta:
    """``90s``, ``10min``, ``3h``, ``8d``, or several in a row (``1h30min``). Raises ``QuestionError``."""
    parts = list(_DURATION.finditer(text))
    if not parts or "".join(part[0] for part in parts) != text:
        raise QuestionError(f"{text!r} is not a duration; write 90s, 10min, 3h or 8d")
    try:
        return timedelta(seconds=sum(float(part[1]) * _UNITS[part[2]] for part in parts))
    except OverflowError as error:
        raise QuestionError(f"{text!r} is too long") from error


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--at", metavar="TIME", help="the instant, e.g. 2026-03-29T01:30:00Z (default: now)")
    parser.add_argument("--timezone", metavar="ZONE", help="an IANA zone, e.g. Europe/Berlin (default: this machine's)")
    parser.add_argument("--idle", metavar="DURATION", help="time without activity: 90s, 10min, 3h (default: unknown)")
    parser.add_argument(
        "--urgency", choices=[str(each) for each in Urgency], default="scheduled", help="(default: scheduled)"
    )
    parser.add_argument("--waiting", metavar="DURATION", default="0s", help="how long the release has been granted")
    parser.add_argument("--busy", action="store_true", help="the assistant is busy, nobody knows for how long")
    parser.add_argument("--clock-unsynced", action="store_true", help="the time is not known")
    parser.add_argument("--withheld", action="store_true", help="the server withholds the release")
    parser.add_argument("--held", action="store_true", help="a person holds the device")
    parser.add_argument("--device-id", metavar="UUID", help="use this device's offset in the window (default: none)")
    parser.add_argument("--config", metavar="FILE", help="use the rules of this settings file (default: the defaults)")
    parser.add_argument("--json", action="store_true", help="for programs")


def explain(options: argparse.Namespace, config: Path | None) -> dict[str, Any]:
    """The gate's answer: ``decision``, ``reason``, ``retry_at``, and ``words``. Raises ``QuestionError``."""
    merged = merge([read_fragment(config)]) if config is not None else {}
    rules = rules_of(merged) if config is not None else Rules()
    named = options.timezone or merged.get("device.timezone")
    zone = zone_named(named) if named else device_zone(None).zone
    if zone is None:
        raise QuestionError(f"there is no timezone {named!r}; see `timedatectl list-timezones`")
    situation = Situation(
        now=_instant(options.at),
        synchronised=not options.clock_unsynced,
        zone=zone,
        idle=None if options.idle in {None, "unknown"} else parse_duration(options.idle),
        urgency=Urgency(options.urgency),
        waiting=parse_duration(options.waiting),
        device_id=_device_id(options.device_id),
        held=options.held,
        withheld=options.withheld,
        busy=options.busy,
    )
    return gate_status(decide(situation, rules))


def _device_id(text: str | None) -> str | None:
    if text is None:
        return None
    if not _UUID.fullmatch(text.lower()):
        raise QuestionError(f"--device-id {text!r} is not a UUID; the server's list of devices tells it")
    return text.lower()


def _instant(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC)
    try:
        instant = parse_time(text, "--at")
    except PiHookError as error:
        raise QuestionError(f"{error}; write it as 2026-03-29T01:30:00Z") from error
    if not _EARLIEST <= instant <= _LATEST:
        raise QuestionError("--at must lie between the years 1900 and 9000")
    return instant
