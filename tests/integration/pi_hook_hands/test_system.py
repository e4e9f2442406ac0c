"""The system's own packages and the agent itself, by real apt and unattended-upgrades from an archive like Debian's."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pi_hook.ports import Problem, Step, StepResult
from pkgbuild import keyring
from tests.support.agent_package import build_agent
from tests.support.apt_repo import NAME, Keys, Repo, RepoServer, build_deb
from tests.support.apt_root import AptRoot

from .conftest import point_at

CONF = "/etc/fake-conf.conf"
NEXT = "99.0"


@dataclass
class Night:
    """A device with 1.0.0 of the assistant and four packages of the system, each of which has a newer version."""

    device: AptRoot
    ours: Repo
    security: Repo
    main: Repo
    mirror: RepoServer
    work: Path

    def publish(self) -> None:
        for repo in (self.ours, self.security, self.main):
            repo.publish()

    def deb(self, package: str, version: str, postinst: str = "", depends: str = "") -> Path:
        files = {f"/usr/share/{package}/version": version}
        scripts = {"postinst": f"#!/bin/sh\nset -e\n{postinst}\n"} if postinst else {}
        if package == "fake-conf":
            files[CONF] = f"shipped by {version}\n"
            scripts["conffiles"] = f"{CONF}\n"
        self.work.mkdir(exist_ok=True)
        control = f"Depends: {depends}\n" if depends else ""
        return build_deb(self.work, package, version, files, control=control, scripts=scripts)

    def upgrade(self, packages: str) -> StepResult:
        self.publish()
        assert self.device.system_step(Step.LISTS, packages).problem is None
        return self.device.system_step(Step.SYSTEM, packages)

    def versions(self) -> dict[str, str | None]:
        names = ("fake-lib", "fake-conf", "fake-held", "fake-tool", NAME)
        return {name: self.device.version(name) for name in names}


OLD = {"fake-lib": "1", "fake-conf": "1", "fake-held": "1", "fake-tool": "1", NAME: "1.0.0"}


@pytest.fixture
def repo(first_release: tuple[Repo, tuple[Path, ...]], tmp_path: Path) -> Repo:
    return first_release[0].copy(tmp_path / "served")


@pytest.fixture
def night(
    first_release: tuple[Repo, tuple[Path, ...]], repo: Repo, server: RepoServer, tmp_path: Path
) -> Iterator[Night]:
    suite, keys = repo.suite, repo.keys
    archive = tmp_path / "debian"
    security = Repo(archive, keys, suite, origin="Debian", label="Debian-Security", channel=f"{suite}-security")
    main = Repo(archive, keys, suite, origin="Debian", label="Debian", channel=suite)
    main.base.mkdir(parents=True)
    with (
        AptRoot(first_release[1], tmp_path / "device") as device,
        RepoServer(archive, "127.0.0.2") as mirror,  # the pins name the host of the fleet's repository
    ):
        point_at(device, repo, server)
        (device.path / "etc/apt/sources.list.d/debian.sources").write_text(
            f"Types: deb\nURIs: {mirror.url}/repo/{suite}\nSuites: {suite} {suite}-security\nComponents: main\n"
            "Signed-By: /usr/share/keyrings/pi-ota-archive-keyring.gpg\n"
        )
        night = Night(device, repo, security, main, mirror, tmp_path / "work")
        for package in ("fake-lib", "fake-conf", "fake-held", "fake-tool"):
            old = night.deb(package, "1")
            device.run("dpkg", "--install", device.copy_in(old, f"/root/{old.name}"))
            where = main if package == "fake-tool" else security
            where.add(night.deb(package, "2"), sign=False)
        device.run("apt-mark", "hold", "fake-held")
        (device.path / CONF.lstrip("/")).write_text("changed by a person\n")
        repo.release("1.1.0", "urgent")
        yield night


def test_security_upgrades_and_nothing_else(night: Night) -> None:
    result = night.upgrade("security")
    assert night.versions() == {**OLD, "fake-lib": "2", "fake-conf": "2"}
    assert (night.device.path / CONF.lstrip("/")).read_text() == "changed by a person\n"
    assert result.problem is None
    assert result.changed == ("fake-conf 2", "fake-lib 2")
    assert result.message.startswith("2 packages upgraded")
    # It was unattended-upgrades, and what it fetched is gone again.
    log = (night.device.path / "var/log/unattended-upgrades/unattended-upgrades.log").read_text()
    assert "fake-lib" in log
    assert not list(night.device.path.glob("var/cache/apt/archives/*.deb"))
    again = night.device.system_step(Step.SYSTEM, "security")
    assert (again.problem, again.changed, again.message) == (None, (), "nothing to upgrade")


def test_all_takes_the_other_archive_too(night: Night) -> None:
    result = night.upgrade("all")
    assert night.versions() == {**OLD, "fake-lib": "2", "fake-conf": "2", "fake-tool": "2"}
    assert result.changed == ("fake-conf 2", "fake-lib 2", "fake-tool 2")


def test_none_takes_nothing_and_asks_no_mirror(night: Night) -> None:
    result = night.upgrade("none")
    assert night.versions() == OLD
    assert (result.problem, result.changed) == (None, ())
    assert night.mirror.requests == []


def test_what_a_person_does_not_want_upgraded_is_left_alone(night: Night) -> None:
    unwanted = 'Unattended-Upgrade::Package-Blacklist { "fake-l"; };\n'
    (night.device.path / "etc/apt/apt.conf.d/99-person").write_text(unwanted)
    result = night.upgrade("security")
    assert night.versions() == {**OLD, "fake-conf": "2"}
    assert result.problem is None


def test_what_would_need_another_archive_is_kept_back_and_said(night: Night) -> None:
    night.security.add(night.deb("fake-lib", "3", depends="only-elsewhere"), sign=False)
    night.main.add(build_deb(night.work, "only-elsewhere", "1", {"/usr/share/x": "x"}), sign=False)
    result = night.upgrade("security")
    assert (result.problem, night.device.version("fake-conf")) == (None, "2")
    assert "kept back: fake-lib" in result.message


def test_an_assistant_or_an_agent_in_debians_archive_is_not_ours(night: Night) -> None:
    for package in (NAME, f"{NAME}-app-1.0.0", "pi-hook"):
        night.security.add(build_deb(night.work, package, NEXT, {"/usr/share/evil": "x"}), sign=False)
    agent = night.device.version("pi-hook")
    night.upgrade("security")
    assert night.versions() == {**OLD, "fake-lib": "2", "fake-conf": "2"}
    assert night.device.version("pi-hook") == agent


def test_a_failing_script_is_said_and_counts_as_no_upgrade(night: Night) -> None:
    night.security.add(night.deb("fake-lib", "3", postinst="echo made of cheese >&2; exit 7"), sign=False)
    result = night.upgrade("security")
    assert result.problem is Problem.DPKG_FAILED, result.message
    assert "exit status 7" in result.message
    assert not any("fake-lib" in words for words in result.changed)
    assert night.device.version(NAME) == "1.0.0"


def test_a_mirror_without_its_packages_is_no_success(night: Night) -> None:
    night.publish()
    assert night.device.system_step(Step.LISTS, "security").problem is None
    for deb in night.security.debs:
        deb.unlink()
    result = night.device.system_step(Step.SYSTEM, "security")
    assert result.problem in {Problem.UNREACHABLE, Problem.NOT_PUBLISHED}, result.message
    assert night.versions() == OLD
    assert night.device.run("dpkg", "--audit").stdout == ""


def test_a_changed_package_is_not_installed(night: Night) -> None:
    night.publish()
    assert night.device.system_step(Step.LISTS, "security").problem is None
    lib = next(deb for deb in night.security.debs if deb.name.startswith("fake-lib"))
    body = bytearray(lib.read_bytes())
    body[len(body) // 2] ^= 1
    lib.write_bytes(body)
    result = night.device.system_step(Step.SYSTEM, "security")
    assert night.device.version("fake-lib") == "1"
    assert result.problem is not None, result.message


def test_a_locked_dpkg_is_said(night: Night) -> None:
    night.publish()
    with (night.device.path / "var/lib/dpkg/lock-frontend").open("r+") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        result = night.device.system_step(Step.SYSTEM, "security")
    assert result.problem is Problem.APT_LOCKED, result.message
    assert night.versions() == OLD


def test_a_mirror_that_is_away_does_not_keep_our_lists_old(night: Night, server: RepoServer) -> None:
    night.publish()
    night.mirror.status = 503
    server.requests.clear()
    result = night.device.system_step(Step.LISTS, "security")
    assert result.problem is Problem.UNREACHABLE, result.message
    assert any("InRelease" in path for path in server.requests)
    assert "1.1.0" in night.device.run("apt-cache", "policy", NAME).stdout


def test_a_system_package_that_was_cut_off_is_mended_from_apts_cache(night: Night) -> None:
    deb = night.deb("fake-lib", "2")
    cache = night.device.path / "var/cache/apt/archives"
    shutil.copy(deb, cache / deb.name)
    status = night.device.path / "var/lib/dpkg/status"
    text = status.read_text()
    at = text.index("Package: fake-lib\n")
    broken = text[at:].replace("Status: install ok installed", "Status: install reinstreq half-installed", 1)
    status.write_text(text[:at] + broken)
    assert night.device.version("fake-lib") is None
    assert night.device.recover() == 0
    assert night.device.version("fake-lib") == "2"


# The agent itself


@pytest.fixture(scope="session")
def next_agent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_agent(NEXT, tmp_path_factory.mktemp("next-agent"))


def offer_agent(night: Night, deb: Path, *, sign: bool = True, keys: Keys | None = None) -> None:
    night.work.mkdir(exist_ok=True)
    copy = Path(shutil.copy(deb, night.work / deb.name))
    if keys is not None:
        keys.sign_deb(copy)
    night.ours.add(copy, sign=sign and keys is None)


@pytest.mark.parametrize("packages", ["none", "security"])
def test_a_newer_agent_is_installed_whatever_the_settings_say_of_the_system(
    night: Night, next_agent: Path, packages: str
) -> None:
    offer_agent(night, next_agent)
    result = night.upgrade(packages)
    assert result.problem is None, result.message
    assert f"pi-hook {NEXT}" in result.changed
    assert f"pi-hook is {NEXT} now" in result.message
    assert night.device.run("pi-hook", "--version").stdout.strip() == f"pi-hook {NEXT}"
    assert night.device.version(NAME) == "1.0.0"
    assert night.device.version("fake-lib") == ("1" if packages == "none" else "2")
    # What boot repair would need is kept.
    kept = [deb.name for deb in night.device.path.glob("var/lib/pi-hook/archives/pi-hook_*.deb")]
    assert kept == [f"pi-hook_{NEXT}_all.deb"]
    # The new agent reads what the old one had asked and answered.
    again = night.device.system_step(Step.SYSTEM, packages)
    assert (again.problem, again.changed) == (None, ())


def test_an_agent_never_goes_down(night: Night, next_agent: Path) -> None:
    offer_agent(night, next_agent)
    night.upgrade("none")
    older = next(deb for deb in night.ours.debs if deb.name == f"pi-hook_{NEXT}_all.deb")
    night.ours.debs.remove(older)
    offer_agent(night, build_agent("98.0", night.work / "older"))
    result = night.upgrade("none")
    assert (result.problem, result.changed) == (None, ())
    assert night.device.version("pi-hook") == NEXT


def test_an_agent_without_the_builders_signature_is_refused(night: Night, next_agent: Path) -> None:
    before = night.device.version("pi-hook")
    offer_agent(night, next_agent, sign=False)
    result = night.upgrade("security")
    assert result.problem is Problem.UNTRUSTED, result.message
    assert night.device.version("pi-hook") == before
    assert night.device.version("fake-lib") == "2", "the one does not keep the other from it"


def test_a_held_agent_stays(night: Night, next_agent: Path) -> None:
    offer_agent(night, next_agent)
    night.device.run("apt-mark", "hold", "pi-hook")
    result = night.upgrade("none")
    assert (result.problem, result.changed) == (None, ())
    assert "pi-hook is held back by `apt-mark hold`" in result.message


def test_a_new_builder_key_comes_before_the_agent_that_it_signs(
    night: Night, next_agent: Path, keys: Keys, tmp_path: Path
) -> None:
    new_keys = Keys(tmp_path / "new-keys")
    try:
        tree = tmp_path / "trust"
        new_keys.trust(tree)
        trusted = {f"/{path.relative_to(tree)}": path for path in tree.rglob("*") if path.is_file()}
        for version in ("1", "2"):
            keyring = keyring_deb(night, version, trusted if version == "2" else {})
            if version == "1":
                night.device.run("dpkg", "--install", night.device.copy_in(keyring, "/root/keyring.deb"))
            else:
                night.ours.add(keyring)  # signed by the old key
        offer_agent(night, next_agent, keys=new_keys)
        result = night.upgrade("none")
    finally:
        new_keys.close()
    assert result.problem is None, result.message
    assert result.changed == (f"pi-hook {NEXT}", "pi-ota-keyring 2")


def keyring_deb(night: Night, version: str, trusted: dict[str, Path]) -> Path:
    """The fleet's keyring package; the builder's new key is put in by its postinst, as the files are binary."""
    night.work.mkdir(exist_ok=True)
    lines = []
    for path, source in trusted.items():
        if "archive-keyring" in path:
            continue  # the archive key stays what it is
        octal = "".join(f"\\{byte:03o}" for byte in source.read_bytes())
        lines.append(f"mkdir -p {Path(path).parent}; printf '%b' '{octal.replace(chr(92), chr(92) + '0')}' > {path}")
    script = {"postinst": "#!/bin/sh\nset -e\n" + "\n".join(lines) + "\n"}
    files = {"/usr/share/doc/keyring": version}
    return build_deb(night.work, "pi-ota-keyring", version, files, scripts=script)


# The fleet's further packages, which nobody but its own repository brings


def list_package(night: Night, package: str) -> None:
    """As the fleet's keyring package does."""
    for path, text in ((keyring.LIST, keyring.list_text([package])), (keyring.PINS, keyring.pins_text([package]))):
        (night.device.path / path).parent.mkdir(parents=True, exist_ok=True)
        (night.device.path / path).write_text(text)


