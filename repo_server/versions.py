"""Debian versions, ordered as dpkg orders them."""

from __future__ import annotations

from functools import cmp_to_key, lru_cache

from debian.debian_support import NativeVersion


@lru_cache(maxsize=4096)
def compare(a: str, b: str) -> int:
    """Negative, zero or positive as ``a`` is older than, equal to or newer than ``b``.

    python-debian's own implementation rather than apt's, so that the order does not depend on what is installed here.
    """
    left, right = NativeVersion(a), NativeVersion(b)
    return (left > right) - (left < right)


version_key = cmp_to_key(compare)
"""For ``sorted`` and ``max``."""
