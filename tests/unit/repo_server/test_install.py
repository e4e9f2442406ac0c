"""Making a server of a machine: what is written, what is left alone, and the certificate of its own authority.

That all of it together makes a server is shown by `make walk`.
"""

from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from repo_server import config
from repo_server.install import accounts, certificates, down, fleet, places, services, site, up
from repo_server.install.machine import InstallError, Machine

ROOT = Path(__file__).parents[3]
HOST = "updates.example.org"
NOW = datetime.now(UTC)


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def machine(tmp_path: Path, told: list[str]) -> Machine:
    for folder in (places.TLS, places.SITE.parent, places.UNITS, places.COMMANDS, places.SERVER_STATE):
        (tmp_path / folder.relative_to("/")).mkdir(parents=True)
    return Machine(told.append, tmp_path)


def test_a_file_is_written_once_and_its_mode_is_mended(machine: Machine, told: list[str]) -> None:
    file = Path("/etc/pi-ota/secret")
    assert machine.write(file, "x\n", 0o600)
    assert not machine.write(file, "x\n", 0o600)
    machine.path(file).chmod(0o644)
    assert machine.write(file, "y\n", 0o600)
    assert (machine.path(file).read_text(), machine.path(file).stat().st_mode & 0o777) == ("y\n", 0o600)
    assert [line.split() for line in told] == [["made", str(file)], ["changed", str(file)]]


def test_a_folder_is_made_and_mended(machine: Machine, told: list[str]) -> None:
    for mode in (0o700, 0o700, 0o755):
        machine.folder(Path("/var/backups/pi-ota"), 0o700)
        machine.path(Path("/var/backups/pi-ota")).chmod(mode)
    machine.folder(Path("/var/backups/pi-ota"), 0o700)
    assert [line.split()[0] for line in told] == ["made", "mended"]


def test_what_somebody_has_changed_stays(machine: Machine, told: list[str]) -> None:
    file = Path("/etc/nginx/conf.d/pi-ota.conf")
    assert machine.manage(file, "one\n")
    assert machine.manage(file, "two\n")
    assert machine.path(file).read_text().endswith("two\n")
    machine.path(file).write_text(machine.path(file).read_text() + "mine\n")
    assert not machine.manage(file, "three\n")
    assert machine.path(file).read_text().endswith("two\nmine\n")
    assert machine.path(file).with_name("pi-ota.conf.new").read_text().endswith("three\n")
    assert told[-1].startswith("kept")


def test_a_program_that_fails_is_told_with_its_last_words(machine: Machine) -> None:
    with pytest.raises(InstallError, match=r"(?s)`sh -c .*status 3:\nit broke"):
        machine.run("sh", "-c", "echo it broke >&2; exit 3")


def openssl(*words: str | Path) -> str:
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False).stdout


def test_a_certificate_of_an_authority_for_this_name_alone(machine: Machine) -> None:
    assert certificates.own(machine, HOST, NOW)
    authority, certificate = machine.path(places.AUTHORITY), machine.path(places.CERTIFICATE)
    assert "OK" in openssl("verify", "-CAfile", authority, "-verify_hostname", HOST, certificate)
    assert "DNS:updates.example.org" in openssl("x509", "-in", authority, "-noout", "-ext", "nameConstraints")
    for key in (places.KEY, places.AUTHORITY_KEY):
        assert machine.path(key).stat().st_mode & 0o777 == 0o600
    assert certificates.fingerprint(machine) == openssl("sha256", "-r", authority).split()[0]
    # its authority is no good for another name, even where it signs for one
    other = Machine(lambda _: None, machine.path(Path("/other")))
    other.path(places.TLS).mkdir(parents=True)
    assert certificates.own(other, "bank.example.org", NOW)
    for name in (places.AUTHORITY, places.AUTHORITY_KEY):
        other.path(name).write_bytes(machine.path(name).read_bytes())
    certificates._certificate(other, "bank.example.org")
    assert "OK" not in openssl("verify", "-CAfile", authority, other.path(places.CERTIFICATE))


