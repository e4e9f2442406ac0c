"""``pi-hook doctor``: what is well is said so, and everything that is not is named with what mends it."""

from __future__ import annotations

import fcntl
import grp
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pi_hook import cli, conditions, doctor, doctor_agent
from pi_hook.apt_source import KEYRING, NETWORK, SOURCE, AptSourceFiles
from pi_hook.client import HttpServer
from pi_hook.config import ActivitySettings, Settings
from pi_hook.doctor import Level
from pi_hook.doctor_agent import Surroundings
from pi_hook.errors import NoDaemonError, SettingsError
from pi_hook.identity import load_or_create
from pi_hook.release_dir import ReleaseDir
from pi_hook.server_set import apt_settings
from pi_hook.state import Ledger
from tests.support.pi_hook_fakes import FakeClock

from .conftest import NAME, Programs, SmallRoot

KEY = "0123456789ABCDEF"
WELL: dict[str, Any] = {"gate": {"words": "nothing to install"}, "sources": []}


class Front(ThreadingHTTPServer):
    """Answers HEAD with ``status``, and keeps path and credentials."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FrontHandler)
        self.status = 200
        self.asked: list[tuple[str, str | None]] = []


class FrontHandler(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        assert isinstance(self.server, Front)
        self.server.asked.append((self.path, self.headers.get("Authorization")))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        """Be quiet."""


class Bench:
    """A device on which everything is well, until a test breaks it."""

    def __init__(self, tmp_path: Path, small: SmallRoot, programs: Programs, front: Front) -> None:
        self.small, self.programs, self.front = small, programs, front
        self.state, self.socket = tmp_path / "state", tmp_path / "control.sock"
        self.settings = Settings(f"http://127.0.0.1:{front.server_address[1]}", NAME, timezone="Europe/Berlin")
        self.daemon: Callable[[], dict[str, Any]] = lambda: WELL
        self.load: Callable[[], Settings] = lambda: self.settings
        self.clock = FakeClock()
        identity = load_or_create(self.state / "identity.json")
        self.ledger = Ledger(self.state)
        self.ledger.remember(registered=True, channel="stable")
        AptSourceFiles(small.root).write(apt_settings(self.settings, "stable", "trixie", identity))
        self.socket.touch()
        small.release("1.0.0")
        small.package(NAME, "1.0.0")
        ReleaseDir(NAME, small.root).activate("1.0.0")
        archives = small.path / "var/lib/pi-hook/archives"
        archives.mkdir(parents=True)
        for name in (f"{NAME}_1.0.0_arm64.deb", f"{NAME}-app-1.0.0_1.0.0_arm64.deb"):
            (archives / name).touch()
        for path in (KEYRING, f"/usr/share/debsig/keyrings/{KEY}/debsig.gpg", f"/etc/debsig/policies/{KEY}/pi-ota.pol"):
            file = small.root.at(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(0o644)
        programs.put(
            "systemctl", "case $1 in is-active) echo active;; is-enabled) echo enabled;; *) echo inactive;; esac"
        )
        self.keys_expire("")

    def keys_expire(self, at: object) -> None:
        self.programs.put("gpg", f"echo 'pub:-:255:22:{KEY}:1:{at}::-:::scSC::::::23::0:'")

    def look(self) -> list[doctor.Finding]:
        return doctor_agent.look_at_all(
            Surroundings(
                root=self.small.root,
                load_settings=self.load,
                ask_daemon=self.daemon,
                server=lambda settings: HttpServer(settings.server_url, timeout=5),
                clock=self.clock,
                debian="trixie",
                socket=self.socket,
                state=self.state,
            )
        )

    def found(self, check: str) -> doctor.Finding:
        """The worst finding of a check."""
        order = [Level.OK, Level.WARN, Level.FAIL]
        return max((f for f in self.look() if f.check == check), key=lambda f: order.index(f.level))


@pytest.fixture
def bench(tmp_path: Path, small: SmallRoot, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    front = Front()
    thread = threading.Thread(target=front.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made = Bench(tmp_path, small, programs, front)
    own = grp.getgrgid(made.socket.stat().st_gid)
    made.socket.chmod(0o660)
    monkeypatch.setattr(grp, "getgrnam", lambda _name: own)
    yield made
    front.shutdown()
    thread.join()
    front.server_close()


def test_a_device_that_is_well_has_nothing_to_mend(bench: Bench) -> None:
    findings = bench.look()
    assert [f for f in findings if f.level is not Level.OK] == []
    checks = {f.check for f in findings}
    assert checks == {
        "settings", "clock", "timezone", "daemon", "socket", "activity", "enrolled", "server", "apt source", "keyring",
        "builder key", "disk", "writable", "dpkg", "current", "archives", "unit",
    }  # fmt: skip
    path, credentials = bench.front.asked[0]
    assert path == "/repo/trixie/dists/stable/InRelease"
    assert (credentials or "").startswith("Basic ")
    assert doctor.as_json(findings)["ok"] is True
    assert doctor.in_words(findings).endswith("0 to mend, 0 to look at")


def broken_settings(bench: Bench) -> None:
    def load() -> Settings:
        raise SettingsError("pi-hook.toml: there is no setting windw.start")

    bench.load = load


def no_daemon(bench: Bench) -> None:
    def ask() -> dict[str, Any]:
        raise NoDaemonError("no daemon answers")

    bench.daemon = ask


def sources(*problems: str | None) -> Callable[[Bench], None]:
    def apply(bench: Bench) -> None:
        bench.settings = replace(bench.settings, activity=ActivitySettings(gpio_pins=tuple(range(len(problems)))))
        known = [{"name": f"GPIO{pin}", "problem": problem} for pin, problem in enumerate(problems)]
        bench.daemon = lambda: {**WELL, "sources": known}

    return apply


def upgraded(*, python: str | None) -> Callable[[Bench], None]:
    """Debian is another than the one that the release was built for; the Python that is left of that."""

    def damage(bench: Bench) -> None:
        record = bench.small.path / f"usr/lib/{NAME}/releases/1.0.0/release.json"
        content = json.loads(record.read_text())
        record.write_text(json.dumps({**content, "target": {"debian": "bookworm", "python": "3.11"}}))
        if python is not None:
            (bench.small.path / "usr/bin").mkdir(parents=True, exist_ok=True)
            (bench.small.path / f"usr/bin/python{python}").touch()

    return damage


def unit(question: str, words: str) -> Callable[[Bench], None]:
    return lambda bench: bench.programs.put(
        "systemctl",
        f"case $1 in {question}) echo {words};; is-active) echo active;; is-enabled) echo enabled;; *) echo no;; esac",
    )


def remove(path: str) -> Callable[[Bench], None]:
    return lambda bench: bench.small.root.at(path).unlink()


def text(path: str, content: str) -> Callable[[Bench], None]:
    def apply(bench: Bench) -> None:
        bench.small.root.at(path).write_text(content)

    return apply


def unregistered(bench: Bench) -> None:
    bench.ledger.remember(registered=False)


def stamp(days: int) -> int:
    return int((FakeClock().wall + timedelta(days=days)).timestamp())


BROKEN: list[tuple[str, Callable[[Bench], Any], str, Level, str, str | None]] = [
    ("settings", broken_settings, "settings", Level.FAIL, "no setting windw.start", "systemctl restart pi-hook"),
    (
        "clock",
        lambda b: setattr(b.clock, "synchronised", False),
        "clock",
        Level.WARN,
        "not synchronised",
        "timedatectl",
    ),
    (
        "zone",
        lambda b: b.ledger.remember(timezone="Mars/Olympus"),
        "timezone",
        Level.WARN,
        "'Mars/Olympus'",
        "timedatectl",
    ),
    ("daemon", no_daemon, "daemon", Level.FAIL, "no daemon answers", "systemctl start pi-hook"),
    ("no socket", lambda b: b.socket.unlink(), "socket", Level.FAIL, "is not there", "systemctl start pi-hook"),
    (
        "open socket",
        lambda b: b.socket.chmod(0o666),
        "socket",
        Level.WARN,
        "group pi-hook",
        "systemctl restart pi-hook",
    ),
    ("pin taken", sources("GPIO0 cannot be used", None), "activity", Level.WARN, "GPIO0 cannot be used", "free it"),
    ("no source", sources("gone", "gone too"), "activity", Level.FAIL, "idle is unknown", "activity.gpio_pins"),
    (
        "refused",
        lambda b: b.ledger.remember(stopped="gone: retired"),
        "enrolled",
        Level.FAIL,
        "gone: retired",
        "operator",
    ),
    ("no token", unregistered, "enrolled", Level.FAIL, "no enrollment token", "[enrollment]"),
    ("not written yet", unregistered, "apt source", Level.WARN, "once the device is registered", None),
    ("credentials", lambda b: setattr(b.front, "status", 401), "server", Level.FAIL, "credentials (401)", "operator"),
    (
        "channel",
        lambda b: setattr(b.front, "status", 404),
        "server",
        Level.WARN,
        "no channel stable for trixie",
        "publish",
    ),
    ("server", lambda b: setattr(b.front, "status", 503), "server", Level.FAIL, "HTTP 503", "server.url"),
    (
        "no server",
        lambda b: setattr(b, "settings", replace(b.settings, server_url="http://127.0.0.1:9")),
        "server",
        Level.FAIL,
        "cannot be asked",
        "network.proxy",
    ),
    ("source", text(SOURCE, "Types: deb\n"), "apt source", Level.FAIL, SOURCE, "systemctl restart pi-hook"),
    ("network", remove(NETWORK), "apt source", Level.FAIL, NETWORK, "systemctl restart pi-hook"),
    ("keyring", remove(KEYRING), "keyring", Level.FAIL, "is missing", "pi-ota-keyring"),
    ("mode", lambda b: b.small.root.at(KEYRING).chmod(0o600), "keyring", Level.FAIL, "not readable", "chmod 644"),
    ("expired", lambda b: b.keys_expire(stamp(-1)), "keyring", Level.FAIL, "expired on 2026-03-09", "the new key"),
    ("expires", lambda b: b.keys_expire(stamp(60)), "keyring", Level.WARN, "expires on 2026-05-09", "the new key"),
    ("builder", lambda b: b.keys_expire(stamp(-1)), "builder key", Level.WARN, "expired", "the new key"),
    ("no key", lambda b: b.programs.put("gpg", "exit 2"), "keyring", Level.FAIL, "holds no key", "pi-ota-keyring"),
    (
        "policy",
        remove(f"/etc/debsig/policies/{KEY}/pi-ota.pol"),
        "builder key",
        Level.FAIL,
        "no builder key",
        "pi-ota-keyring",
    ),
    (
        "half a policy",
        remove(f"/usr/share/debsig/keyrings/{KEY}/debsig.gpg"),
        "builder key",
        Level.FAIL,
        "is missing",
        "pi-ota-keyring",
    ),
    (
        "dpkg",
        lambda b: b.small.package("other", "1", status="install ok half-configured"),
        "dpkg",
        Level.FAIL,
        "other (install ok half-configured)",
        "systemctl start pi-hook-recover",
    ),
    (
        "held",
        lambda b: b.small.package(NAME, "1.0.0", status="hold ok installed"),
        "hold",
        Level.WARN,
        "held",
        f"apt-mark unhold {NAME}",
    ),
    (
        "current",
        remove(f"/var/lib/{NAME}/current"),
        "current",
        Level.FAIL,
        "names no complete release",
        "systemctl start pi-hook-recover",
    ),
    (
        "archives",
        remove(f"/var/lib/pi-hook/archives/{NAME}-app-1.0.0_1.0.0_arm64.deb"),
        "archives",
        Level.WARN,
        "would need the network",
        None,
    ),
    (
        "upgraded",
        upgraded(python="3.11"),
        "built for",
        Level.WARN,
        "its Python 3.11, which",
        "release a newer version",
    ),
    ("left", upgraded(python=None), "built for", Level.FAIL, "its Python 3.11 is gone", "release a newer version"),
    ("unit", unit("is-active", "failed"), "unit", Level.FAIL, "pi-hook.service is failed", "journalctl -u pi-hook"),
    ("disabled", unit("is-enabled", "disabled"), "unit", Level.WARN, "is disabled", "systemctl enable pi-hook"),
    ("step", unit("is-failed", "failed"), "unit", Level.WARN, "pi-hook-recover.service has failed", "journalctl"),
]


@pytest.mark.parametrize(
    ("damage", "check", "level", "words", "mend"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN]
)
def test_what_is_broken_is_named_with_what_mends_it(  # noqa: PLR0917  # a table
    bench: Bench, damage: Callable[[Bench], Any], check: str, level: Level, words: str, mend: str | None
) -> None:
    damage(bench)
    finding = bench.found(check)
    assert (finding.level, words in finding.words) == (level, True), finding
    assert mend is None if finding.mend is None else (mend or "?") in finding.mend
    assert finding.line().startswith(level)


def test_settings_that_only_root_may_read_are_no_failure_and_an_open_secret_is_told(bench: Bench) -> None:
    file = bench.small.path / "etc/pi-hook/pi-hook.toml"
    file.parent.mkdir(parents=True)
    file.write_text('[window]\nstart = "02:00"\n')
    file.chmod(0o644)
    assert bench.found("settings").level is Level.OK, "no secret in it"
    more = bench.small.path / "etc/pi-hook/pi-hook.d/boot.toml"
    more.parent.mkdir()
    more.write_text('[enrollment]\ntoken = "s3cret"\n')
    more.chmod(0o640)
    finding = bench.found("settings")
    assert (finding.level, finding.mend) == (Level.WARN, f"chmod 600 {more}")
    assert "s3cret" not in finding.line()
    more.chmod(0o600)
    assert bench.found("settings").level is Level.OK

    def closed() -> Settings:
        raise SettingsError("pi-hook.toml cannot be read: Permission denied") from PermissionError()

    bench.load = closed
    finding = bench.found("settings")
    assert (finding.level, finding.mend) == (Level.WARN, "sudo pi-hook doctor")


def test_a_full_disk_and_one_that_forgets(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, level in ((10**6, Level.FAIL), (10**8, Level.WARN), (10**10, Level.OK)):
        monkeypatch.setattr(conditions, "free_bytes", lambda _path, free=free: free)
        assert bench.found("disk").level is level
    monkeypatch.setattr(conditions, "writable_for_good", lambda _path: False)
    finding = bench.found("writable")
    assert (finding.level, "overlay" in finding.words) == (Level.FAIL, True)


def test_a_lock_is_told_with_its_holder(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = bench.small.path / "var/lib/dpkg/lock-frontend"
    lock.touch()
    with lock.open("r+") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        assert not [f for f in bench.look() if f.check == "apt"], "our own lock is none of another program"
    monkeypatch.setattr(conditions, "lock_holder", lambda _root: 4711)
    assert "process 4711" in bench.found("apt").words


def test_nothing_installed_yet_is_no_failure(bench: Bench, tmp_path: Path) -> None:
    empty = SmallRoot(tmp_path / "empty")
    bench.small = empty
    finding = bench.found("current")
    assert (finding.level, "no release" in finding.words) == (Level.WARN, True)


def test_what_cannot_be_looked_at_is_a_warning_and_the_rest_is_looked_at(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_arguments: Any) -> None:
        raise PermissionError

    monkeypatch.setattr("pi_hook.doctor_agent.load", forbidden)
    finding = bench.found("server")
    assert (finding.level, finding.mend) == (Level.WARN, "sudo pi-hook doctor")
    bench.programs.put("systemctl", "sleep 5")
    monkeypatch.setattr("pi_hook.doctor_system._SECONDS", 0.2)
    assert "cannot be looked at" in bench.found("unit").words
    assert bench.found("disk").level is Level.OK


def test_the_command_ends_with_1_where_something_is_to_mend_and_speaks_json(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [bench.look()]
    bench.front.status = 401
    found.append(bench.look())
    monkeypatch.setattr(doctor_agent, "real", lambda _socket, _state: None)
    monkeypatch.setattr(doctor_agent, "look_at_all", lambda _around: found.pop(0))
    assert cli.main(["doctor"]) == 0
    assert "0 to mend" in capsys.readouterr().out
    assert cli.main(["doctor", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    (server,) = [check for check in answer["checks"] if check["check"] == "server"]
    assert set(server) == {"check", "level", "words", "mend"}
    assert server["level"] == "fail"


def test_without_settings_the_machine_is_still_looked_at(bench: Bench) -> None:
    broken_settings(bench)
    assert {f.check for f in bench.look()} == {"settings", "clock", "keyring", "builder key", "disk", "writable"}
    assert bench.clock.wall < datetime.now(UTC)


def test_a_fresh_device_lacks_nothing_but_a_release(bench: Bench) -> None:
    """Before the first release there is no unit of the assistant that could be active."""
    bench.small.forget(NAME)
    shutil.rmtree(bench.small.path / f"usr/lib/{NAME}")
    (bench.small.path / f"var/lib/{NAME}/current").unlink()
    bench.programs.put("systemctl", 'case "$*" in *"is-active sample"*) echo inactive;; is-active*) echo active;;'
                       " is-enabled*) echo enabled;; *) echo inactive;; esac")  # fmt: skip
    assert [one.check for one in bench.look() if one.level is Level.FAIL] == []
    assert bench.found("current").words == f"no release of {NAME} is installed yet"
