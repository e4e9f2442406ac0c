"""What a request needs of the application: its settings, database and clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from flask import current_app

from repo_server.config import Settings
from repo_server.db import Database
from repo_server.pacing import Pacer

KEY = "repo_server"


@dataclass(frozen=True, slots=True)
class Context:
    """Made once by ``create_app``."""

    settings: Settings
    db: Database
    clock: Callable[[], datetime]
    pacer: Pacer
    waiting: Callable[[], int]
    """How many requests wait for a thread."""


def context() -> Context:
    """The current application's."""
    return cast("Context", current_app.extensions[KEY])
