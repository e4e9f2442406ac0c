"""Identifiers and secrets that the server makes."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Callable
from datetime import datetime


def uuid7(now: datetime, randbits: Callable[[int], int] = secrets.randbits) -> str:
    """A UUIDv7 (RFC 9562, 5.7): 48 bits of milliseconds, then random bits.

    Sorts by time; the 74 random bits are why a database restored from a backup can never hand out an id again.
    """
    milliseconds = int(now.timestamp() * 1000) & (1 << 48) - 1
    value = milliseconds << 80 | randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return str(uuid.UUID(int=value))


def new_secret(prefix: str) -> str:
    """``PREFIX_`` and 256 random bits; the prefix lets secret scanners and people tell what it is."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def sha256_hex(secret: str) -> str:
    """What is stored of a secret. A plain hash is enough: 256 random bits cannot be guessed, so it need not be slow."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
