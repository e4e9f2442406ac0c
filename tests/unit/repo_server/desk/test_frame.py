"""What all pages share: signing in and out, who may, how errors are told, and what keeps pages to themselves."""

from __future__ import annotations

import re
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Blueprint

from repo_server.desk import assets, page
from repo_server.desk.page import Action, Done
from repo_server.desk.signing_in import own_address
from repo_server.errors import ConflictError
from repo_server.roles import Right
from repo_server.store import fleet
from tests.unit.repo_server.conftest import TLS
from tests.unit.repo_server.desk.conftest import Desk

COOKIE = "__Host-pi-ota-session"


def test_who_has_not_signed_in_is_taken_to_the_sign_in_page_and_back(desk: Desk) -> None:
    browser = desk.nobody()
    away = browser.get("/?a=1")
    assert (away.status_code, away.headers["Location"]) == (303, "/sign-in?next=%2F%3Fa%3D1")
    page_ = browser.get(away.headers["Location"])
    assert 'name="next" value="/?a=1"' in page_.text
    back = browser.post("/sign-in", {"key": desk.key("viewer"), "next": "/?a=1"})
    assert (back.status_code, back.headers["Location"]) == (303, "/?a=1")
    cookie = back.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=pis_")
    assert all(part in cookie for part in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"))
    assert browser.get("/").status_code == 200


def test_programs_still_hear_what_answers_here(desk: Desk) -> None:
    for accept in ("*/*", "application/json", ""):
        answer = desk.nobody().get("/", headers={"Accept": accept})
        assert answer.get_json()["service"] == "pi-ota repo-server"


@pytest.mark.parametrize("key", ["pik_wrong", "", "  "])
def test_a_wrong_key_is_told_on_the_page_with_where_one_wanted_to_go(desk: Desk, key: str) -> None:
    answer = desk.nobody().post("/sign-in", {"key": key, "next": "/devices"})
    assert (answer.status_code, answer.mimetype) == (401, "text/html")
    assert 'role="alert"' in answer.text
    assert 'value="/devices"' in answer.text
    assert "pik_wrong" not in answer.text


def test_many_wrong_keys_are_told_to_wait(desk: Desk) -> None:
    browser = desk.nobody()
    answers = [
        browser.post("/sign-in", {"key": f"pik_{n}"})
        for n in range(desk.service.settings.failed_attempts_per_minute + 1)
    ]
    slow = next(answer for answer in answers if answer.status_code == 429)
    assert "too many attempts" in slow.text.lower()
    assert int(slow.headers["Retry-After"]) > 0


def test_without_tls_nobody_is_asked_for_a_key(desk: Desk) -> None:
    plain = {"base_url": "http://updates.example.org/", "environ_base": {"REMOTE_ADDR": "203.0.113.9"}}
    assert "A session needs TLS" in desk.nobody().get("/sign-in", **plain).text
    refused = desk.nobody().post("/sign-in", {"key": desk.key("viewer")}, **plain)
    assert refused.status_code == 403
    assert "A session needs TLS" in refused.text


def test_another_site_cannot_sign_somebody_in(desk: Desk) -> None:
    form = {"key": desk.key("viewer")}
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://elsewhere.example"}):
        answer = desk.nobody().post("/sign-in", form, headers=headers)
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "given",
    ["//elsewhere.example/", "https://elsewhere.example/", "/\\elsewhere.example", "elsewhere", "/sign-in?next=/",
     "/a\n", "", None],
)  # fmt: skip
def test_nobody_is_sent_elsewhere(given: str | None) -> None:
    assert own_address(given) == "/"
    assert own_address("/devices?state=active") == "/devices?state=active"