def test_a_certificate_is_kept_until_it_ends_soon_or_is_of_another_name(machine: Machine) -> None:
    certificates.own(machine, HOST, NOW)
    first = machine.path(places.CERTIFICATE).read_text(), machine.path(places.AUTHORITY).read_text()
    assert not certificates.own(machine, HOST, NOW + timedelta(days=794))
    assert (machine.path(places.CERTIFICATE).read_text(), machine.path(places.AUTHORITY).read_text()) == first
    assert certificates.own(machine, HOST, NOW + timedelta(days=796))
    renewed = machine.path(places.CERTIFICATE).read_text(), machine.path(places.AUTHORITY).read_text()
    assert (renewed[0] == first[0], renewed[1] == first[1]) == (False, True)
    assert certificates.own(machine, "other.example.org", NOW)
    assert machine.path(places.AUTHORITY).read_text() != first[1]


@pytest.mark.parametrize("link", [True, False])
def test_a_certificate_that_somebody_else_brought_stays(machine: Machine, *, link: bool) -> None:
    place = machine.path(places.CERTIFICATE)
    if link:
        place.symlink_to("/etc/letsencrypt/live/updates.example.org/fullchain.pem")
    else:
        place.write_text("mine")
    assert not certificates.own(machine, HOST, NOW)
    assert not machine.path(places.AUTHORITY).exists()
    assert certificates.fingerprint(machine) is None


