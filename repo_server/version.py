"""The program's version."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("pi-ota")
except PackageNotFoundError:  # run from a checkout that is not installed
    VERSION = "0+checkout"