def test_signing_out_ends_the_session_for_whoever_has_copied_it(desk: Desk) -> None:
    browser = desk.as_("viewer")
    copied = browser.client.get_cookie(COOKIE, "updates.example.org")
    assert copied is not None
    away = browser.post("/sign-out")
    assert (away.status_code, away.headers["Location"]) == (303, "/sign-in")
    assert "You have signed out." in browser.get("/sign-in").text
    assert browser.get("/").status_code == 303
    thief = desk.nobody()
    thief.client.set_cookie(COOKIE, copied.value, domain="updates.example.org", secure=True)
    assert thief.get("/").status_code == 303


def test_signing_out_needs_the_token(desk: Desk) -> None:
    browser = desk.as_("viewer")
    assert browser.post("/sign-out", {"csrf_token": "guessed"}).status_code == 403
    assert browser.get("/").status_code == 200


def test_a_session_that_has_ended_says_so(desk: Desk) -> None:
    browser = desk.as_("viewer")
    desk.service.now += timedelta(hours=3)
    away = browser.get("/")
    assert away.headers["Location"] == "/sign-in?next=%2F&ended=1"
    assert "Your session has ended" in browser.get(away.headers["Location"]).text


def test_what_a_page_asks_by_itself_does_not_keep_a_session_alive(desk: Desk) -> None:
    asking, used = desk.as_("viewer"), desk.as_("viewer")
    for _ in range(4):
        desk.service.now += timedelta(minutes=45)
        alive = asking.get("/", headers={"X-Live": "1"}).status_code
        assert used.get("/").status_code == 200
    assert alive == 303


def test_a_builder_sees_that_this_is_not_theirs(desk: Desk) -> None:
    browser = desk.nobody()
    to = browser.post("/sign-in", {"key": desk.key("builder")}).headers["Location"]
    assert to == "/updates"
    answer = browser.get("/")
    assert answer.status_code == 403
    assert "A key of the role builder may not do this" in answer.text
    assert "Sign out" in answer.text


def test_a_page_keeps_to_itself(desk: Desk) -> None:
    answer = desk.as_("viewer").get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_no_template_has_what_the_policy_forbids() -> None:
    for template in (Path(page.__file__).parent / "templates/desk").iterdir():
        text = template.read_text()
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style|javascript:|\|\s*safe\b", text), template.name
        for script in re.findall(r"<script[^>]*>", text):
            assert "src=" in script or 'type="application/json"' in script, template.name
        assert not re.search(r"(src|href)=\"(https?:)?//", text), template.name


def test_every_picture_that_a_template_names_is_there() -> None:
    sprite = (assets.FOLDER / "vendor/icons.svg").read_text()
    named = set()
    for template in (Path(page.__file__).parent / "templates/desk").iterdir():
        text = template.read_text()
        named |= set(re.findall(r'icon\("([a-z-]+)"\)', text))
        named |= set(re.findall(r'button_link\([^,\n]+, "[^"]+", "([a-z-]+)"', text))
        named |= set(re.findall(r'ui\.nav\("[^"]+", "[^"]+", "([a-z-]+)"', text))
    assert len(named) > 20
    assert {name for name in named if f'id="{name}"' not in sprite} == set()


def test_files_may_be_kept_for_good_because_their_address_changes_with_them(desk: Desk) -> None:
    browser = desk.nobody()
    answer = browser.get(assets.url("desk.css"))
    assert (answer.status_code, answer.mimetype) == (200, "text/css")
    assert "immutable" in answer.headers["Cache-Control"]
    assert browser.get("/static/desk.css").headers["Cache-Control"] == "no-cache"
    assert browser.get("/static/../page.py").status_code == 404


def test_the_first_click_from_another_site_comes_again_with_the_cookie(desk: Desk) -> None:
    foreign = desk.nobody().get("/?a=1", headers={"Sec-Fetch-Site": "cross-site"})
    assert foreign.status_code == 200
    assert 'http-equiv="refresh"' in foreign.text
    # A browser that sends it has it: nothing has to be asked again.
    assert 'http-equiv="refresh"' not in desk.as_("viewer").get("/", headers={"Sec-Fetch-Site": "cross-site"}).text


