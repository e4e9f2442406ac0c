"""The HTTP side: each view parses, calls and renders; none knows of SQL."""

from __future__ import annotations

from flask import Flask

from repo_server.views import (
    administration,
    description,
    devices,
    events,
    fleet,
    health,
    heartbeat,
    metrics,
    onboarding,
    repo,
    rollouts,
    session,
    statuses,
    updates,
)

API = "/api/v1"


def register(app: Flask) -> None:
    """Mount all of them."""
    for part in (devices, heartbeat, statuses, updates, rollouts, fleet, events, administration, session, description):
        app.register_blueprint(part.blueprint, url_prefix=API)
    app.register_blueprint(repo.blueprint)
    app.register_blueprint(onboarding.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(metrics.blueprint)
