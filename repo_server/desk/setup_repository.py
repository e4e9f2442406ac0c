"""How fresh the published repository is, until when its keys are good, and what else there is to mend."""

from __future__ import annotations

from flask import Blueprint, Response

from repo_server import doctor, freshness, signing_keys
from repo_server.context import context
from repo_server.desk import page
from repo_server.findings import Finding, Level
from repo_server.roles import Right

blueprint = Blueprint("desk_setup_repository", __name__)
PAGE = "/setup/repository"
_KINDS = {Level.OK: "ok", Level.WARN: "warn", Level.FAIL: "bad"}
_WORST = (Level.FAIL, Level.WARN, Level.OK)


@blueprint.get(PAGE)
@page.page(Right.VIEW)
def show() -> Response:
    """What is published, and what has to be done about it; of this server itself only to admins."""
    here, now = context(), context().clock()
    folder = here.settings.repository
    suites = [(one, doctor.suite(one, now)) for one in freshness.suites(folder)]
    keys = [(one, doctor.signing_key(one, now)) for one in signing_keys.published(folder)] if suites else []
    whole = list(doctor.repository(here.settings))
    own = list(doctor.at_hand(here.settings, here.db.connection(), now)) if page.may(Right.ADMINISTER) else []
    return page.render(
        "setup_repository.html",
        suites=suites,
        keys=keys,
        whole=whole,
        own=own,
        kinds=_KINDS,
        levels={Level.OK: "good", Level.WARN: "look at it", Level.FAIL: "mend it"},
        worst=worst([one for _, one in suites] + [one for _, one in keys] + whole + own),
        longest=freshness.REFUSED_AFTER,
        ahead=signing_keys.AHEAD,
    )


def worst(findings: list[Finding]) -> Level:
    """How bad the worst is."""
    return next((level for level in _WORST if any(one.level is level for one in findings)), Level.OK)
