"""gunicorn's worker with threads, as we need it."""

from __future__ import annotations

from gunicorn.workers.gthread import ThreadWorker  # type: ignore[import-untyped]  # it has none

from repo_server import pool


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types to check against
    """Named in ``gunicorn_conf``."""

    def get_thread_pool(self) -> pool.CountingPool:
        """Called once, before the application is loaded."""
        return pool.make(self.cfg.threads)
