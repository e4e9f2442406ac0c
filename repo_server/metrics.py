"""What Prometheus scrapes.

Requests are counted as they are answered. Everything about the fleet is read from the database when it is scraped, at
most once in ``CACHE``. Every label has a bounded number of values: whatever a client can choose is cut to the most
frequent, and the rest is ``other``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from repo_server import answers, freshness, signing_keys
from repo_server.context import Context
from repo_server.counts import biggest
from repo_server.events import Bus
from repo_server.gauges import Gauges
from repo_server.presence import Presence
from repo_server.store import fleet

KEY = "repo_server.metrics"
CONTENT_TYPE = CONTENT_TYPE_LATEST
CACHE = timedelta(seconds=15)
_MOST_VERSIONS = 20
_NEWEST_UPDATES = 20
_METHODS = frozenset({"GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_HEARTBEAT = "heartbeat.heartbeat"
"""The Flask endpoint."""


class Metrics:
    """The instruments of one application, in a registry of their own."""

    def __init__(self, context: Context, bus: Bus) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "repo_server_requests", "Requests answered.", ("route", "method", "status"), registry=self.registry
        )
        self._heartbeats = Histogram(
            "repo_server_heartbeat_seconds",
            "From a heartbeat's arrival to its answer.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        ProcessCollector(registry=self.registry)
        self.registry.register(Gauges(context, bus))
        self.registry.register(_Fleet(context))

    def count(self, route: str | None, method: str, status: int) -> None:
        """One request was answered; ``route`` is None where nothing has that address."""
        self._requests.labels(
            route if route is not None else "unmatched", method if method in _METHODS else "other", status
        ).inc()

    def observe_heartbeat(self, seconds: float) -> None:
        """One heartbeat was answered, so long after it had come."""
        self._heartbeats.observe(seconds)

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)


def install(app: Flask, context: Context, bus: Bus) -> Metrics:
    """Count every request of the application; see ``logs.install`` for when it began."""
    metrics = app.extensions[KEY] = Metrics(context, bus)

    @app.after_request
    def counted(response: Response) -> Response:
        rule = request.url_rule
        metrics.count(rule.rule if rule is not None else None, request.method, response.status_code)
        if request.endpoint == _HEARTBEAT and "started" in g:
            metrics.observe_heartbeat(time.perf_counter() - g.started)
        return response

    return metrics


class _Fleet(Collector):
    """Read at scrape time."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._kept: tuple[datetime, list[Metric]] | None = None

    def describe(self) -> Iterable[Metric]:
        """Nothing is read when this is registered."""
        return []

    def collect(self) -> Iterable[Metric]:
        """The fleet's and the repository's figures, at most ``CACHE`` old."""
        now = self._context.clock()
        with self._lock:
            if self._kept is None or not timedelta(0) <= now - self._kept[0] < CACHE:
                self._kept = (now, [*self._fleet(now), *self._repository(now)])
            return self._kept[1]

    def _fleet(self, now: datetime) -> Iterable[Metric]:
        here = self._context
        summary = fleet.summary(here.db.connection(), now)
        states = summary.devices.model_dump(include={str(each) for each in Presence})
        yield _gauge("repo_server_devices", "Devices that are not decommissioned.", "presence", states)
        versions, others = biggest(summary.versions, _MOST_VERSIONS)
        versions |= {"other": others} if others else {}
        yield _gauge("repo_server_devices_by_version", "Devices by the release that is active.", "version", versions)
        yield _gauge("repo_server_devices_deferring", "Devices that wait, by reason.", "reason", summary.reasons)
        yield from _updates(summary.updates[:_NEWEST_UPDATES])

    def _repository(self, now: datetime) -> Iterable[Metric]:
        age = GaugeMetricFamily(
            "repo_server_repository_age_seconds", "Since the suite was signed the last time.", labels=["suite"]
        )
        valid = GaugeMetricFamily(
            "repo_server_repository_valid_until_timestamp_seconds", "From when on apt refuses it.", labels=["suite"]
        )
        for suite in freshness.suites(self._context.settings.repository):
            if suite.date is not None:
                age.add_metric([suite.name], (now - suite.date).total_seconds())
            if suite.valid_until is not None:
                valid.add_metric([suite.name], suite.valid_until.timestamp())
        expires = GaugeMetricFamily(
            "repo_server_signing_key_expires_timestamp_seconds",
            "When a key expires, by the keyring package that is published.",
            labels=["role", "key"],
        )
        for key in signing_keys.published(self._context.settings.repository):
            if key.expires is not None:
                expires.add_metric([key.role, key.fingerprint], key.expires.timestamp())
        return [age, valid, expires]


def _updates(updates: list[answers.UpdateCounts]) -> Iterable[Metric]:
    """How far the newest updates are."""
    labels = ["update", "name", "version", "channel"]
    statuses = GaugeMetricFamily(
        "repo_server_update_devices", "Devices at each status of an update.", labels=[*labels, "status"]
    )
    states = GaugeMetricFamily("repo_server_update_state", "1 for the state it is in.", labels=[*labels, "state"])
    for update in updates:
        values = [update.id, update.name, update.version, update.channel]
        for status, count in update.statuses.items():
            statuses.add_metric([*values, status], count)
        states.add_metric([*values, str(update.state)], 1)
    return [statuses, states]


def _gauge(name: str, words: str, label: str, values: Mapping[str, int]) -> Metric:
    gauge = GaugeMetricFamily(name, words, labels=[label])
    for value, count in values.items():
        gauge.add_metric([value], count)
    return gauge
