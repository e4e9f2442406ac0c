"""The device's identity: a UUIDv7 (RFC 9562) and a token, made at first boot and durable before they are used."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pi_hook.errors import IdentityError
from pi_hook.files import write_atomic

if TYPE_CHECKING:
    from pathlib import Path

_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_TOKEN_BYTES = 32
_LEAST_TOKEN = 32
_MODE = 0o600


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this device is; the server knows only the token's hash."""

    device_id: str
    token: str = field(repr=False)
    """The one in use."""
    next_token: str | None = field(default=None, repr=False)
    """See ``pi_hook.rotation`` for this and the following."""
    previous_token: str | None = field(default=None, repr=False)

    @property
    def token_sha256(self) -> str:
        """64 hex digits."""
        return hashlib.sha256(self.token.encode()).hexdigest()


def uuid7(milliseconds: int, random_bits: int) -> str:
    """RFC 9562, 5.7: 48 bits of Unix time in milliseconds, then 74 random bits around version and variant."""
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76 | (random_bits >> 62 & 0xFFF) << 64
    value |= 0b10 << 62 | random_bits & (1 << 62) - 1
    text = f"{value:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def load_or_create(path: Path) -> Identity:
    """The identity in ``path``; made and written (0600, durably) where there is none yet.

    Raises ``IdentityError`` where the file cannot be used: a new identity would leave the server with a dead device and
    is a person's decision.
    """
    try:
        return load(path)
    except FileNotFoundError:
        import secrets  # noqa: PLC0415  # once in the life of a device

        identity = Identity(uuid7(time.time_ns() // 1_000_000, secrets.randbits(74)), new_token())
        write(path, identity)
        return identity


def new_token() -> str:
    """256 random bits."""
    import secrets  # noqa: PLC0415  # seldom in the life of a device

    return secrets.token_urlsafe(_TOKEN_BYTES)


def write(path: Path, identity: Identity) -> None:
    """Make the identity durable, 0600; an agent older than the other tokens goes by ``token``. Raises ``OSError``."""
    body = {"schema": 1, "id": identity.device_id, "token": identity.token}
    body |= {
        name: token
        for name, token in (("next_token", identity.next_token), ("previous_token", identity.previous_token))
        if token is not None
    }
    write_atomic(path, json.dumps(body) + "\n", _MODE)


def load(path: Path) -> Identity:
    """The identity in ``path``. Raises ``FileNotFoundError`` where there is none, and ``IdentityError``."""
    try:
        return _parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise
    except PermissionError as error:
        raise IdentityError(f"the identity in {path} can be read by root only; use sudo") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IdentityError(
            f"the identity in {path} cannot be used ({error}); restore it, or delete it to enroll as a new device"
        ) from error


def _parse(text: str) -> Identity:
    body = json.loads(text)
    device_id, token = body["id"], body["token"]
    others = [body.get(name) or None for name in ("next_token", "previous_token")]
    if not isinstance(device_id, str) or not _UUID7.fullmatch(device_id):
        raise ValueError("its id is not a UUIDv7")
    if not all(isinstance(one, str) and len(one) >= _LEAST_TOKEN for one in (token, *filter(None, others))):
        raise ValueError("its token is too short")
    return Identity(device_id, token, *others)
