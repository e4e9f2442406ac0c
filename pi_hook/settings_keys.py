"""Every setting's name and the check of its value; the names are those of INTERFACES.md, the units are in them.

A check takes the TOML value and returns the value to use; it raises ``ValueError`` with words that complete
"SETTING must be …".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGE = re.compile(r"(?!.*-(?:app|deps|asset)-)[a-z0-9][a-z0-9.+-]+")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
_URL = re.compile(r"(https?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?/?")
_TOKEN = re.compile(r"[!-~]+")
_LARGEST_PORT = 65_535
_LARGEST_PIN = 53
"""BCM numbers: 0-27 on the header, up to 53 on a compute module."""
_TEN_YEARS = 315_360_000
_LARGEST_RATE = 1_000_000
MAY_SET = ("channel", "timezone", "hold")
"""What an operator can set for one device at the server; by default all of it (ADR 0010)."""


def _matching(pattern: re.Pattern[str], words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:  # noqa: ANN401  # a TOML value of any type
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise ValueError(words)
        return value

    return check


def _seconds(words: str, least: float, most: float, *, whole: bool = True) -> Callable[[Any], float]:
    def check(value: Any) -> float:  # noqa: ANN401  # a TOML value of any type
        kinds = (int,) if whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
            raise ValueError(f"a {'whole ' if whole else ''}number of seconds {words}")
        return value

    return check


def _kilobytes_per_second(value: Any) -> int:  # noqa: ANN401  # a TOML value of any type
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_RATE:
        raise ValueError(f"a whole number of kilobytes a second from 0 (no limit) to {_LARGEST_RATE}")
    return value


def _list(of: Callable[[Any], Any], words: str) -> Callable[[Any], list[Any]]:
    def check(value: Any) -> list[Any]:  # noqa: ANN401  # a TOML value of any type
        if not isinstance(value, list):
            raise ValueError(words)  # noqa: TRY004  # one kind of error for every check
        return [of(item) for item in value]

    return check


def _pin(value: Any) -> int:  # noqa: ANN401  # a TOML value of any type
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LARGEST_PIN:
        raise ValueError(f"a list of BCM pin numbers from 0 to {_LARGEST_PIN}")
    return value


def _one_of(*words: str) -> Callable[[Any], str]:
    def check(value: Any) -> str:  # noqa: ANN401  # a TOML value of any type
        if value not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return str(value)

    return check


_MAY_SET_WORDS = f"a list of {', '.join(MAY_SET)}, or an empty one"


def _of_may_set(value: Any) -> str:  # noqa: ANN401  # a TOML value of any type
    if value not in MAY_SET:
        raise ValueError(_MAY_SET_WORDS)
    return str(value)


def _proxy(value: Any) -> str:  # noqa: ANN401  # a TOML value of any type
    from pi_hook.proxy import parse_proxy  # noqa: PLC0415  # only where one is set

    parse_proxy(value if isinstance(value, str) else "")
    return str(value).rstrip("/")


def _yes_or_no(value: Any) -> bool:  # noqa: ANN401  # a TOML value of any type
    if not isinstance(value, bool):
        raise ValueError("true or false")  # noqa: TRY004  # one kind of error for every check
    return value


def _zone(value: Any) -> str:  # noqa: ANN401  # a TOML value of any type
    from pi_hook.zone import zone_named  # noqa: PLC0415  # zoneinfo only where a zone is named

    if not isinstance(value, str) or zone_named(value) is None:
        raise ValueError("the name of a timezone such as Europe/Berlin (see `timedatectl list-timezones`)")
    return value


def _url(value: Any) -> str:  # noqa: ANN401  # a TOML value of any type
    if not isinstance(value, str):
        raise ValueError("https://HOST or https://HOST:PORT")  # noqa: TRY004  # one kind of error for every check
    split_url(value)
    return value.rstrip("/")


def split_url(url: str) -> tuple[str, str, int]:
    """Scheme, host (without brackets) and port of ``https://HOST[:PORT]``. Raises ``ValueError``."""
    match = _URL.fullmatch(url)
    if match is None or int(match[3] or 1) not in range(1, _LARGEST_PORT + 1):
        raise ValueError("https://HOST or https://HOST:PORT, without path or credentials")
    port = int(match[3]) if match[3] else {"https": 443, "http": 80}[match[1]]
    return match[1], match[2].strip("[]"), port


KEYS: dict[str, Callable[[Any], Any]] = {
    "server.url": _url,
    "server.plain_http_hosts": _list(_matching(_HOST, "a list of host names"), "a list of host names"),
    "server.may_set": _list(_of_may_set, _MAY_SET_WORDS),
    "enrollment.token": _matching(_TOKEN, "the enrollment token as the server gave it, without blanks"),
    "device.timezone": _zone,
    "device.heartbeat_seconds": _seconds("from 5 to 86400", 5, 86_400),
    "assistant.name": _matching(_PACKAGE, "the Debian package name of the assistant, such as my-assistant"),
    "assistant.channel": _matching(_WORD, "the name of a channel, such as stable"),
    "network.proxy": _proxy,
    "network.bandwidth_kilobytes_per_second": _kilobytes_per_second,
    "window.start": _matching(_CLOCK_TIME, 'a wall time "HH:MM"'),
    "window.end": _matching(_CLOCK_TIME, 'a wall time "HH:MM"'),
    "window.quiet_seconds": _seconds("from 0 to 86400", 0, 86_400),
    "window.max_deferral_seconds": _seconds("from 0 to ten years", 0, _TEN_YEARS),
    "urgent.idle_required_seconds": _seconds("from 0 to 604800", 0, 604_800),
    "urgent.max_deferral_seconds": _seconds("from 0 to ten years", 0, _TEN_YEARS),
    "offline.grace_seconds": _seconds("from 0 to ten years", 0, _TEN_YEARS),
    "activity.gpio_pins": _list(_pin, f"a list of BCM pin numbers from 0 to {_LARGEST_PIN}"),
    "activity.gpio_pull": _one_of("up", "down", "none"),
    "activity.gpio_bounce_seconds": _seconds("from 0 to 10", 0, 10, whole=False),
    "activity.evdev": _list(
        _matching(re.compile(r"/dev/input/\S+"), "a list of paths under /dev/input"), "a list of paths under /dev/input"
    ),
    "system.packages": _one_of("none", "security", "all"),
    "system.reboot": _yes_or_no,
    "health.soak_seconds": _seconds("from 1 to 86400", 1, 86_400),
}


SECRET = frozenset({"enrollment.token", "network.proxy"})
"""Settings whose values are never shown, not even where they cannot be used."""


def nearest(name: str) -> str:
    """The valid setting whose name is most like this one."""
    import difflib  # noqa: PLC0415  # only on the way to an error; keeps the resident daemon small

    return max(sorted(KEYS), key=lambda known: difflib.SequenceMatcher(None, name, known).ratio())
