"""What needs attention and is no device's: the published repository, the keys that devices trust, API keys."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime

from repo_server import doctor, freshness, signing_keys
from repo_server.attention import About, Cause, Concern, Found, Patience
from repo_server.config import Settings
from repo_server.desk.filters import duration
from repo_server.findings import Finding, Level
from repo_server.store import credentials

_LEVELS = {Level.FAIL: Cause.REPOSITORY_BROKEN, Level.WARN: Cause.REPOSITORY_WARNS}


def repository(settings: Settings, now: datetime) -> list[Found]:
    """What the doctor finds wrong with what is published."""
    findings = list(_findings(settings, now))
    found = []
    for level, cause in _LEVELS.items():
        concerns = [
            Concern(cause, About.REPOSITORY, one.check, one.check, detail=one.words, mend=one.mend)
            for one in findings
            if one.level is level
        ]
        found.append(Found(cause, concerns, len(concerns)))
    return found


def api_keys(connection: sqlite3.Connection, patience: Patience, now: datetime) -> list[Found]:
    """Of each role the first key that will not be good any more soon."""
    concerns = [
        Concern(
            Cause.API_KEY,
            About.API_KEY,
            role,
            f"An API key of the role {role}",
            detail=f"expires in {duration(at - now)}",
        )
        for role, at in credentials.first_to_expire(connection, now).items()
        if at - now <= patience.api_key
    ]
    return [Found(Cause.API_KEY, concerns, len(concerns))]


def _findings(settings: Settings, now: datetime) -> Iterator[Finding]:
    whole = list(doctor.repository(settings))
    yield from whole
    if any(one.check == "repository" for one in whole):
        return  # there is nothing to be read
    for suite in freshness.suites(settings.repository):
        yield doctor.suite(suite, now)
    for key in signing_keys.published(settings.repository):
        yield doctor.signing_key(key, now)
