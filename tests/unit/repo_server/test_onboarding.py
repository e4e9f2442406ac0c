"""What a Pi gets before it is a device: the script, the archive key, and two packages for an enrollment token."""

from __future__ import annotations

import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from repo_server import onboarding
from repo_server.auth import ENROLL
from tests.support.apt_repo import build_deb
from tests.unit.repo_server.conftest import TLS, Service

LIST = "trixie/dists/stable/InRelease"
KEYRING = "usr/share/keyrings/pi-ota-archive-keyring.gpg"


def publish(service: Service, folder: Path, *packages: tuple[str, str], debian: str = "trixie") -> None:
    """Lists as aptly writes them, and the files; the keyring package holds its own version."""
    root = service.settings.repository / debian
    stanzas = []
    for name, version in packages:
        deb = build_deb(folder, name, version, {KEYRING if "keyring" in name else "usr/x": f"keys {version}"})
        place = root / "pool/main/p" / name / deb.name
        place.parent.mkdir(parents=True, exist_ok=True)
        deb.rename(place)
        stanzas.append(f"Package: {name}\nVersion: {version}\nFilename: {place.relative_to(root)}\n")
    index = root / "dists/stable/main/binary-arm64/Packages"
    index.parent.mkdir(parents=True, exist_ok=True)
    index.write_text("\n".join(stanzas))
    os.utime(index, ns=(1, len(stanzas)))


def test_the_script_holds_the_address_at_which_it_was_asked_for(service: Service) -> None:
    for address in ("https://updates.example.org", "https://10.1.2.3:8443", "https://[fd00::1]"):
        answer = service.request("GET", onboarding.SCRIPT, base_url=address)
        assert answer.status_code == 200
        assert f"\nSERVER='{address}' #" in answer.text
        assert "@SERVER@" not in answer.text
        assert answer.content_type == "text/plain; charset=utf-8"


def test_a_host_that_could_be_a_command_is_refused(service: Service) -> None:
    for host in ("a'b", "a b", "a;b", "a$(b)", "a/b"):
        answer = service.request("GET", onboarding.SCRIPT, headers={"Host": host})
        assert answer.status_code == 400
        assert "SERVER=" not in answer.text