def test_a_further_package_comes_from_the_fleets_repository_and_from_no_other(night: Night) -> None:
    list_package(night, "fake-tool")
    night.ours.add(night.deb("fake-tool", "1.5"))  # Debian has 2
    night.ours.add(night.deb("fake-lib", "9"))  # is on no list
    result = night.upgrade("all")
    assert result.problem is None, result.message
    assert "fake-tool is 1.5 now" in result.message
    assert night.versions() == {**OLD, "fake-lib": "2", "fake-conf": "2", "fake-tool": "1.5"}


def test_a_further_package_without_the_builders_signature_keeps_nothing_else_back(
    night: Night, next_agent: Path
) -> None:
    list_package(night, "fake-tool")
    night.ours.add(night.deb("fake-tool", "1.5"), sign=False)
    offer_agent(night, next_agent)
    result = night.upgrade("security")
    assert result.problem is Problem.UNTRUSTED
    assert "carries no builder signature" in result.message
    assert night.device.version("fake-tool") == "1"
    assert night.device.version("pi-hook") == NEXT
    assert night.device.version("fake-lib") == "2"


# An agent that was cut off in the middle of its own upgrade


@pytest.fixture
def cut_off(night: Night, next_agent: Path) -> Night:
    """The next agent is in the cache, and unpacked so far that its modules are of two versions."""
    signed = night.work / next_agent.name
    night.work.mkdir(exist_ok=True)
    shutil.copy(next_agent, signed)
    night.ours.keys.sign_deb(signed)
    night.device.copy_in(signed, f"/var/lib/pi-hook/archives/{signed.name}")
    night.device.run("dpkg", "--unpack", f"/var/lib/pi-hook/archives/{signed.name}")
    return night


