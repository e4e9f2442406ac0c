"""Behind nginx the repository's bytes are nginx's to send; who may have them stays ours to say."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from repo_server.app import create_app
from repo_server.context import KEY
from tests.support.fleet_bodies import DEVICE, TOKEN
from tests.unit.repo_server.conftest import Service

OLD = 1_700_000_000


@pytest.fixture
def behind_nginx(service: Service) -> Iterator[Service]:
    settings = service.settings.model_copy(update={"accel_prefix": "/_repo/"})
    app = create_app(settings, lambda: service.now)
    other = replace(service, app=app, db=app.extensions[KEY].db, settings=settings)
    other.register()
    yield other
    other.db.close()


def publish(service: Service, name: str, modified: float = OLD) -> Path:
    file = service.settings.repository / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"content")
    os.utime(file, (modified, modified))
    return file


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("trixie/pool/main/s/sample/sample_1.0+b1~rc1_arm64.deb",
         "/_repo/trixie/pool/main/s/sample/sample_1.0%2Bb1~rc1_arm64.deb"),
        ("trixie/a b%3F?.deb", "/_repo/trixie/a%20b%253F%3F.deb"),
    ],
)  # fmt: skip
def test_nginx_is_told_where_the_file_is(behind_nginx: Service, name: str, address: str) -> None:
    publish(behind_nginx, name)
    asked = name.replace("%", "%25").replace("?", "%3F")
    answer = behind_nginx.request("GET", f"/repo/{asked}", auth=(DEVICE, TOKEN))
    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["X-Accel-Redirect"] == address
    assert answer.headers["Content-Type"] == "application/vnd.debian.binary-package"
    assert "Cache-Control" in answer.headers


def test_a_symlink_is_resolved_before_nginx_hears_of_it(behind_nginx: Service) -> None:
    publish(behind_nginx, "trixie/by-hash/aa")
    (behind_nginx.settings.repository / "trixie" / "Packages").symlink_to("by-hash/aa")
    answer = behind_nginx.request("GET", "/repo/trixie/Packages", auth=(DEVICE, TOKEN))
    assert answer.headers["X-Accel-Redirect"] == "/_repo/trixie/by-hash/aa"


@pytest.mark.parametrize(
    ("name", "auth", "status"),
    [
        ("trixie/file", None, 401), ("trixie/file", (DEVICE, "wrong"), 401),
        ("trixie/none", (DEVICE, TOKEN), 404), ("../state/repo_server.db", (DEVICE, TOKEN), 404),
    ],
)  # fmt: skip
def test_nginx_hears_nothing_of_what_is_refused(
    behind_nginx: Service, name: str, auth: tuple[str, str] | None, status: int
) -> None:
    publish(behind_nginx, "trixie/file")
    answer = behind_nginx.request("GET", f"/repo/{name}", auth=auth)
    assert (answer.status_code, "X-Accel-Redirect" in answer.headers) == (status, False)


def test_a_decommissioned_device_gets_nothing(behind_nginx: Service) -> None:
    publish(behind_nginx, "trixie/file")
    behind_nginx.request("DELETE", f"/api/v1/devices/{DEVICE}", key=behind_nginx.key("operator"))
    answer = behind_nginx.request("GET", "/repo/trixie/file", auth=(DEVICE, TOKEN))
    assert (answer.status_code, "X-Accel-Redirect" in answer.headers) == (410, False)


def test_a_file_that_may_still_change_is_sent_by_us(behind_nginx: Service) -> None:
    publish(behind_nginx, "trixie/dists/stable/InRelease", behind_nginx.now.timestamp())
    answer = behind_nginx.request("GET", "/repo/trixie/dists/stable/InRelease", auth=(DEVICE, TOKEN))
    assert (answer.data, "X-Accel-Redirect" in answer.headers) == (b"content", False)
    answer.close()


def test_without_the_setting_nothing_is_left_to_nginx(service: Service) -> None:
    publish(service, "trixie/file")
    answer = service.request("GET", "/repo/trixie/file", key=service.key("builder"))
    assert (answer.data, "X-Accel-Redirect" in answer.headers) == (b"content", False)
    answer.close()