def test_what_is_kept_by_a_cache_is_asked_for_again(service: Service) -> None:
    answer = service.request("GET", onboarding.SCRIPT, base_url=TLS)
    assert answer.headers["Cache-Control"] == "no-cache"
    etag = answer.headers["ETag"]
    again = service.request("GET", onboarding.SCRIPT, base_url=TLS, headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    other = service.request("GET", onboarding.SCRIPT, base_url="https://b", headers={"If-None-Match": etag})
    assert other.status_code == 200


def test_shellcheck_has_nothing_to_say() -> None:
    file = Path(onboarding.__file__).with_name("pi.sh")
    done = subprocess.run(["shellcheck", "--shell=sh", str(file)], capture_output=True, text=True, check=False)
    assert done.stdout == ""
    assert file.read_text().splitlines()[-1] == 'main "$@" </dev/null'


def test_a_script_that_is_cut_off_anywhere_runs_nothing(tmp_path: Path) -> None:
    whole = onboarding.script("https://updates.example.org").encode()
    body = whole.removesuffix(b'main "$@" </dev/null\n')
    assert body != whole
    trap = tmp_path / "bin"
    trap.mkdir()
    for name in ("id", "apt-get", "mktemp", "curl", "rm", "mkdir", "dpkg"):
        (trap / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
        (trap / name).chmod(0o755)
    for length in [*range(0, len(body), 401), len(body), len(body) + 2]:
        subprocess.run(
            ["/bin/sh", "-s", "--", "--undo"],
            input=whole[:length],
            env={"PATH": str(trap)},
            capture_output=True,
            check=False,
        )
        assert not (tmp_path / "ran").exists(), length


def test_the_keyring_is_that_of_the_newest_package(service: Service, tmp_path: Path) -> None:
    answer = service.request("GET", onboarding.KEYRING)
    assert answer.status_code == 404
    assert "make release-agent" in answer.get_json()["error"]["message"]
    publish(service, tmp_path, ("pi-ota-keyring", "9"), ("pi-ota-keyring", "10"))
    publish(service, tmp_path, ("pi-ota-keyring", "8"), debian="bookworm")
    answer = service.request("GET", onboarding.KEYRING)
    assert (answer.status_code, answer.data) == (200, b"keys 10")


def test_a_package_that_is_broken_or_gone_is_not_published(service: Service, tmp_path: Path) -> None:
    publish(service, tmp_path, ("pi-ota-keyring", "9"))
    (deb,) = service.settings.repository.rglob("*.deb")
    deb.write_bytes(b"!<arch>\nnothing")
    assert service.request("GET", onboarding.KEYRING).status_code == 404
    deb.unlink()
    assert service.request("GET", onboarding.KEYRING).status_code == 404


def test_what_is_missing_is_told_for_each_release_and_channel(service: Service, tmp_path: Path) -> None:
    root = service.settings.repository
    assert onboarding.missing(root, "trixie", "stable") == ["pi-hook", "pi-ota-keyring"]
    publish(service, tmp_path, ("pi-hook", "1"))
    assert onboarding.missing(root, "trixie", "stable") == ["pi-ota-keyring"]
    publish(service, tmp_path, ("pi-hook", "1"), ("pi-ota-keyring", "1"))
    assert onboarding.missing(root, "trixie", "stable") == []
    assert onboarding.missing(root, "trixie", "beta") == ["pi-hook", "pi-ota-keyring"]
    assert onboarding.missing(root, "bookworm", "stable") == ["pi-hook", "pi-ota-keyring"]


def ask(service: Service, token: str) -> int:
    with service.request("GET", f"/repo/{LIST}", auth=(ENROLL, token)) as answer:
        return answer.status_code


def test_a_token_that_registers_nothing_any_more_reads_nothing_either(service: Service) -> None:
    publish_list(service)
    token = service.enrollment_token(uses=1, expires_in=timedelta(hours=1))
    assert [ask(service, token) for _ in range(3)] == [200, 200, 200]  # no use is used up
    assert [row["uses"] for row in service.db.connection().execute("SELECT uses FROM enrollment_tokens")] == [0]
    service.now += timedelta(hours=1)
    assert ask(service, token) == 401
    used = service.enrollment_token(uses=1)
    service.db.write(
        lambda connection: connection.execute("UPDATE enrollment_tokens SET uses = 1 WHERE uses_allowed = 1")
    )
    assert ask(service, used) == 401
    revoked = service.enrollment_token()
    assert ask(service, revoked) == 200
    service.db.write(lambda work: work.execute("UPDATE enrollment_tokens SET revoked_at = '2026-03-29T01:30:00Z'"))
    assert ask(service, revoked) == 401


def test_the_answer_says_what_is_wrong_with_a_token(service: Service) -> None:
    answer = service.request("GET", f"/repo/{LIST}", auth=(ENROLL, "pie_guessed"))
    assert "not known" in answer.get_json()["error"]["message"]
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


def test_wrong_tokens_are_slowed_down_as_all_credentials_are(service: Service) -> None:
    publish_list(service)
    good = service.enrollment_token()
    answers = {ask(service, f"pie_{n}") for n in range(service.settings.failed_attempts_per_minute + 1)}
    assert answers == {401, 429}
    assert ask(service, good) == 200


@pytest.mark.parametrize("user", ["Enroll", "enrol", ""])
def test_the_user_is_exactly_enroll(service: Service, user: str) -> None:
    publish_list(service)
    token = service.enrollment_token()
    assert service.request("GET", f"/repo/{LIST}", auth=(user, token)).status_code == 401
    assert service.request("GET", f"/repo/{LIST}", token=token).status_code == 401


def publish_list(service: Service) -> None:
    file = service.settings.repository / LIST
    file.parent.mkdir(parents=True)
    file.write_text("signed")