def test_an_address_that_nobody_has_is_a_page_to_people_and_an_object_to_programs(desk: Desk) -> None:
    assert desk.nobody().get("/nowhere").mimetype == "text/html"
    assert desk.nobody().get("/nowhere", headers={"Accept": "*/*"}).get_json()["error"]["kind"] == "not_found"
    # The API says the same to everyone.
    assert desk.nobody().get("/api/v1/fleet").get_json()["error"]["kind"] == "unauthorized"


def test_the_stream_is_for_who_may_look(desk: Desk) -> None:
    stream = {"Accept": "text/event-stream"}
    refused = desk.nobody().get("/live", headers=stream)
    assert (refused.status_code, refused.mimetype) == (401, "application/json")
    assert desk.as_("builder").get("/live", headers=stream).status_code == 403
    answer = desk.as_("viewer").get("/live", headers=stream, buffered=False)
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    chunks = answer.iter_encoded()
    assert next(chunks).startswith(b"retry:")
    desk.service.register()
    told = next(chunks).decode()
    assert "event:" not in told
    assert '"kind": "device.register"' in told
    answer.close()


@pytest.fixture
def acting(desk: Desk) -> list[str]:
    """An address at which something can be done."""
    done: list[str] = []
    blueprint = Blueprint("desk_trial", __name__)

    @blueprint.route("/trial", methods=["GET", "POST"])
    @page.action(Right.OPERATE)
    def trial() -> Action:
        def do() -> Done:
            if done:
                raise ConflictError("it was done before; look at the list")
            done.append("done")
            return Done("It is done: 100 % & <b>", "/")

        return Action("Do it", ("It will be done.",), "Do", "/", do)

    desk.service.app._got_first_request = False
    desk.service.app.register_blueprint(blueprint)
    return done


def test_an_action_is_asked_first_done_once_and_told(desk: Desk, acting: list[str]) -> None:
    browser = desk.as_("operator")
    asked = browser.get("/trial")
    assert "It will be done." in asked.text
    assert f'name="csrf_token" value="{browser.csrf_token}"' in asked.text
    assert acting == []
    away = browser.post("/trial")
    assert (away.status_code, away.headers["Location"]) == (303, "/")
    assert acting == ["done"]
    assert "It is done: 100 % &amp; &lt;b&gt;" in browser.get("/").text
    assert "It is done" not in browser.get("/").text
    again = browser.post("/trial")
    assert again.status_code == 409
    assert "It was done before; look at the list" in again.text
    assert "It will be done." in again.text


def test_in_a_dialog_the_script_is_told_where_to_go(desk: Desk, acting: list[str]) -> None:
    answer = desk.as_("operator").post("/trial", headers={"X-Dialog": "1"})
    assert (answer.status_code, answer.headers["X-To"], acting) == (204, "/", ["done"])


def test_an_action_is_refused_without_the_right_the_token_or_our_own_page(desk: Desk, acting: list[str]) -> None:
    viewer, operator = desk.as_("viewer"), desk.as_("operator")
    assert viewer.post("/trial").status_code == 403
    assert viewer.get("/trial").status_code == 403
    assert operator.post("/trial", {"csrf_token": ""}).status_code == 403
    assert operator.post("/trial", {"csrf_token": viewer.csrf_token}).status_code == 403
    assert operator.post("/trial", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert operator.post("/trial", headers={"Origin": "https://elsewhere.example"}).status_code == 403
    gone = desk.nobody().post("/trial")
    assert gone.headers["Location"] == "/sign-in?next=%2Ftrial"
    assert acting == []
    assert operator.post("/trial", headers={"Origin": TLS.rstrip("/")}).status_code == 303


def test_a_server_that_fails_tells_it_as_a_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = desk.as_("viewer")

    def fail(*_: object) -> None:
        raise sqlite3.DatabaseError

    monkeypatch.setattr(fleet, "summary", fail)
    answer = browser.get("/")
    assert (answer.status_code, answer.mimetype) == (500, "text/html")
    assert "its log has the details under" in answer.text
