"""What Prometheus reads: numbers that add up, labels that stay few, and nothing for strangers."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from repo_server import metrics
from tests.support.fleet_bodies import OTHER_DEVICE, status
from tests.unit.repo_server.conftest import Service

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def scrape(service: Service) -> Samples:
    answer = service.request("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.get_data(as_text=True))
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def labels_of(samples: Samples, name: str, label: str) -> dict[str, float]:
    return {dict(labels)[label]: count for (found, labels), count in samples.items() if found == name}


def test_devices_by_presence_and_version(service: Service) -> None:
    service.register()
    service.register(id=OTHER_DEVICE, token="other")
    service.beat("1.0.0", active="1.0.0")
    samples = scrape(service)
    presence = labels_of(samples, "repo_server_devices", "presence")
    assert sum(presence.values()) == 2
    assert presence["online"] == 1
    assert labels_of(samples, "repo_server_devices_by_version", "version") == {"1.0.0": 1}


def test_heartbeats_are_timed_and_requests_counted_by_route(service: Service) -> None:
    service.register()
    service.beat("1.0.0")
    service.beat("1.0.0")
    service.request("GET", "/nowhere/at/all")
    service.request("BREW", "/elsewhere")
    service.request("GET", "/api/v1/devices/0195e0c8-0000-7000-8000-0000000000d9", key=service.key("viewer"))
    samples = scrape(service)
    assert value(samples, "repo_server_heartbeat_seconds_count") == 2
    route = "/api/v1/devices/<uuid:device_id>"
    count = "repo_server_requests_total"
    assert value(samples, count, route=f"{route}/heartbeat", method="POST", status="200") == 2
    assert value(samples, count, route=route, method="GET", status="404") == 1
    assert value(samples, count, route="unmatched", method="GET", status="404") == 1
    assert {dict(labels)["method"] for name, labels in samples if name == count} <= {"GET", "POST", "other"}
    assert "at/all" not in str(samples)


def test_an_updates_outcomes_and_state(service: Service) -> None:
    service.register()
    update = service.announce("1.1.0")
    service.beat("1.0.0")
    service.report(update, status(1, "downloading", "1.1.0"), status(2, "failed", "1.1.0"))
    service.request("POST", f"/api/v1/updates/{update}/halt", key=service.key("operator"))
    samples = scrape(service)
    assert labels_of(samples, "repo_server_update_devices", "status") == {"failed": 1}
    assert labels_of(samples, "repo_server_update_state", "state") == {"halted": 1}


def test_only_the_most_frequent_versions_have_a_label(service: Service) -> None:
    for number in range(25):
        device = f"0195e0c8-0000-7000-8000-{number:012x}"
        service.register(id=device, token=f"token{number}")
        service.beat(f"1.0.{number}", device=device, token=f"token{number}", active=f"1.0.{number}")
    versions = labels_of(scrape(service), "repo_server_devices_by_version", "version")
    assert len(versions) == 21
    assert versions["other"] == 5
    assert sum(versions.values()) == 25


def test_the_database_is_asked_once_in_a_while(service: Service) -> None:
    assert sum(labels_of(scrape(service), "repo_server_devices", "presence").values()) == 0
    service.register()
    assert sum(labels_of(scrape(service), "repo_server_devices", "presence").values()) == 0
    service.now += metrics.CACHE
    assert sum(labels_of(scrape(service), "repo_server_devices", "presence").values()) == 1
    service.now -= timedelta(hours=1)  # a clock that was set back does not keep old figures for an hour
    service.register(id=OTHER_DEVICE, token="other")
    assert sum(labels_of(scrape(service), "repo_server_devices", "presence").values()) == 2


def test_how_old_the_repositorys_signatures_are(service: Service) -> None:
    folder = service.settings.repository / "trixie" / "dists" / "stable"
    folder.mkdir(parents=True)
    (folder / "InRelease").write_text(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nOrigin: fleet\nDate: Sat, 28 Mar 2026 01:30:00 UTC\n"
        "Valid-Until: Sat, 04 Apr 2026 01:30:00 UTC\nSHA256:\n 00 0 main/Date: x\n"
    )
    broken = service.settings.repository / "bookworm" / "dists" / "stable"
    broken.mkdir(parents=True)
    (broken / "InRelease").write_bytes(b"Date: some day\n\xff\xfe")
    samples = scrape(service)
    suite = "trixie/dists/stable"
    assert value(samples, "repo_server_repository_age_seconds", suite=suite) == 86_400
    until = value(samples, "repo_server_repository_valid_until_timestamp_seconds", suite=suite)
    assert until == (service.now + timedelta(days=6)).timestamp()
    assert set(labels_of(samples, "repo_server_repository_age_seconds", "suite")) == {suite}


def test_writes_are_counted_by_how_many_shared_a_transaction(service: Service) -> None:
    def batches(samples: Samples) -> dict[str, float]:
        return labels_of(samples, "repo_server_commit_writes_bucket", "le")

    before, written = scrape(service), 10
    for _ in range(written):
        service.db.write(lambda _: None)
    with pytest.raises(sqlite3.OperationalError):
        service.db.write(lambda connection: connection.execute("INSERT INTO nowhere VALUES (1)"))
    after = scrape(service)
    assert batches(after)["1.0"] - batches(before)["1.0"] == written
    assert batches(after)["+Inf"] - batches(before)["+Inf"] == written
    for name, more in (("commit_writes_count", written), ("commit_writes_sum", written), ("commits_failed_total", 1)):
        counted = [value(samples, f"repo_server_{name}") or 0 for samples in (before, after)]
        assert counted[1] - counted[0] == more, name


def test_what_is_limited_stands_beside_its_bound(service: Service) -> None:
    figures = ("requests_waiting", "event_streams", "writes_waiting")
    samples = scrape(service)
    assert {name: value(samples, f"repo_server_{name}") for name in figures} == dict.fromkeys(figures, 0)
    limits = {name: value(samples, f"repo_server_{name}_limit") for name in figures}
    assert limits == {"requests_waiting": 400, "event_streams": 4, "writes_waiting": 256}
    watching = service.request("GET", "/api/v1/events", key=service.key("viewer"))
    assert value(scrape(service), "repo_server_event_streams") == 1
    watching.close()
    assert value(scrape(service), "repo_server_event_streams") == 0


def test_how_many_have_signed_in(service: Service) -> None:
    session = service.sign_in(service.key("viewer"))
    assert value(scrape(service), "repo_server_sessions") == 1
    service.request("DELETE", "/api/v1/session", session=session)
    assert value(scrape(service), "repo_server_sessions") == 0


def test_which_keys_expire_first(service: Service) -> None:
    def expiries() -> dict[str, float]:
        found = labels_of(scrape(service), "repo_server_api_key_expiry_timestamp_seconds", "role")
        return {role: at - service.now.timestamp() for role, at in found.items()}

    service.key("admin")
    assert expiries() == {}
    service.key("viewer", timedelta(days=3))
    soonest = service.key("viewer", timedelta(days=2))
    service.key("viewer", timedelta(seconds=10))
    service.key("builder", timedelta(days=9))
    service.now += timedelta(seconds=10)  # an expired one is of no interest any more
    day = 86_400
    assert expiries() == {"viewer": 2 * day - 10, "builder": 9 * day - 10}
    service.revoke(soonest)
    assert expiries() == {"viewer": 3 * day - 10, "builder": 9 * day - 10}


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({}, 200),
        ({"base_url": "http://localhost:8000/"}, 200),
        ({"base_url": "http://[::1]:8000/", "environ_base": {"REMOTE_ADDR": "::1"}}, 200),
        ({"environ_base": {"REMOTE_ADDR": "203.0.113.9"}}, 401),
        ({"headers": {"X-Forwarded-For": "127.0.0.1"}}, 401),  # through a proxy that nobody has named
        ({"base_url": "http://updates.example.org/"}, 401),
        ({"base_url": "http://127.0.0.1.example.org/"}, 401),
        ({"environ_base": {"REMOTE_ADDR": ""}}, 401),
        ({"key": "pik_guessed"}, 401),
    ],
)
def test_programs_of_this_machine_need_no_key(service: Service, sent: dict[str, object], status: int) -> None:
    assert service.request("GET", "/metrics", **sent).status_code == status  # type: ignore[arg-type]


@pytest.mark.parametrize(("role", "status"), [("viewer", 200), ("operator", 200), ("admin", 200), ("builder", 403)])
def test_others_need_a_viewers_key(service: Service, role: str, status: int) -> None:
    answer = service.request("GET", "/metrics", key=service.key(role), environ_base={"REMOTE_ADDR": "203.0.113.9"})
    assert answer.status_code == status


def test_when_the_keys_expire_that_devices_have(service: Service) -> None:
    for suite, keys in {
        "trixie": {"1": "A1 2026-05-01T00:00:00Z", "10": "A1 2027-05-01T00:00:00Z, A2 never", "9": "A9 never"},
        "bookworm": {"10": "A1 2027-04-01T00:00:00Z, nonsense, A3 some day"},
    }.items():
        folder = service.settings.repository / suite / "dists" / "stable" / "main" / "binary-arm64"
        folder.mkdir(parents=True)
        text = "Package: other\nVersion: 3\nArchive-Keys: X 2020-01-01T00:00:00Z\n\n"
        for version, line in keys.items():
            text += f"Package: pi-ota-keyring\nVersion: {version}\nArchive-Keys: {line}\n"
            text += "Builder-Keys: B1 2026-12-01T00:00:00Z\n\n"
        (folder / "Packages").write_text(text)
    samples = scrape(service)
    name = "repo_server_signing_key_expires_timestamp_seconds"
    assert labels_of(samples, name, "key") == {
        "A1": datetime(2027, 4, 1, tzinfo=UTC).timestamp(),  # the earlier of the two suites' newest packages
        "B1": datetime(2026, 12, 1, tzinfo=UTC).timestamp(),
    }
    assert value(samples, name, role="builder", key="B1") == datetime(2026, 12, 1, tzinfo=UTC).timestamp()