def mend(device: AptRoot) -> str:
    done = device.run("/usr/lib/pi-hook/mend-agent", check=False)
    return f"{done.returncode} {done.stdout}"


def break_modules(device: AptRoot) -> None:
    for module in ("names", "errors"):
        broken = device.path / f"usr/lib/pi-hook/pi_hook/{module}.py"
        broken.write_text("raise RuntimeError('half of two versions')\n")
    status = device.path / "var/lib/dpkg/status"
    text = status.read_text()
    at = text.index("Package: pi-hook\n")
    head, _, rest = text[at:].partition("\nStatus: ")
    rest = "install reinstreq half-installed" + rest[rest.index("\n") :]
    status.write_text(f"{text[:at]}{head}\nStatus: {rest}")


def test_an_agent_that_is_only_unpacked_is_configured(cut_off: Night) -> None:
    assert cut_off.device.version("pi-hook") is None
    assert mend(cut_off.device).startswith("0 ")
    assert cut_off.device.version("pi-hook") == NEXT
    assert mend(cut_off.device) == "0 "


def test_an_agent_of_two_versions_is_mended_before_its_own_program_runs(cut_off: Night) -> None:
    break_modules(cut_off.device)
    assert cut_off.device.recover() != 0, "its own repair cannot run"
    assert cut_off.device.run("pi-hook", "gate", check=False).returncode == 255, "and its gate fails, it does not defer"
    assert mend(cut_off.device).startswith("0 ")
    assert cut_off.device.version("pi-hook") == NEXT
    assert cut_off.device.recover() == 0
    assert cut_off.device.run("dpkg", "--audit").stdout == ""


