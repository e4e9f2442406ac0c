"""The set-up pages: tokens and what goes on a Pi, keys, sessions, the audit log, the repository."""

from __future__ import annotations

import html
import logging
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from repo_server.store import credentials
from tests.support.fleet_bodies import DEVICE, registration
from tests.unit.repo_server.desk.conftest import Browser, Desk

DEVICES = "/setup/devices"
KEYS = "/setup/keys"
AUDIT = "/setup/audit"
TOKEN_FORM = {"name": "attic", "uses": "2", "expires": "7d", "group": "attic", "channel": "beta", "approval": "true",
              "server": "https://updates.example.org", "assistant": "sample-assistant", "debian": "trixie",
              "gpio_pins": "17", "timezone": ""}  # fmt: skip


def admin_api(desk: Desk, path: str) -> Any:
    return desk.service.request("GET", path, key=desk.key("admin")).get_json()["items"]


def problems(text: str) -> dict[str, str]:
    found = re.findall(r'<p class="hint" id="h-(\w+)"><strong>([^<]*)</strong>', text)
    return {name: html.unescape(words) for name, words in found}


def secret_in(text: str, prefix: str) -> str:
    found = re.search(rf"{prefix}_[A-Za-z0-9_-]{{43}}", text)
    assert found is not None
    return found[0]


