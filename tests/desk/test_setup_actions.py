"""What admins do to keys and tokens, and everybody to their own sessions."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.desk.conftest import Desk
from tests.seeding.people import NAMES
from tests.support.fleet_bodies import registration

ADMIN = f"key:{NAMES['admin']}"
NEW_DEVICE = "0195e0c8-0000-7000-8000-0000000000f1"


def test_a_new_token_lets_a_device_in_and_is_shown_once(desk: Desk) -> None:
    visitor = desk.visit("admin")
    page = visitor.page
    visitor.open("/setup/devices")
    page.get_by_role("link", name="New token").click()
    page.get_by_label("Name", exact=True).fill("for the desk's test")
    page.get_by_label("Address of this server").fill("https://updates.example.org")
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_role("heading", name="What goes on a Pi")).to_be_visible()
    secret = page.get_by_label("Secret of the enrollment token").inner_text().strip()
    assert secret.startswith("pie_")
    for label in ("Line for a shell on the Pi", re.compile("^First-boot file")):
        assert secret in page.get_by_label(label).inner_text()
    expect(page.get_by_role("img", name="QR code")).to_be_visible()

    body = registration(id=NEW_DEVICE)
    assert desk.service.server.request("POST", "/api/v1/devices/", body=body, token=secret).status == 201
    (row,) = desk.rows("SELECT id, uses FROM enrollment_tokens WHERE name = 'for the desk''s test'")
    assert row["uses"] == 1
    assert desk.audited(row["id"]) == [(ADMIN, "enrollment_token.create")]
    visitor.open("/setup/devices")
    assert secret not in page.content()


def test_a_wrong_token_is_told_beside_its_field(desk: Desk) -> None:
    visitor = desk.visit("admin")
    visitor.watch.expected.append("status of 4")
    page, before = visitor.page, desk.newest_audit()
    visitor.open("/setup/devices/new")
    page.get_by_label("Group", exact=True).fill("Upper Case")
    page.get_by_label("Good for").fill("a while")
    page.get_by_role("button", name="Make the token").click()
    expect(page.get_by_role("alert")).to_be_visible()
    for label, typed in (("Group", "Upper Case"), ("Good for", "a while")):
        field = page.get_by_label(label, exact=True)
        expect(field).to_have_value(typed)
        expect(field).to_have_attribute("aria-invalid", "true")
    assert desk.newest_audit() == before


def test_devices_are_let_back_in_after_a_restore(desk: Desk) -> None:
    visitor = desk.visit("admin")
    visitor.open("/setup/devices")
    visitor.page.get_by_role("link", name="Let devices back in").click()
    visitor.page.get_by_role("button", name="Open the recovery").click()
    expect(visitor.page.get_by_role("status").filter(has_text="is open")).to_be_visible()
    (row,) = desk.rows("SELECT id, recovery FROM enrollment_tokens WHERE name = 'recovery'")
    assert row["recovery"] == 1
    assert desk.audited(row["id"]) == [(ADMIN, "enrollment_token.create")]


def test_a_token_is_revoked(desk: Desk) -> None:
    (row,) = desk.rows("SELECT id FROM enrollment_tokens WHERE name = '<b>try-outs</b>'")
    visitor = desk.visit("admin")
    visitor.open("/setup/devices")
    visitor.page.get_by_role("link", name="Revoke <b>try-outs</b>").click()
    visitor.page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(visitor.page.get_by_role("status").filter(has_text="is revoked")).to_be_visible()
    assert desk.audited(row["id"])[0] == (ADMIN, "enrollment_token.revoke")


def test_a_new_key_works_and_a_revoked_one_signs_its_browsers_out(desk: Desk) -> None:
    admin = desk.visit("admin")
    page = admin.page
    admin.open("/setup/keys/new")
    page.get_by_label("Name", exact=True).fill("for the desk's test")
    page.get_by_label("Role").select_option("operator")
    page.get_by_role("button", name="Make the key").click()
    found = re.search(r"pik_[A-Za-z0-9_-]{20,}", page.inner_text("main"))
    assert found is not None
    (row,) = desk.rows("SELECT id, role FROM api_keys WHERE name = 'for the desk''s test'")
    assert row["role"] == "operator"

    other = desk.visit()
    other.open("/sign-in")
    other.page.get_by_label("API key").fill(found[0])
    other.page.get_by_role("button", name="Sign in").click()
    expect(other.page.get_by_role("heading", name="Fleet", level=1)).to_be_visible()

    admin.open("/setup/keys")
    assert found[0] not in page.content()
    page.locator(f"#key-{row['id']}").get_by_role("link", name="Revoke").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
    expect(page.get_by_role("status").filter(has_text="is revoked")).to_be_visible()
    assert desk.audited(row["id"]) == [(ADMIN, "api_key.revoke"), (ADMIN, "api_key.create")]
    other.open("/")
    assert other.path().startswith("/sign-in")


def test_a_session_elsewhere_is_ended(desk: Desk) -> None:
    elsewhere, here = desk.visit("viewer"), desk.visit("viewer")
    elsewhere.open("/")
    here.open("/setup/sessions")
    rows = here.page.get_by_role("row").filter(has_not_text="this browser").filter(has=here.page.get_by_role("link"))
    count = rows.count()
    assert count >= 1
    for _ in range(count):
        rows.first.get_by_role("link", name="End").click()
        here.page.get_by_role("dialog").get_by_role("button", name="End it").click()
        expect(here.page.get_by_role("status").filter(has_text="has ended")).to_be_visible()
    elsewhere.open("/")
    assert elsewhere.path().startswith("/sign-in")
    here.open("/")
    assert here.path() == "/"


@pytest.mark.parametrize("role", ["viewer", "operator", "builder"])
def test_only_admins_see_and_make_keys_and_tokens(desk: Desk, role: str) -> None:
    visitor = desk.visit(role)
    visitor.watch.expected.append("status of 403")
    token, before = visitor.csrf_token(), desk.newest_audit()
    for path in ("/setup/devices", "/setup/keys", "/setup/audit"):
        visitor.open(path, 403)
    form = {"csrf_token": token, "name": "mine", "role": "admin"}
    assert visitor.post("/setup/keys/new", form) == 403
    assert visitor.post("/setup/devices/new", form) == 403
    assert desk.newest_audit() == before
