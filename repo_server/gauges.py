"""What of the server's own is limited, each figure beside its bound, and what will end: read when it is scraped."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from repo_server.batches import Batches
from repo_server.context import Context
from repo_server.events import Bus
from repo_server.group_commit import LARGEST_BATCH
from repo_server.store import credentials, sessions


class Gauges(Collector):
    """Of one application."""

    def __init__(self, context: Context, bus: Bus) -> None:
        self._context, self._bus = context, bus

    def describe(self) -> Iterable[Metric]:
        """Nothing is read when this is registered."""
        return []

    def collect(self) -> Iterable[Metric]:
        """A few numbers from memory, and two small tables."""
        here, bus = self._context, self._bus
        yield from _beside_its_bound(
            "repo_server_requests_waiting",
            "Requests that wait for a thread.",
            here.waiting(),
            here.settings.most_waiting,
        )
        yield from _beside_its_bound("repo_server_event_streams", "Open event streams.", bus.watching, bus.streams)
        yield from _beside_its_bound(
            "repo_server_writes_waiting",
            "Writes that wait for their transaction.",
            here.db.writes_waiting,
            LARGEST_BATCH,
        )
        yield from _commits(here.db.batches)
        connection = here.db.connection()
        yield GaugeMetricFamily("repo_server_sessions", "People who have signed in.", sessions.count(connection))
        expiry = GaugeMetricFamily(
            "repo_server_api_key_expiry_timestamp_seconds",
            "When the first of the good API keys of a role expires; none where none does.",
            labels=["role"],
        )
        for role, at in credentials.first_to_expire(connection, here.clock()).items():
            expiry.add_metric([role], at.timestamp())
        yield expiry


def _beside_its_bound(name: str, words: str, value: int, most: int) -> Iterable[Metric]:
    yield GaugeMetricFamily(name, words, value)
    yield GaugeMetricFamily(f"{name}_limit", "What it is held against.", most)


def _commits(batches: Batches) -> Iterable[Metric]:
    names = [*(str(float(bound)) for bound in Batches.BOUNDS), "+Inf"]
    yield HistogramMetricFamily(
        "repo_server_commit_writes",
        "Writes that shared a transaction.",
        buckets=list(zip(names, batches.up_to(), strict=True)),
        sum_value=batches.works,
    )
    yield CounterMetricFamily("repo_server_commits_failed", "Transactions that failed as a whole.", batches.failed)