def certbot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int) -> Path:
    """A certbot that notes how it was called: the real one needs a public name."""
    folder = tmp_path / "programs"
    folder.mkdir()
    (folder / "certbot").write_text(f'#!/bin/sh\necho "$@" > {folder}/called\necho no such name >&2\nexit {status}\n')
    (folder / "systemctl").write_text(f'#!/bin/sh\necho "$@" >> {folder}/units\n')
    for program in ("certbot", "systemctl"):
        (folder / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    return folder / "called"


def test_a_public_certificate_takes_the_place_of_the_own_one(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = certbot(tmp_path, monkeypatch, 0)
    certificates.own(machine, HOST, NOW)
    certificates.public(machine, HOST, "me@example.org")
    certificates.public(machine, HOST, None)
    assert machine.path(places.CERTIFICATE).readlink() == Path(f"/etc/letsencrypt/live/{HOST}/fullchain.pem")
    assert machine.path(places.KEY).readlink() == Path(f"/etc/letsencrypt/live/{HOST}/privkey.pem")
    assert f"--webroot-path {places.ACME}" in called.read_text()
    assert "enable --quiet --now certbot.timer" in called.with_name("units").read_text()
    assert f"root {places.ACME};" in site.text(HOST)
    assert not certificates.own(machine, HOST, NOW)


def test_a_public_certificate_that_is_not_to_be_had_leaves_the_own_one(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certbot(tmp_path, monkeypatch, 1)
    certificates.own(machine, HOST, NOW)
    with pytest.raises(InstallError, match=r"(?s)no such name.*port 80 has to be open"):
        certificates.public(machine, HOST, "me@example.org")
    assert not machine.path(places.CERTIFICATE).is_symlink()


def test_the_site_is_of_the_name(machine: Machine) -> None:
    text = site.text("fleet.example.net")
    assert "updates.example.org" not in text
    assert text.count("server_name fleet.example.net;") == 2
    for place in (places.CERTIFICATE, places.KEY, places.AUTHORITY):
        assert f" {place};" in text


def test_settings_are_written_once_and_hold(machine: Machine) -> None:
    assert fleet.known_host(machine) is None
    fleet.settings(machine, HOST)
    file = machine.path(places.SETTINGS)
    loaded = config.load({}, {}, file)
    assert (loaded.url, loaded.backup_dir, loaded.repository) == (
        "https://updates.example.org", places.BACKUPS, places.BUILDER_STATE / "aptly" / "public"
    )  # fmt: skip
    assert f"alias {loaded.repository}/;" in site.text(HOST)
    assert f"location {loaded.accel_prefix} " in site.text(HOST)
    file.write_text(file.read_text() + "threads = 4\n")
    fleet.settings(machine, HOST)
    assert file.read_text().endswith("threads = 4\n")
    assert fleet.known_host(machine) == HOST
    with pytest.raises(InstallError, match="Devices know the server by its name"):
        fleet.settings(machine, "other.example.org")
    file.write_text("colour = \n")
    with pytest.raises(InstallError, match="is not TOML"):
        fleet.known_host(machine)


@pytest.mark.parametrize(
    "host", [None, "", "localhost", "192.168.1.5", "-a.example.org", "a b.example.org", "A.example"]
)
def test_a_name_that_no_certificate_is_made_for(host: str | None) -> None:
    with pytest.raises(InstallError, match=r"updates\.example\.org"):
        up._name(host)


def test_the_first_key_is_told_where_a_later_step_fails(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Machine) -> None:
        raise InstallError("the units do not start")

    monkeypatch.setattr(accounts, "make", lambda _: None)
    monkeypatch.setattr(fleet, "database", lambda _: "pik_first")
    monkeypatch.setattr(fleet, "copied", fails)
    told: list[str] = []
    with pytest.raises(InstallError, match="do not start"):
        told.extend(up.install(machine, HOST, "own", None))
    assert [line for line in told if "pik_first" in line]


def test_the_commands_run_as_the_right_users(machine: Machine) -> None:
    services.commands(machine)
    for name in ("repo-server", "pkgbuild"):
        file = machine.path(places.COMMANDS / name)
        assert subprocess.run(["sh", "-n", file], check=False).returncode == 0
        assert file.stat().st_mode & 0o777 == 0o755
    assert f"REPO_SERVER_CONFIG={places.SETTINGS}" in machine.path(places.COMMANDS / "repo-server").read_text()


def test_uninstalling_leaves_data_until_it_is_asked_for(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = certbot(tmp_path, monkeypatch, 0).with_name("units")
    services.make(machine)
    services.commands(machine)
    machine.manage(places.SITE, site.text(HOST))
    database = machine.path(places.SERVER_STATE / "repo_server.db")
    database.touch()
    left = list(down.uninstall(machine, purge=False))
    assert "disable --quiet --now pi-ota-aptly.service" in called.read_text()
    assert [
        path for path in machine.path(places.UNITS).iterdir() if path.suffix in {".service", ".timer", ".socket"}
    ] == []
    assert list(machine.path(places.COMMANDS).iterdir()) == list(machine.path(places.SITE).parent.iterdir()) == []
    assert database.exists()
    assert f"left        {places.SERVER_STATE}: the fleet: devices, updates, API keys, audit log" in left
    for _ in range(2):  # twice does no harm
        assert len(list(down.uninstall(machine, purge=True))) == 1
        assert not any(machine.path(folder).exists() for folder in down.DATA)


def test_what_is_started_at_boot() -> None:
    assert services.enabled() == (
        "pi-ota-aptly.service", "pi-ota-backup.timer", "pi-ota-prune.timer", "pi-ota-resign.timer",
        "pi-ota-server.service", "pi-ota-server.socket",
    )  # fmt: skip
    for unit in services.sources():
        text = unit.read_text()
        assert set(re.findall(r"^User=(\S+)$", text, re.MULTILINE)) <= {places.SERVER, places.BUILDER}


def test_the_servers_requirements_are_those_that_are_tested() -> None:
    pins = [
        set(re.findall(r"^[a-z0-9-]+==\S+", (ROOT / name).read_text(), re.MULTILINE))
        for name in ("requirements-server.lock", "requirements.lock")
    ]
    assert len(pins[0]) > 20
    assert pins[0] <= pins[1]
