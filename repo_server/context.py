"""What a request needs of the application: its settings, database and clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from flask import current_app

from repo_server.config import Settings
from repo_server.db import Database

KEY = "repo_server"


@dataclass(frozen=True, slots=True)
class Context:
    """Made once by ``create_app``."""

    settings: Settings
    db: Database
    clock: Callable[[], datetime]


def context() -> Context:
    """The current application's."""
    return cast("Context", current_app.extensions[KEY])
