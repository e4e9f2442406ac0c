"""The Flask application."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from datetime import datetime

from flask import Flask

from repo_server import (
    attempts,
    body,
    config,
    desk,
    development_clock,
    errors,
    events,
    express,
    housekeeping,
    logs,
    metrics,
    pool,
    proxies,
    steering,
    times,
    views,
)
from repo_server.context import KEY, Context
from repo_server.db import Database
from repo_server.pacing import Pacer
from repo_server.silence import Silence
from repo_server.ticker import Ticker


def create_app(
    settings: config.Settings,
    clock: Callable[[], datetime] = times.utc_now,
    waiting: Callable[[], int] = lambda: 0,
) -> Flask:
    """The service on the database in ``settings.state_dir``, which is made or migrated where needed.

    ``clock`` gives aware UTC times, ``waiting`` how many requests wait for a thread. Raises ``SchemaError`` where a
    newer program has written the database.
    """
    app = Flask(__name__, static_folder=None)
    app.url_map.strict_slashes = False
    app.config["MAX_CONTENT_LENGTH"] = body.BODY_BYTES
    app.config["MAX_FORM_MEMORY_SIZE"] = body.BODY_BYTES
    db = Database(settings.database, busy_timeout_seconds=settings.busy_timeout_seconds)
    here = Context(settings, db, clock, Pacer(settings.pace), waiting)
    here.pacer.begin(db.connection())
    app.extensions[KEY] = here
    bus = app.extensions[events.KEY] = events.Bus(settings.streams)
    here.db.after_commit(bus.publish)
    logs.install(app)
    measured = metrics.install(app, here, bus)
    errors.install(app)
    attempts.install(app, settings.failed_attempts_per_minute, clock)
    views.register(app)
    desk.register(app)
    app.wsgi_app = express.Express(app.wsgi_app, here, measured)  # type: ignore[method-assign]
    app.wsgi_app = proxies.TrustedProxies(app.wsgi_app, settings.trusted_proxies)  # type: ignore[method-assign]
    return app


def from_environment() -> Flask:
    """For gunicorn: settings from the environment that ``repo-server serve`` has set."""
    settings = config.load({}, os.environ)
    logs.configure(settings.log_format)
    app = create_app(settings, development_clock.clock(os.environ), pool.waiting)
    here: Context = app.extensions[KEY]
    since = here.clock()
    Ticker(lambda: steering.tick(here.db, here.settings, here.clock(), since), here.settings.tick_seconds).start()
    silence = Silence(here.db, app.extensions[events.KEY], here.clock)
    Ticker(silence.look, here.settings.tick_seconds, "looking for silent devices").start()
    here.db.leave_checkpoints()
    Ticker(lambda: housekeeping.tick(here), housekeeping.SECONDS, "housekeeping").start()
    count = "counting the devices"
    Ticker(lambda: here.pacer.look(here.db.connection()), housekeeping.COUNTING_SECONDS, count).start()
    # All that is here now stays: the collector need not look at it again, with every request standing still.
    gc.collect()
    gc.freeze()
    return app
