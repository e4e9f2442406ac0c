"""What is wrong around an installed server is found, each with the command that mends it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from repo_server.config import Settings
from repo_server.findings import Finding, Level
from repo_server.install import services
from repo_server.installed import AGAIN, Answer, CertificateError, Unit, examine
from tests.support.around import AroundStub

NOW = datetime.now(UTC)
SETTINGS = Settings(
    state_dir=Path("/var/lib/pi-ota-server"),
    repository_dir=Path("/nowhere/aptly/public"),
    url="https://updates.example.org",
)
STOPPED = Unit(loaded=True, active=False, enabled=True, failed=False)
FAILED = Unit(loaded=True, active=False, enabled=True, failed=True)
NOT_AT_BOOT = Unit(loaded=True, active=True, enabled=False, failed=False)
GONE = Unit(loaded=False, active=False, enabled=False, failed=False)


def found(around: AroundStub, settings: Settings = SETTINGS) -> list[Finding]:
    return list(examine(settings, around, NOW))


def test_nothing_is_said_where_no_server_was_installed() -> None:
    assert found(AroundStub(installed=False)) == []
    assert found(AroundStub(said={services.SERVER: GONE})) == []


def test_a_server_that_is_well() -> None:
    assert {(one.check, one.level) for one in found(AroundStub())} == {
        (check, Level.OK) for check in ("units", "time", "readers", "nginx", "tls")
    }


@pytest.mark.parametrize(
    ("name", "unit", "check", "level", "words", "mend"),
    [
        ("pi-ota-server.socket", STOPPED, "unit pi-ota-server.socket", "fail", "does not run",
         "sudo systemctl enable --now pi-ota-server.socket"),
        ("pi-ota-server.service", FAILED, "unit pi-ota-server", "fail", "journalctl -u pi-ota-server",
         "sudo systemctl enable --now pi-ota-server"),
        ("pi-ota-aptly.service", STOPPED, "unit pi-ota-aptly", "fail", "does not run",
         "sudo systemctl enable --now pi-ota-aptly"),
        ("nginx.service", FAILED, "unit nginx", "fail", "journalctl -u nginx", "sudo systemctl enable --now nginx"),
        ("nginx.service", NOT_AT_BOOT, "unit nginx", "warn", "after a restart", "sudo systemctl enable nginx"),
        ("nginx.service", GONE, "unit nginx", "fail", "not there", AGAIN),
        ("pi-ota-resign.timer", STOPPED, "unit pi-ota-resign.timer", "warn", "does not run",
         "sudo systemctl enable --now pi-ota-resign.timer"),
        ("pi-ota-backup.timer", GONE, "unit pi-ota-backup.timer", "warn", "not there", AGAIN),
        ("pi-ota-resign.service", FAILED, "unit pi-ota-resign", "warn", "failed the last time",
         "sudo systemctl start pi-ota-resign"),
    ],
)  # fmt: skip
def test_a_unit_that_is_not_as_it_should_be(
    *, name: str, unit: Unit, check: str, level: str, words: str, mend: str
) -> None:
    findings = found(AroundStub(said={name: unit}))
    assert "units" not in {one.check for one in findings}
    (one,) = [one for one in findings if one.level is not Level.OK]
    assert (one.check, one.level, one.mend) == (check, level, mend)
    assert words in one.words


def test_what_renews_a_public_certificate_has_to_run() -> None:
    stopped = {"certbot.timer": STOPPED}
    assert "unit certbot.timer" not in {one.check for one in found(AroundStub(said=stopped))}
    one = one_of("unit certbot.timer", AroundStub(said=stopped, certbot=True))
    assert (one.level, one.mend) == (Level.WARN, "sudo systemctl enable --now certbot.timer")


def test_a_clock_that_nobody_keeps() -> None:
    assert one_of("time", AroundStub(kept=(False, True))).mend == "sudo timedatectl set-ntp true"
    assert one_of("time", AroundStub(kept=(False, False))).mend == "sudo apt-get install --yes systemd-timesyncd"


def one_of(check: str, around: AroundStub, settings: Settings = SETTINGS) -> Finding:
    (one,) = [one for one in found(around, settings) if one.check == check]
    return one


def test_a_repository_that_somebody_may_not_read() -> None:
    blocked = Path("/var/lib/pi-ota-builder/aptly")
    one = one_of("readers", AroundStub(stopped={"www-data": blocked}, member=False))
    assert one.level is Level.FAIL
    assert one.mend == "sudo usermod --append --groups pi-ota-builder www-data; sudo systemctl reload nginx"
    one = one_of("readers", AroundStub(stopped={"pi-ota-server": blocked}))
    assert one.mend == f"sudo chgrp pi-ota-builder {blocked}; sudo chmod g+rx {blocked}"


@pytest.mark.parametrize(("certbot", "mend"), [(False, AGAIN), (True, "sudo certbot renew")])
def test_a_certificate_that_does_not_hold_or_ends(*, certbot: bool, mend: str) -> None:
    broken = AroundStub(broken=CertificateError("certificate has expired"), certbot=certbot)
    one = one_of("tls", broken)
    assert (one.level, "has expired" in one.words) == (Level.FAIL, True)
    assert one.mend is not None
    assert one.mend.startswith(mend)
    ending = AroundStub(answer=Answer(200, NOW + timedelta(days=20, hours=1)), certbot=certbot)
    one = one_of("tls", ending)
    assert (one.level, "for 20 more days" in one.words) == (Level.WARN, True)
    assert one.mend is not None
    assert one.mend.startswith(mend)
    assert one_of("tls", AroundStub(answer=Answer(200, NOW + timedelta(days=22)))).level is Level.OK


def test_nobody_and_somebody_else_behind_the_name() -> None:
    one = one_of("tls", AroundStub(broken=ConnectionRefusedError("refused")))
    assert (one.level, "port 443" in one.words) == (Level.FAIL, True)
    one = one_of("nginx", AroundStub(answer=Answer(503, NOW + timedelta(days=90))))
    assert (one.level, "503" in one.words) == (Level.FAIL, True)
    assert AGAIN in (one.mend or "")


def test_settings_without_a_name() -> None:
    one = one_of("tls", AroundStub(), SETTINGS.model_copy(update={"url": None}))
    assert (one.level, "`url`" in one.words) == (Level.WARN, True)


def test_a_socket_that_was_taken_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("repo_server.install.places.BUILDER_STATE", tmp_path)
    settings = SETTINGS.model_copy(update={"repository_dir": tmp_path / "aptly" / "public"})
    (tmp_path / "aptly").mkdir()
    one = one_of("aptly", AroundStub(), settings)
    assert (one.level, one.mend) == (Level.FAIL, "sudo systemctl restart pi-ota-aptly")
    # one that does not run has no socket, and that is said by its unit
    assert "aptly" not in {one.check for one in found(AroundStub(said={services.APTLY: FAILED}), settings)}
