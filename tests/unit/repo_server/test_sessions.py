"""Signing in with an API key: the cookie, what may be done with it and from where, and everything that ends it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from repo_server import administration, housekeeping
from repo_server.config import Settings
from repo_server.context import KEY
from repo_server.store import credentials, sessions
from tests.support.fleet_bodies import DEVICE
from tests.unit.repo_server.conftest import TLS, Service, SignedIn, serving

SESSION = "/api/v1/session"
FLEET = "/api/v1/fleet"
KEYS = "/api/v1/api-keys/"
A_DEVICE = f"/api/v1/devices/{DEVICE}"
LOOPBACK = "http://localhost:8000/"
FAR = {"REMOTE_ADDR": "203.0.113.9"}
IDLE, MOST = timedelta(hours=2), timedelta(hours=12)


def status(service: Service, session: SignedIn, **more: Any) -> int:
    return service.request("GET", FLEET, session=session, **more).status_code


def count(service: Service) -> int:
    return sessions.count(service.db.connection())


def key_id(service: Service, secret: str) -> str:
    row = credentials.by_secret(service.db.connection(), credentials.API_KEYS, secret)
    assert row is not None
    return str(row["id"])


def audited(service: Service, action: str) -> list[tuple[str, str]]:
    answer = service.request("GET", "/api/v1/audit", query_string={"action": action}, key=service.key("admin"))
    return [(item["who"], item["subject"]) for item in answer.get_json()["items"]]


def test_a_key_is_exchanged_for_a_cookie_that_scripts_cannot_read(service: Service) -> None:
    key = service.key("operator", expires_in=timedelta(days=30))
    answer = service.request("POST", SESSION, key=key, base_url=TLS)
    assert (answer.status_code, answer.headers["Cache-Control"]) == (201, "no-store")
    cookie = re.fullmatch(r"__Host-pi-ota-session=(pis_[\w-]{43}); (.*)", answer.headers["Set-Cookie"])
    assert cookie is not None
    attributes = {one.partition("=")[0]: one.partition("=")[2] for one in cookie[2].split("; ")}
    assert attributes.pop("Expires")
    assert attributes == {"Secure": "", "HttpOnly": "", "SameSite": "Strict", "Path": "/", "Max-Age": "43200"}
    told = answer.get_json()
    assert told == {
        "name": "test operator", "role": "operator", "created_at": "2026-03-29T01:30:00Z",
        "expires_at": "2026-03-29T13:30:00Z", "idle_seconds": 7200, "csrf_token": told["csrf_token"],
    }  # fmt: skip
    everything = "\n".join(service.dump()) + answer.get_data(as_text=True)
    assert cookie[1] not in everything
    assert told["csrf_token"] not in "\n".join(service.dump())
    again = service.request("GET", SESSION, session=SignedIn(f"__Host-pi-ota-session={cookie[1]}", ""))
    assert (again.get_json(), again.headers["Cache-Control"]) == (told, "no-store")
    assert "Set-Cookie" not in again.headers


@pytest.mark.parametrize(
    ("base_url", "peer", "headers", "name"),
    [
        (TLS, "203.0.113.9", {}, "__Host-pi-ota-session"),
        (LOOPBACK, "127.0.0.1", {}, "pi-ota-session"),
        ("http://[::1]:8000/", "::1", {}, "pi-ota-session"),
        ("http://updates.example.org/", "10.0.0.1", {"X-Forwarded-Proto": "https"}, "__Host-pi-ota-session"),
        # Anybody on the way could read it:
        ("http://updates.example.org/", "203.0.113.9", {}, None),
        ("http://updates.example.org/", "127.0.0.1", {}, None),  # through a proxy that says nothing
        ("http://updates.example.org/", "203.0.113.9", {"X-Forwarded-Proto": "https"}, None),  # anybody can say so
        (LOOPBACK, "127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, None),  # a proxy that nobody has named
        ("http://localhost/", "10.0.0.1", {"X-Forwarded-Proto": "http"}, None),
    ],
)
def test_where_there_is_a_session(
    tmp_path: Path, *, base_url: str, peer: str, headers: dict[str, str], name: str | None
) -> None:
    with serving(Settings(state_dir=tmp_path / "state", trusted_proxies=("10.0.0.1",))) as service:
        sent: dict[str, Any] = {"base_url": base_url, "environ_base": {"REMOTE_ADDR": peer}, "headers": headers}
        # Who has no key hears nothing of it.
        assert service.request("POST", SESSION, key="pik_guess", **sent).status_code == 401
        key = service.key("viewer")
        answer = service.request("POST", SESSION, key=key, **sent)
        if name is None:
            assert answer.status_code == 403
            assert "needs TLS" in answer.get_json()["error"]["message"]
            assert count(service) == 0
            cookie = service.sign_in(key).cookie.partition("=")[2]
            for other in ("__Host-pi-ota-session", "pi-ota-session"):
                sent["headers"] = headers | {"Cookie": f"{other}={cookie}"}
                assert service.request("GET", FLEET, **sent).status_code == 401
            return
        given = answer.headers["Set-Cookie"]
        assert given.startswith(f"{name}=pis_")
        assert ("; Secure" in given) is name.startswith("__Host-")
        assert "; HttpOnly; Path=/; SameSite=Strict" in given
        sent["headers"] = headers | {"Cookie": given.partition(";")[0]}
        assert service.request("GET", FLEET, **sent).status_code == 200
        sent["headers"] = headers | {"Cookie": "x-" + given.partition(";")[0]}
        assert service.request("GET", FLEET, **sent).status_code == 401


TOKEN = "{token}"
CROSS = "this was asked by a page of another site"
NEEDED = "send its csrf_token"


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"X-CSRF-Token": TOKEN}, None),
        ({"X-CSRF-Token": TOKEN, "Origin": "https://updates.example.org"}, None),
        ({"X-CSRF-Token": TOKEN, "Sec-Fetch-Site": "same-origin"}, None),
        # nginx hands on a name without its port: the browser's own word is the better one.
        ({"X-CSRF-Token": TOKEN, "Sec-Fetch-Site": "same-origin", "Origin": "https://updates.example.org:8443"}, None),
        ({"X-CSRF-Token": TOKEN, "Sec-Fetch-Site": "same-origin", "Origin": "null"}, None),
        ({"X-CSRF-Token": ""}, NEEDED),
        ({"X-CSRF-Token": "{other}"}, NEEDED),
        ({"X-CSRF-Token": TOKEN + "0"}, NEEDED),
        ({"X-CSRF-Token": "\xe4"}, NEEDED),
        ({"X-CSRF-Token": "", "Sec-Fetch-Site": "same-origin"}, NEEDED),
        ({"X-CSRF-Token": TOKEN, "Sec-Fetch-Site": "same-site"}, CROSS),
        ({"X-CSRF-Token": TOKEN, "Sec-Fetch-Site": "cross-site"}, CROSS),
        ({"X-CSRF-Token": TOKEN, "Sec-Fetch-Site": "none"}, CROSS),
        ({"X-CSRF-Token": TOKEN, "Sec-Fetch-Site": ""}, CROSS),
        ({"X-CSRF-Token": TOKEN, "Origin": "https://evil.example"}, CROSS),
        ({"X-CSRF-Token": TOKEN, "Origin": "http://updates.example.org"}, CROSS),
        ({"X-CSRF-Token": TOKEN, "Origin": "https://updates.example.org:8443"}, CROSS),
        ({"X-CSRF-Token": TOKEN, "Origin": "null"}, CROSS),
        (
            {"X-CSRF-Token": TOKEN, "Sec-Fetch-Site": "cross-site", "Origin": "https://updates.example.org"},
            CROSS,
        ),
    ],
)
def test_only_our_own_pages_may_change_something(service: Service, headers: dict[str, str], words: str | None) -> None:
    service.register()
    key = service.key("admin")
    session, other = service.sign_in(key), service.sign_in(key)
    sent = {
        name: text.replace(TOKEN, session.csrf_token).replace("{other}", other.csrf_token)
        for name, text in headers.items()
    }
    before = service.dump()
    assert status(service, SignedIn(session.cookie, ""), headers=sent) == 200  # looking changes nothing
    for method, path, body in (("PATCH", A_DEVICE, {"name": "x"}), ("POST", f"{A_DEVICE}/rotate-token", None)):
        answer = service.request(method, path, body, session=session, headers=sent)
        if words is None:
            assert answer.status_code == 200, answer.json
        else:
            assert answer.status_code == 403
            assert words in answer.get_json()["error"]["message"]
    # Neither the page of another site nor one without the token signs somebody out.
    assert service.request("DELETE", SESSION, session=session, headers=sent).status_code == (403 if words else 204)
    assert (service.dump() == before) is (words is not None)


def test_a_key_in_the_header_goes_before_the_cookie(service: Service) -> None:
    service.register()
    session = SignedIn(service.sign_in(service.key("admin")).cookie, "")
    answer = service.request("PATCH", A_DEVICE, {"name": "x"}, key=service.key("viewer"), session=session)
    assert answer.status_code == 403
    assert "a key of the role viewer" in answer.get_json()["error"]["message"]
    assert service.request("GET", FLEET, key="pik_wrong", session=session).status_code == 401
    assert service.request("GET", FLEET, key="", session=session).status_code == 401
    # What no other site can send needs no further token.
    answer = service.request("PATCH", A_DEVICE, {"name": "x"}, key=service.key("operator"), session=session)
    assert answer.status_code == 200


def test_a_session_does_not_beget_another(service: Service) -> None:
    session = service.sign_in(service.key("admin"))
    assert service.request("POST", SESSION, session=session).status_code == 401
    assert count(service) == 1


def test_the_role_is_the_keys_at_that_moment(service: Service) -> None:
    service.register()
    session = service.sign_in(service.key("operator"))
    change = {"name": "x"}
    assert service.request("PATCH", A_DEVICE, change, session=session).status_code == 200
    service.db.write(lambda work: work.execute("UPDATE api_keys SET role = 'viewer'"))
    assert service.request("PATCH", A_DEVICE, change, session=session).status_code == 403
    assert service.request("GET", SESSION, session=session).get_json()["role"] == "viewer"


def logs_out(service: Service, session: SignedIn, key: str) -> None:
    answer = service.request("DELETE", SESSION, session=session)
    assert answer.status_code == 204
    cleared = answer.headers["Set-Cookie"]
    assert cleared.startswith("__Host-pi-ota-session=;")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Strict", "Max-Age=0"} <= set(cleared.split("; "))


def revokes(service: Service, session: SignedIn, key: str) -> None:
    answer = service.request("DELETE", KEYS + key_id(service, key), key=service.key("admin"))
    assert answer.status_code == 204


def revokes_in_the_cli(service: Service, session: SignedIn, key: str) -> None:
    administration.revoke_api_key(service.db, key_id(service, key), "cli:x", service.now, last_admin_too=True)


def leaves_it(service: Service, session: SignedIn, key: str) -> None:
    service.now += IDLE


def lets_the_key_expire(service: Service, session: SignedIn, key: str) -> None:
    service.now += timedelta(hours=1)


@pytest.mark.parametrize("ends", [logs_out, revokes, revokes_in_the_cli, leaves_it, lets_the_key_expire])
def test_what_ends_it_and_only_it(service: Service, ends: Callable[[Service, SignedIn, str], None]) -> None:
    key, other_key = service.key("operator", expires_in=timedelta(hours=1)), service.key("operator")
    session, bystander = service.sign_in(key), service.sign_in(other_key)
    service.now += timedelta(minutes=30)
    assert status(service, session) == 200
    assert status(service, bystander) == 200
    ends(service, session, key)
    answer = service.request("GET", FLEET, session=session)
    assert answer.status_code == 401
    assert "sign in with an API key" in answer.get_json()["error"]["message"]
    assert answer.headers["WWW-Authenticate"].startswith("ApiKey ")
    assert service.request("DELETE", SESSION, session=session).status_code == 401
    if ends is not leaves_it:
        assert status(service, bystander) == 200
    housekeeping.tick(service.app.extensions[KEY])
    assert count(service) == (0 if ends is leaves_it else 1)


def test_it_does_not_last_longer_than_its_time_however_much_it_is_used(service: Service) -> None:
    session, until = service.sign_in(service.key("viewer")), service.now + MOST
    while service.now < until:
        assert status(service, session) == 200
        service.now += timedelta(minutes=90)
    assert service.now == until
    assert status(service, session) == 401


def test_the_cookie_lasts_no_longer_than_the_key(service: Service) -> None:
    answer = service.request("POST", SESSION, key=service.key("viewer", timedelta(minutes=10)), base_url=TLS)
    assert "Max-Age=600;" in answer.headers["Set-Cookie"]
    assert answer.get_json()["expires_at"] == "2026-03-29T01:40:00Z"


def test_a_use_is_written_once_a_minute_and_signing_out_is_none(service: Service) -> None:
    session = service.sign_in(service.key("viewer"))
    used, stored = [], "SELECT last_used_at FROM sessions"
    for seconds in (59, 1, 59, 0, 1):
        service.now += timedelta(seconds=seconds)
        assert status(service, session) == 200
        used.append(service.db.connection().execute(stored).fetchone()[0][-6:-1])
    assert used == ["30:00", "31:00", "31:00", "31:00", "32:00"]


def test_who_may_look_may_also_look_while_nothing_can_be_written(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = service.sign_in(service.key("viewer"))
    service.now += timedelta(hours=1)

    def fails(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(service.db, "write", fails)
    assert status(service, session) == 200
    monkeypatch.undo()
    service.now += timedelta(hours=1)
    assert status(service, session) == 401


def test_it_survives_a_restart(tmp_path: Path) -> None:
    settings = Settings(state_dir=tmp_path / "state")
    with serving(settings) as service:
        service.register()
        session = service.sign_in(service.key("operator"))
    with serving(settings) as service:
        assert status(service, session) == 200
        assert service.request("PATCH", A_DEVICE, {"name": "x"}, session=session).status_code == 200


def test_settings_that_have_become_shorter_count_at_once(tmp_path: Path) -> None:
    with serving(Settings(state_dir=tmp_path / "state")) as service:
        session = service.sign_in(service.key("viewer"))
    with serving(Settings(state_dir=tmp_path / "state", session_idle_seconds=300)) as service:
        service.now += timedelta(seconds=299)
        assert status(service, session) == 200
        service.now += timedelta(seconds=300)
        assert status(service, session) == 401


def test_one_of_the_future_waits_until_the_clock_is_right_again(service: Service) -> None:
    """A server without a clock of its own may start in the past; nobody has to sign in again for that."""
    session = service.sign_in(service.key("viewer"))
    service.now -= timedelta(days=300)
    assert status(service, session) == 401
    housekeeping.tick(service.app.extensions[KEY])
    service.now += timedelta(days=300)
    assert status(service, session) == 200


def test_it_is_audited_under_the_keys_name_and_so_is_what_is_done_with_it(service: Service) -> None:
    service.register()
    session = service.sign_in(service.key("operator"))
    service.request("PATCH", A_DEVICE, {"name": "x"}, session=session)
    service.request("DELETE", SESSION, session=session)
    ((who, begun),) = audited(service, "session.create")
    assert audited(service, "session.end") == [(who, begun)]
    assert audited(service, "device.change") == [(who, DEVICE)]
    assert who == "key:test operator"


def test_a_key_has_a_bounded_number_of_them(service: Service) -> None:
    key, bystander = service.key("viewer"), service.sign_in(service.key("viewer"))
    all_of_it = []
    for _ in range(20):
        all_of_it.append(service.sign_in(key))
        service.now += timedelta(seconds=10)
    assert status(service, all_of_it[0]) == 200
    all_of_it.append(service.sign_in(key))
    assert [number for number, one in enumerate(all_of_it) if status(service, one) != 200] == [1]
    assert status(service, bystander) == 200
    assert [who for who, _ in audited(service, "session.end")] == ["server"]


def test_guesses_are_slowed_down_and_lock_nobody_out(service: Service) -> None:
    session = service.sign_in(service.key("viewer"))
    limit = service.settings.failed_attempts_per_minute
    guesses = [SignedIn(f"__Host-pi-ota-session=pis_guess_{number}", "") for number in range(limit + 1)]
    assert [status(service, guess) for guess in guesses] == [401] * limit + [429]
    assert status(service, session) == 200
    # As with keys: one and the same from everywhere.
    service.now += timedelta(minutes=1)
    statuses = [
        status(service, guesses[0], environ_base={"REMOTE_ADDR": f"192.0.2.{number}"}) for number in range(limit + 1)
    ]
    assert statuses == [401] * limit + [429]
    # Signing in with a wrong key counts as every other use of one.
    statuses = [
        service.request("POST", SESSION, key="pik_wrong", base_url=TLS, environ_base=FAR).status_code
        for _ in range(limit + 1)
    ]
    assert statuses == [401] * limit + [429]


def test_a_stream_ends_with_the_session_and_is_no_use_of_it(service: Service) -> None:
    session = service.sign_in(service.key("viewer"))
    service.app.extensions["repo_server.events"]._keep_alive_seconds = 0.0
    answer = service.request("GET", "/api/v1/events", session=session)
    stream = iter(answer.response)
    for _ in range(2):
        next(stream)
    service.now += IDLE - timedelta(seconds=1)
    assert next(stream) == b": nothing new\n\n"
    service.now += timedelta(seconds=1)
    assert list(stream) == []
    answer.close()


def test_neither_cookie_nor_token_is_logged(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        session = service.sign_in(service.key("viewer"))
        status(service, session)
        service.request("DELETE", SESSION, session=session)
        status(service, session)
    lines = "\n".join(record.getMessage() + str(getattr(record, "fields", "")) for record in caplog.records)
    assert lines.count("key:test%20viewer") >= 3
    assert session.cookie.partition("=")[2] not in lines
    assert session.csrf_token not in lines
