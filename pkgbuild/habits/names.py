"""The names of a Supabase-style set-up's `.env` files: what each is here. Pure.

docs/MIGRATION.md has them as a table that is made from this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pkgbuild.habits.env_file import Value

_PINS = "activity.gpio_pins"


@dataclass(frozen=True, slots=True)
class OldName:
    """Names that mean one thing, and what that is for each part; None where a part has no use for it."""

    names: tuple[str, ...]
    words: str
    """What becomes of it, and what to do where it has no counterpart."""
    device: str | None = None
    """A setting of pi-hook.toml."""
    server: str | None = None
    """An environment variable of repo-server."""
    builder: str | None = None
    """A variable of `make release`."""


NAMES = (
    OldName(("SRC",), "the folder with release.toml that `create_update.sh` releases", builder="SRC"),
    OldName(("PKGBUILD_CONFIG",), "the builder's settings", builder="PKGBUILD_CONFIG"),
    OldName(
        ("SERVER_URL",),
        "the address of repo-server, not of the server before it; on the builder only together with a SERVER_API_KEY "
        "of it",
        device="server.url",
        builder="PKGBUILD_SERVER_URL",
    ),
    OldName(
        ("SERVER_API_KEY",),
        "a key of repo-server: make one with `repo-server api-key create --role builder`. The old server's key is not "
        "known here",
        builder="PKGBUILD_SERVER_API_KEY",
    ),
    OldName(
        ("UPDATE_CHANNEL", "CHANNEL"),
        "the channel to release on, or to follow",
        device="assistant.channel",
        builder="CHANNEL",
    ),
    OldName(
        ("DEVICE_TIMEZONE",),
        "the device's time zone; the daemon also reads it from its own environment",
        device="device.timezone",
    ),
    OldName(
        ("BUTTON_PIN",),
        "the button whose use counts as activity. Where the assistant itself claims that pin, leave it out and let the "
        "assistant call `pi-hook activity`",
        device=_PINS,
    ),
    OldName(("HOST",), "the address that the server listens on", server="REPO_SERVER_HOST"),
    OldName(("PORT",), "the port that the server listens on", server="REPO_SERVER_PORT"),
    OldName(
        ("SUPABASE_URL", "SUPABASE_KEY", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_KEY", "SUPABASE_SERVICE_ROLE_KEY"),
        "not needed: devices and updates are with repo-server, packages in aptly's repository. Revoke the keys at "
        "Supabase once the last device has moved",
    ),
    OldName(
        ("CLIENT_API_KEY", "API_KEY"),
        "no counterpart: each device has a token of its own. Make an enrollment token with `repo-server enroll-token "
        "create` and write it as `token` under `[enrollment]` into pi-hook.toml",
    ),
    OldName(
        ("DEVICE_ID", "DEVICE_UUID"),
        "no counterpart: the agent makes an id of its own at its first start. Give the device its old one as a name, "
        "if you look for it by that",
    ),
    OldName(
        ("DEVICE_NAME",), "no counterpart: name the device on its page, or with `PATCH /api/v1/devices/{device_id}`"
    ),
    OldName(("LOG_LEVEL",), "no counterpart: the server writes one line a request; `log_format` says in which form"),
    OldName(("ALLOWED_ORIGINS",), "no counterpart: pages and API have one origin, and no other is let in"),
)
_OTHERS = (
    "not used here: a setting of the assistant itself. Keep it on the device, out of the release, which every device "
    "can read: `systemctl edit NAME` with `EnvironmentFile=` there"
)
_KEY_PREFIX = "pik_"
_TO_FILL_IN = ("server.url", "enrollment.token", "assistant.name")
_BY_NAME = {name: one for one in NAMES for name in one.names}


def for_release(values: Mapping[str, Value]) -> tuple[dict[str, str], list[str]]:
    """The variables of `make release` that an `.env` file means, and a sentence for each name that is not taken."""
    taken, refused = _usable(values, {name: one.builder for name, one in _BY_NAME.items()})
    key = values.get("SERVER_API_KEY")
    ours = key is not None and key.text.startswith(_KEY_PREFIX)
    if "PKGBUILD_SERVER_URL" in taken and not ours:
        why = "it is taken together with a SERVER_API_KEY of repo-server only"
        refused["SERVER_URL"] = f"{why}; the address and key in pkgbuild.toml count"
    if "PKGBUILD_SERVER_API_KEY" in taken and (not ours or "PKGBUILD_SERVER_URL" not in taken):
        refused["SERVER_API_KEY"] = "not used: " + _BY_NAME["SERVER_API_KEY"].words
    given = {variable: values[name].text for variable, name in taken.items() if name not in refused}
    return given, said([name for name in values if name in refused or name not in taken.values()], refused)


def _usable(values: Mapping[str, Value], places: Mapping[str, str | None]) -> tuple[dict[str, str], dict[str, str]]:
    """Where each value goes that can be used, by its place; and why others cannot, by their names."""
    taken: dict[str, str] = {}
    refused = {}
    for name, value in values.items():
        place = places.get(name)
        if place is None:
            continue
        if value.would_be_carried_out:
            refused[name] = f"not used: a shell would carry out line {value.line}; write it in single quotes"
        elif place == _PINS and not re.fullmatch(r"\d+( *, *\d+)*", value.text):
            refused[name] = "not used: it is no number of a pin, as 17 or 17,27"
        else:
            if place in taken:
                refused[taken[place]] = f"not used: {name} means the same, and stands behind it"
            taken[place] = name
    return taken, refused


def said(values: Iterable[str], instead: Mapping[str, str] | None = None) -> list[str]:
    """What becomes of each name, those with the same words in one sentence."""
    by_words: dict[str, list[str]] = {}
    for name in values:
        words = (instead or {}).get(name) or (_BY_NAME[name].words if name in _BY_NAME else _OTHERS)
        by_words.setdefault(words, []).append(name)
    return [f"{', '.join(names)}: {words}" for words, names in by_words.items()]


def for_device(values: Mapping[str, Value]) -> tuple[str, list[str]]:
    """The pi-hook.toml that an `.env` file of a device means, and what became of each name."""
    taken, refused = _usable(values, {name: one.device for name, one in _BY_NAME.items()})
    tables: dict[str, list[str]] = {}
    for setting in [*taken, *(one for one in _TO_FILL_IN if one not in taken)]:
        table, _, key = setting.partition(".")
        text = values[taken[setting]].text if setting in taken else ""
        shown = f"[{text}]" if setting == _PINS else _quoted(text)
        tables.setdefault(table, []).append(f"{key} = {shown}" if setting in taken else f'# {key} = "…"')
    lines = "\n".join("\n".join([f"[{table}]", *lines, ""]) for table, lines in tables.items())
    return lines, _became(values, taken, refused)


def for_server(values: Mapping[str, Value]) -> tuple[str, list[str]]:
    """The EnvironmentFile of repo-server that an `.env` file of a server means, and what became of each name."""
    taken, refused = _usable(values, {name: one.server for name, one in _BY_NAME.items()})
    text = "".join(f"{variable}={_quoted(values[name].text)}\n" for variable, name in taken.items())
    return text, _became(values, taken, refused)


def _became(values: Iterable[str], taken: Mapping[str, str], refused: Mapping[str, str]) -> list[str]:
    """What each name is now, to be looked at once more: the old value may not be the new one."""
    now = [f"{name} is {place} now: {_BY_NAME[name].words}" for place, name in taken.items()]
    return now + said([name for name in values if name not in taken.values()], refused)


def _quoted(text: str) -> str:
    """As TOML reads it, by JSON's escapes and one more; of a host and a port systemd reads the same."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
