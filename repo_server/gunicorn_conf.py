"""gunicorn's settings; read by gunicorn as a Python module.

One worker process with threads: group commit, event stream and rate limits live in its memory.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from repo_server import processors as _processors
from repo_server.config import load as _load  # gunicorn has a setting called config

if TYPE_CHECKING:
    from gunicorn.arbiter import Arbiter  # type: ignore[import-untyped]  # it has none
    from gunicorn.workers.base import Worker  # type: ignore[import-untyped]

_settings = _load({}, os.environ)
_host = f"[{_settings.host}]" if ":" in _settings.host else _settings.host

wsgi_app = "repo_server.app:from_environment()"
bind = f"{_host}:{_settings.port}"
workers = 1
worker_class = "repo_server.worker.Worker"
threads = _settings.threads
proc_name = "repo-server"
# On SIGTERM running requests may finish; a large download on a slow line is resumed by apt instead.
graceful_timeout = 30
timeout = 60
keepalive = 5
# Our own log has the one line a request.
accesslog = None
errorlog = "-"
loglevel = "info"
# A device's request has few, short headers.
limit_request_line = 2048
limit_request_fields = 50
limit_request_field_size = 4096
# Who is trusted to forward is ours to decide: see proxies.py.
forwarded_allow_ips = ""
forwarder_headers = ""
secure_scheme_headers: dict[str, str] = {}
# Heartbeat file of the worker: memory, not the SD card or disk.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112 - not a file of ours
# systemd steers the process; a second way in is not needed.
control_socket_disable = True


def post_fork(server: Arbiter, worker: Worker) -> None:
    """Called by gunicorn in the worker's process, before it loads the application."""
    if _settings.one_processor:
        chosen = _processors.keep_to_one()
        if chosen is not None:
            server.log.info("worker %s keeps to processor %s", worker.pid, chosen)
