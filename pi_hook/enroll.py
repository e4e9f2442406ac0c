"""First boot: take the settings from the SD card, register, and forget the enrollment token once it has been used."""

from __future__ import annotations

import logging
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from pi_hook import __version__
from pi_hook.config import BOOT_FILE, SETTINGS_FILE, SETTINGS_FOLDER, load, merge, read_fragment
from pi_hook.errors import PiHookError, RefusedError, ServerError
from pi_hook.files import remove_durably, write_atomic
from pi_hook.wire import Registration

if TYPE_CHECKING:
    from pi_hook.client import Server
    from pi_hook.config import Settings
    from pi_hook.hostinfo import Host
    from pi_hook.identity import Identity
    from pi_hook.wire import Registered

_log = logging.getLogger(__name__)
_FROM_BOOT = "boot.toml"
_MODE = 0o600
_TABLE = re.compile(r"\s*\[\s*(?P<name>[^\[\]]+?)\s*\]\s*(#.*)?")
_TOKEN_LINE = re.compile(r"\s*token\s*=")


class EnrollError(PiHookError):
    """The device cannot register."""

    kind = "not_enrolled"


def consume_boot_file(boot: Path = BOOT_FILE, folder: Path = SETTINGS_FOLDER) -> bool:
    """Move the settings dropped on the SD card into ``/etc/pi-hook/pi-hook.d``; True where there were any.

    Checked first: a file that cannot be used stays on the card, where its writer finds it. Raises ``SettingsError``.
    """
    if not boot.exists():
        return False
    merge([read_fragment(boot)])
    write_atomic(folder / _FROM_BOOT, boot.read_text(encoding="utf-8"), _MODE)
    remove_durably(boot)
    _log.info("took the settings from %s", boot)
    return True


def register(server: Server, settings: Settings, identity: Identity, host: Host, timezone: str) -> Registered:
    """Register this device; repeating it is harmless. Raises ``EnrollError`` without a token, and ``ServerError``."""
    if settings.enrollment_token is None:
        raise EnrollError(
            f"this device is not registered and has no enrollment token; put one under [enrollment] in {SETTINGS_FILE} "
            f"or in {BOOT_FILE}"
        )
    registration = Registration(
        id=identity.device_id,
        token_sha256=identity.token_sha256,
        hostname=host.hostname,
        timezone=timezone,
        assistant=settings.assistant,
        channel=settings.channel,
        agent_version=__version__,
        debian=host.debian,
        architecture=host.architecture,
        model=host.model,
    )
    return server.register(settings.enrollment_token, registration)


def forget_enrollment_token(file: Path = SETTINGS_FILE, folder: Path = SETTINGS_FOLDER) -> None:
    """Delete the used token from every settings file; all else in them, comments included, stays as it is.

    A form of writing it that is not understood is left, and said: nothing but the token may change.
    """
    for path in [file, *sorted(folder.glob("*.toml"))]:
        try:
            text = path.read_text(encoding="utf-8")
            before = tomllib.loads(text)
        except (OSError, ValueError):
            continue
        if "token" not in before.get("enrollment", {}):
            continue
        without = _without_token(text)
        if not _parses_to(without, before):
            _log.warning("the used enrollment token in %s has to be deleted by hand", path)
            continue
        try:
            write_atomic(path, without, _MODE)
        except OSError as error:
            _log.warning("the used enrollment token in %s has to be deleted by hand: %s", path, error)
        else:
            _log.info("deleted the used enrollment token from %s", path)


def _without_token(text: str) -> str:
    kept, table = [], ""
    for line in text.splitlines(keepends=True):
        heading = _TABLE.fullmatch(line.rstrip("\n"))
        if heading:
            table = heading["name"].strip()
        if not (table == "enrollment" and _TOKEN_LINE.match(line)):
            kept.append(line)
    return "".join(kept)


def _parses_to(text: str, before: dict[str, dict[str, object]]) -> bool:
    wanted = {**before, "enrollment": {k: v for k, v in before["enrollment"].items() if k != "token"}}
    try:
        after = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return {"enrollment": {}, **after} == wanted


_ADVICE = {
    401: "the server does not know this enrollment token, or it is used up: make a new one with "
    "`repo-server enroll-token create` and put it under [enrollment]",
    403: "the server does not let this token enroll devices: put one of `repo-server enroll-token create` under "
    "[enrollment]",
    404: "server.url does not lead to a pi-ota server",
    409: "the daemon goes on asking by itself, until an operator has approved this device's new token or "
    "`rm /var/lib/pi-hook/identity.json` has given it another id",
    410: "this device was decommissioned: `rm /var/lib/pi-hook/identity.json` gives it a new id, with which it enrolls",
    422: "the server does not accept what this device says of itself; the field is named",
}


def enroll_now(state_folder: Path) -> str:
    """What ``pi-hook enroll`` does; the sentence to show. Raises ``PiHookError``, each with what to do next."""
    # Here, because the daemon does not come this way.
    from pi_hook.identity import load_or_create  # noqa: PLC0415
    from pi_hook.state import read_memory  # noqa: PLC0415

    try:
        consume_boot_file()
        settings = load()
        identity = load_or_create(state_folder / "identity.json")
        memory = read_memory(state_folder / "state.json")
    except OSError as error:
        raise EnrollError(
            f"{error.filename or state_folder}: {error.strerror}; enrolling is for root: use sudo"
        ) from error
    if memory is not None and memory.registered and settings.enrollment_token is None:
        if memory.stopped is not None:
            raise EnrollError(f"this device ({identity.device_id}) is registered, but refused: {memory.stopped}")
        return f"registered already as {identity.device_id}; `pi-hook status` tells how it stands"
    return _enroll(settings, identity)


def _enroll(settings: Settings, identity: Identity) -> str:
    from pi_hook.assemble import real_server  # noqa: PLC0415  # the daemon does not come this way
    from pi_hook.hostinfo import read_host  # noqa: PLC0415
    from pi_hook.zone import device_zone  # noqa: PLC0415

    zone = device_zone(settings.timezone).name
    try:
        answer = register(real_server(settings), settings, identity, read_host(), zone)
    except RefusedError as error:
        advice = _ADVICE.get(error.status or 0)
        raise EnrollError(f"{error}; {advice}" if advice else str(error)) from error
    except ServerError as error:
        raise EnrollError(
            f"{error}; check server.url and the network, or wait: the daemon goes on trying by itself"
        ) from error
    # The token stays for the daemon, which registers in the same words, writes the apt source, and then deletes it.
    approval = "" if answer.state == "active" else "; an operator has to approve it before it is offered anything"
    return (
        f"registered as {answer.id} ({answer.state}) on channel {answer.channel}; `systemctl restart pi-hook` goes on"
        f"{approval}"
    )