def test_an_agent_is_not_mended_with_what_the_builder_did_not_sign(cut_off: Night, next_agent: Path) -> None:
    break_modules(cut_off.device)
    for deb in cut_off.device.path.glob("var/lib/pi-hook/archives/pi-hook_*.deb"):
        deb.unlink()
    cut_off.device.copy_in(next_agent, f"/var/lib/pi-hook/archives/{next_agent.name}")
    said = mend(cut_off.device)
    assert said.startswith("1 ")
    assert "the builder's signature does not hold" in said
    assert cut_off.device.version("pi-hook") is None


# The gate that Debian's own upgrades ask


def test_debians_own_upgrades_ask_the_gate_as_long_as_the_package_is_there(night: Night) -> None:
    drop_in = night.device.path / "usr/lib/systemd/system/apt-daily-upgrade.service.d/pi-hook.conf"
    assert "ExecCondition=/usr/bin/pi-hook gate" in drop_in.read_text()
    gate = ("pi-hook", "gate")
    assert night.device.run(*gate, check=False).returncode == 0, "installed and never set up"
    settings = night.device.path / "etc/pi-hook/pi-hook.toml"
    settings.write_text("")
    assert night.device.run(*gate, check=False).returncode == 255, "set up, and no daemon answers"
    night.device.run("dpkg", "--remove", "pi-hook")
    assert not drop_in.exists()
