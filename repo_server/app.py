"""The Flask application."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime

from flask import Flask

from repo_server import (
    attempts,
    body,
    config,
    development_clock,
    errors,
    events,
    logs,
    metrics,
    proxies,
    steering,
    times,
    views,
)
from repo_server.context import KEY, Context
from repo_server.db import Database
from repo_server.silence import Silence
from repo_server.ticker import Ticker


def create_app(settings: config.Settings, clock: Callable[[], datetime] = times.utc_now) -> Flask:
    """The service on the database in ``settings.state_dir``, which is made or migrated where needed.

    ``clock`` gives aware UTC times. Raises ``SchemaError`` where a newer program has written the database.
    """
    app = Flask(__name__, static_folder=None)
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = body.BODY_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = body.BODY_BYTES
    here = Context(settings, Database(settings.database, busy_timeout_seconds=settings.busy_timeout_seconds), clock)
    app.extensions[KEY] = here
    bus = app.extensions[events.KEY] = events.Bus(settings.streams)
    here.db.after_commit(bus.publish)
    logs.install(app)
    metrics.install(app, here)
    errors.install(app)
    attempts.install(app, settings.failed_attempts_per_minute, clock)
    views.register(app)
    app.wsgi_app = proxies.TrustedProxies(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
    return app


def from_environment() -> Flask:
    """For gunicorn: settings from the environment that ``repo-server serve`` has set."""
    settings = config.load({}, os.environ)
    logs.configure(settings.log_format)
    app = create_app(settings, development_clock.clock(os.environ))
    here: Context = app.extensions[KEY]
    since = here.clock()
    Ticker(lambda: steering.tick(here.db, here.settings, here.clock(), since), here.settings.tick_seconds).start()
    Ticker(Silence(here.db, app.extensions[events.KEY], here.clock).look, here.settings.tick_seconds).start()
    return app