def test_a_token_is_made_shown_once_and_a_device_registers_with_it(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    browser = desk.as_("admin")
    assert 'value="https://updates.example.org"' in browser.get(f"{DEVICES}/new").text
    made = browser.post(f"{DEVICES}/new", TOKEN_FORM)
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    secret = secret_in(made.text, "pie")
    assert "Location" not in made.headers
    assert "Set-Cookie" not in made.headers
    assert secret not in browser.get(DEVICES).text
    assert secret not in caplog.text
    assert secret not in "\n".join(desk.service.dump())
    (token,) = admin_api(desk, "/api/v1/enrollment-tokens/")
    assert {name: token[name] for name in ("name", "uses_allowed", "group", "channel", "approval", "recovery")} == {
        "name": "attic", "uses_allowed": 2, "group": "attic", "channel": "beta", "approval": True, "recovery": False,
    }  # fmt: skip
    assert token["expires_at"] == "2026-04-05T01:30:00Z"
    answer = desk.service.request("POST", "/api/v1/devices/", registration(), token=secret)
    assert (answer.status_code, answer.get_json()["state"], answer.get_json()["channel"]) == (201, "pending", "beta")
    assert "1 of 2" in browser.get(DEVICES).text


def test_what_is_wrong_with_a_token_stands_beside_the_fields_and_nothing_is_made(desk: Desk) -> None:
    browser = desk.as_("admin")
    before = desk.service.dump()
    wrong = {
        "name": "",
        "uses": "0",
        "expires": "soon",
        "group": "Ground Floor",
        "server": "updates",
        "gpio_pins": "99",
    }
    answer = browser.post(f"{DEVICES}/new", TOKEN_FORM | wrong)
    assert answer.status_code == 422
    assert desk.service.dump() == before
    found = problems(answer.text)
    assert set(found) == set(wrong)
    assert found["uses"] == "This must be at least 1."
    assert found["name"] == "This is needed."
    assert 'value="Ground Floor"' in answer.text
    assert answer.text.count('aria-invalid="true"') == len(wrong)
    past = browser.post(f"{DEVICES}/new", TOKEN_FORM | {"expires": "2026-03-29T01:30:00Z"})
    assert (past.status_code, problems(past.text)) == (422, {"expires": "This lies in the past."})
    words = browser.post(f"{DEVICES}/new", TOKEN_FORM | {"uses": "many"})
    assert problems(words.text) == {"uses": "This must be a whole number."}


def test_where_the_server_s_address_would_not_do_it_is_said(desk: Desk) -> None:
    browser = desk.as_("admin")
    loopback = browser.post(f"{DEVICES}/new", TOKEN_FORM | {"server": "http://localhost:8000"}).text
    assert "is the Pi itself" in loopback
    plain = browser.post(f"{DEVICES}/new", TOKEN_FORM | {"server": "http://10.0.2.2:8000"}).text
    assert "Without TLS" in plain
    assert "plain_http_hosts = [&#34;10.0.2.2&#34;]" in plain
    assert "Without TLS" not in browser.post(f"{DEVICES}/new", TOKEN_FORM).text


def test_a_recovery_has_no_secret_and_needs_bounds(desk: Desk) -> None:
    browser = desk.as_("admin")
    form = {"name": "restore", "uses": "50", "expires": "7d"}
    assert problems(browser.post(f"{DEVICES}/recovery", form | {"uses": ""}).text) == {
        "uses": "A recovery takes a limited number of devices; say how many."
    }
    for expires in ("", "31d"):
        assert "expires" in problems(browser.post(f"{DEVICES}/recovery", form | {"expires": expires}).text)
    assert admin_api(desk, "/api/v1/enrollment-tokens/") == []
    assert browser.post(f"{DEVICES}/recovery", form).headers["Location"] == DEVICES
    page = browser.get(DEVICES).text
    assert "pie_" not in page
    assert "recovery is open" in page
    (token,) = admin_api(desk, "/api/v1/enrollment-tokens/")
    assert (token["recovery"], token["uses_allowed"]) == (True, 50)


def test_a_token_is_revoked_once_somebody_was_asked(desk: Desk) -> None:
    browser = desk.as_("admin")
    secret = desk.service.enrollment_token(uses=5)
    (token,) = admin_api(desk, "/api/v1/enrollment-tokens/")
    place = f"{DEVICES}/{token['id']}/revoke"
    assert place in browser.get(DEVICES).text
    assert "Devices that are registered stay so." in browser.get(place).text
    assert desk.service.request("POST", "/api/v1/devices/", registration(), token=secret).status_code == 201
    assert browser.post(place).headers["Location"] == DEVICES
    assert place not in browser.get(DEVICES).text
    assert desk.service.request("POST", "/api/v1/devices/", registration(), token=secret).status_code == 401


def test_a_token_s_state_is_told(desk: Desk) -> None:
    browser = desk.as_("admin")
    secret = desk.service.enrollment_token(uses=1, expires_in=timedelta(hours=1))
    desk.service.request("POST", "/api/v1/devices/", registration(), token=secret)
    assert "used up" in browser.get(DEVICES).text
    desk.service.now += timedelta(hours=1)
    assert "expired" in browser.get(DEVICES).text


@pytest.mark.parametrize("place", [DEVICES, KEYS, AUDIT])
def test_lists_are_paged(desk: Desk, place: str) -> None:
    browser = desk.as_("admin")
    for _ in range(103):
        desk.service.now += timedelta(seconds=1)
        if place == KEYS:
            desk.service.key("viewer")
        else:
            desk.service.enrollment_token()
    first = browser.get(place)
    link = re.search(r'href="([^"]*)" rel="next"', first.text)
    assert link is not None
    second = browser.get(html.unescape(link[1]))
    rows = [len(re.findall(r"<tr[ >]", page.text)) - 1 for page in (first, second)]
    assert rows[0] == 100
    assert rows[1] >= 3
    assert f'href="{place}"' in second.text
    assert browser.get(f"{place}?cursor=%FF").status_code == 422


def test_a_key_is_made_shown_once_and_works(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    browser = desk.as_("admin")
    made = browser.post(f"{KEYS}/new", {"name": "wall <script>", "role": "viewer", "expires": "90d"})
    assert (made.status_code, made.headers["Cache-Control"]) == (201, "no-store")
    assert "<script>" not in made.text.replace("<script src", "")
    secret = secret_in(made.text, "pik")
    assert secret not in caplog.text
    assert secret not in browser.get(KEYS).text
    assert desk.service.request("GET", "/api/v1/fleet", key=secret).status_code == 200
    assert "builder reads it" in browser.post(f"{KEYS}/new", {"name": "ci", "role": "builder", "expires": ""}).text


def test_what_is_wrong_with_a_key_stands_beside_the_fields(desk: Desk) -> None:
    browser = desk.as_("admin")
    answer = browser.post(f"{KEYS}/new", {"name": "x" * 201, "role": "viewer", "expires": "2026-01-01T00:00:00Z"})
    assert problems(answer.text) == {"name": "This has more than 200 characters."}
    past = browser.post(f"{KEYS}/new", {"name": "x", "role": "viewer", "expires": "2026-01-01T00:00:00Z"})
    assert (past.status_code, problems(past.text)) == (422, {"expires": "This lies in the past."})
    role = browser.post(f"{KEYS}/new", {"name": "x", "role": "god", "expires": ""})
    assert role.status_code == 422
    assert "This must be &#39;viewer&#39;" in role.text


def key_id(desk: Desk, role: str) -> str:
    row = credentials.by_secret(desk.service.db.connection(), credentials.API_KEYS, desk.key(role))
    assert row is not None
    return str(row["id"])


def test_the_last_admin_key_stays_and_the_page_says_why(desk: Desk) -> None:
    browser = desk.as_("admin")
    place = f"{KEYS}/{key_id(desk, 'admin')}/revoke"
    assert "you will be signed out" in browser.get(place).text
    refused = browser.post(place)
    assert refused.status_code == 409
    assert "This is the last admin key that is good; make another one first" in refused.text
    assert browser.get(KEYS).status_code == 200


def test_a_revoked_key_ends_its_sessions(desk: Desk) -> None:
    viewer, admin = desk.as_("viewer"), desk.as_("admin")
    assert "Browsers that have signed in" in admin.get(f"{KEYS}/{key_id(desk, 'viewer')}/revoke").text
    assert admin.post(f"{KEYS}/{key_id(desk, 'viewer')}/revoke").status_code == 303
    assert viewer.get("/setup/sessions").headers["Location"].startswith("/sign-in")
    assert "revoked" in admin.get(KEYS).text


def ends(browser: Browser) -> list[str]:
    return re.findall(r'href="(/setup/sessions/[^"]+/end)"', browser.get("/setup/sessions").text)


def test_one_ends_one_s_own_sessions_and_no_others(desk: Desk) -> None:
    here, there, other = desk.as_("viewer"), desk.as_("viewer"), desk.as_("operator")
    page = here.get("/setup/sessions").text
    assert page.count("this browser") == 1
    mine = ends(here)
    assert len(mine) == 2
    assert other.post(mine[0]).status_code == 404
    own = next(place for place in mine if "of this browser" in here.get(place).text)
    elsewhere = next(place for place in mine if place != own)
    assert here.post(elsewhere).headers["Location"] == "/setup/sessions"
    assert there.get("/setup/sessions").headers["Location"].startswith("/sign-in")
    assert ends(here) == [own]
    assert here.get(elsewhere).status_code == 404


def test_the_audit_log_tells_changes_with_links(desk: Desk) -> None:
    service, browser = desk.service, desk.as_("admin")
    service.register()
    patch = {"hold": "guests <b>", "name": "Küche"}
    assert service.request("PATCH", f"/api/v1/devices/{DEVICE}", patch, key=desk.key("operator")).status_code == 200
    update = service.announce()
    service.steer(update, "pause")
    text = browser.get(AUDIT).text
    assert f'<a href="/devices/{DEVICE}">Küche</a>' in text
    assert f'<a href="/updates/{update}">sample-assistant 1.1.0</a>' in text
    assert "guests &lt;b&gt;" in text
    assert re.search(r"<del>active</del>.*?<ins>paused</ins>", text, re.DOTALL)
    only = browser.get(f"{AUDIT}?action=update.paused").text
    assert "Announced a release" not in only.split("<tbody>")[1]
    nobody = browser.get(f"{AUDIT}?who=key:nobody")
    assert (nobody.status_code, "Nothing of the kind was changed." in nobody.text) == (200, True)


@pytest.mark.parametrize(
    ("query", "names"),
    [("since=2026-03-29", 4), ("since=2026-03-29T01:32", 3), ("since=2026-03-29T01:32:00Z&until=2026-03-29T01:34", 2),
     ("until=2026-03-29", 0)],
)  # fmt: skip
def test_the_audit_log_is_filtered_by_times_of_utc(desk: Desk, query: str, names: int) -> None:
    browser = desk.as_("admin")
    for _ in range(4):
        desk.service.now += timedelta(minutes=1)
        desk.service.enrollment_token()
    text = browser.get(f"{AUDIT}?action=enrollment_token.create&{query}").text
    assert text.count('<th scope="row">') == names


@pytest.mark.parametrize("name", ["since", "until"])
def test_a_wrong_question_about_the_audit_log_is_told_beside_the_field(desk: Desk, name: str) -> None:
    answer = desk.as_("admin").get(f"{AUDIT}?{name}=yesterday&who=key:x")
    assert answer.status_code == 422
    assert "RFC 3339" in problems(answer.text)[name]
    assert 'value="key:x"' in answer.text


def sign(folder: Path, suite: str, at: datetime, more: str = "") -> None:
    place = folder / suite
    (place / "main" / "binary-amd64").mkdir(parents=True, exist_ok=True)
    (place / "InRelease").write_text(f"Date: {at:%a, %d %b %Y %H:%M:%S} UTC\n{more}")


def keyring(folder: Path, suite: str, ends_at: datetime) -> None:
    fields = f"Version: 1\nArchive-Keys: A1B2 {ends_at:%Y-%m-%dT%H:%M:%SZ}\nBuilder-Keys: B1C2 never\n"
    (folder / suite / "main" / "binary-amd64" / "Packages").write_text(f"Package: pi-ota-keyring\n{fields}\n")


def test_a_repository_that_is_well_says_how_long_it_stays_so(desk: Desk) -> None:
    folder, now = desk.service.settings.repository, desk.service.now
    sign(folder, "trixie/dists/stable", now - timedelta(hours=5))
    keyring(folder, "trixie/dists/stable", now + timedelta(days=90))
    text = desk.as_("viewer").get("/setup/repository").text
    assert "All that is looked at here is well." in text
    assert "in 6 d 19 h" in text
    assert "in 90 d" in text
    assert "pkgbuild" not in text


def test_what_is_to_mend_stands_with_its_command(desk: Desk) -> None:
    folder, now = desk.service.settings.repository, desk.service.now
    sign(folder, "trixie/dists/beta", now - timedelta(days=3))
    sign(folder, "bookworm/dists/stable", now - timedelta(days=8))
    keyring(folder, "trixie/dists/beta", now + timedelta(days=59))
    text = desk.as_("viewer").get("/setup/repository").text
    assert "Devices refuse it" in text
    assert "It was not signed anew for 3 d" in text
    assert text.count("pkgbuild resign; sudo systemctl enable --now pi-ota-resign.timer") == 2
    assert "pkgbuild keys extend archive; pkgbuild keys publish" in text
    assert "in 59 d" in text


def test_what_concerns_the_server_itself_is_for_admins(desk: Desk) -> None:
    viewer, admin = (desk.as_(role).get("/setup/repository").text for role in ("viewer", "admin"))
    assert str(desk.service.settings.state_dir) not in viewer
    assert str(desk.service.settings.repository) not in viewer
    assert "Nothing that devices could read is published." in viewer
    assert str(desk.service.settings.state_dir) in admin
    assert "This server" not in viewer
    for place in (DEVICES, KEYS, AUDIT):
        assert f'href="{place}"' in admin
        assert f'href="{place}"' not in viewer


def test_a_clock_that_was_set_back_is_told_to_admins(desk: Desk) -> None:
    desk.service.enrollment_token()
    desk.service.now -= timedelta(hours=1)
    text = desk.as_("admin").get("/setup/repository").text
    assert "timedatectl set-ntp true" in text
    assert "Something here wants mending" in text


def test_no_page_has_inline_styles_or_scripts(desk: Desk) -> None:
    browser = desk.as_("admin")
    pages = [browser.get(place) for place in (DEVICES, KEYS, AUDIT, "/setup/repository", "/setup/sessions")]
    pages += [browser.post(f"{DEVICES}/new", TOKEN_FORM), browser.get(f"{KEYS}/new")]
    for page in pages:
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style|<script>|javascript:", page.text)
