"""What of one device must not be in an image that is flashed more than once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pi_hook import cli, image
from pi_hook.apt_source import AptSourceFiles
from pi_hook.doctor import Level
from pi_hook.files import Root
from pi_hook.identity import load_or_create
from pi_hook.ports import AptSettings

SETTINGS = '[server]\nurl = "https://updates.example.org"\n[assistant]\nname = "sample-assistant"\n'
TOKEN = '[enrollment]\ntoken = "pie_secret"\n'


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """An image that is as it should be."""
    for path, text in {
        "usr/bin/pi-hook": "",
        "usr/share/keyrings/pi-ota-archive-keyring.gpg": "keys",
        "etc/machine-id": "uninitialized\n",
        "etc/pi-hook/pi-hook.toml": SETTINGS,
        "etc/ssh/sshd_config": "",
        "etc/apt/auth.conf.d/.keep": "",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    (wants / "pi-hook.service").symlink_to("/usr/lib/systemd/system/pi-hook.service")
    (tmp_path / "var/lib/pi-hook/archives/partial").mkdir(parents=True)
    (tmp_path / "var/log/journal").mkdir(parents=True)
    (tmp_path / "var/lib/dbus").mkdir(parents=True)
    (tmp_path / "var/lib/dbus/machine-id").symlink_to("/etc/machine-id")
    return Root(tmp_path)


def worst(root: Root, *, allow_token: bool = False) -> dict[str, str]:
    """By check what is not good."""
    found = image.examine(root, allow_token=allow_token)
    return {one.check: f"{one.level} {one.words}; {one.mend}" for one in found if one.level is not Level.OK}


def test_an_image_that_is_as_it_should_be(root: Root) -> None:
    findings = list(image.examine(root, allow_token=False))
    assert worst(root) == {}
    assert [one.check for one in findings] == [
        "agent", "identity", "apt", "token", "machine-id", "ssh", "first boot", "journal",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "text", "check"),
    [
        ("var/lib/pi-hook/identity.json", "{}", "identity"),
        ("var/lib/pi-hook/apt/network.conf", "", "identity"),
        ("etc/apt/auth.conf.d/pi-ota.conf", "", "apt"),
        ("etc/apt/auth.conf.d/pi-ota-bootstrap.conf", "", "apt"),
        ("etc/apt/sources.list.d/pi-ota.sources", "", "apt"),
        ("etc/pi-hook/pi-hook.toml", SETTINGS + TOKEN, "token"),
        ("etc/pi-hook/pi-hook.d/boot.toml", TOKEN, "token"),
        ("boot/firmware/pi-hook.toml", TOKEN, "token"),
        ("etc/pi-hook/pi-hook.toml", "[enrollment", "token"),
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n", "machine-id"),
        ("etc/ssh/ssh_host_ed25519_key", "", "ssh"),
        ("var/lib/systemd/random-seed", "", "first boot"),
        ("var/lib/systemd/credential.secret", "", "first boot"),
        ("var/lib/NetworkManager/secret_key", "", "first boot"),
        ("var/log/journal/0123456789abcdef0123456789abcdef/system.journal", "", "journal"),
    ],
)
def test_what_is_of_one_device_is_found_and_how_it_is_mended(root: Root, path: str, text: str, check: str) -> None:
    file = root.path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    found = worst(root)
    assert list(found) == [check]
    level, _, words = found[check].partition(" ")
    assert level == "fail"
    assert str(file) in words or str(file.parent) in words


def test_the_machine_id_of_dbus_counts_too(root: Root) -> None:
    path = root.path / "var/lib/dbus/machine-id"
    path.unlink()
    path.write_text("0123")
    assert worst(root)["machine-id"].startswith("fail /var/lib/dbus/machine-id is of one machine")


@pytest.mark.parametrize("text", ["", "uninitialized", None])
def test_a_machine_id_that_is_made_at_the_first_start(root: Root, text: str | None) -> None:
    path = root.path / "etc/machine-id"
    path.unlink()
    if text is not None:
        path.write_text(text)
    assert worst(root) == {}


def test_a_link_out_of_the_image_is_not_followed(root: Root, tmp_path: Path) -> None:
    """What it leads to on this machine says nothing of the image."""
    (root.path / "etc/apt/sources.list.d").mkdir()
    (root.path / "etc/apt/sources.list.d/pi-ota.sources").symlink_to("/nowhere")
    assert "apt" in worst(root)


def test_an_own_image_may_hold_a_token(root: Root) -> None:
    (root.path / "etc/pi-hook/pi-hook.toml").write_text(SETTINGS + TOKEN)
    found = worst(root, allow_token=True)
    assert found["token"].startswith("warn /etc/pi-hook/pi-hook.toml holds an enrollment token")
    assert "pie_secret" not in str(worst(root))


def test_credentials_of_others_are_a_persons_own_matter(root: Root) -> None:
    (root.path / "etc/apt/auth.conf.d/mirror.conf").write_text("machine mirror")
    assert worst(root)["apt"].startswith("warn /etc/apt/auth.conf.d/mirror.conf")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("usr/bin/pi-hook", "not installed"),
        ("etc/systemd/system/multi-user.target.wants/pi-hook.service", "not enabled"),
        ("usr/share/keyrings/pi-ota-archive-keyring.gpg", "keys are missing"),
    ],
)
def test_an_image_without_the_agent_is_none(root: Root, path: str, words: str) -> None:
    (root.path / path).unlink()
    assert words in worst(root)["agent"]


def test_all_that_a_device_writes_is_found(root: Root) -> None:
    """The real writers of identity, source and credentials: nothing of theirs is overlooked."""
    identity = load_or_create(root.path / "var/lib/pi-hook/identity.json")
    settings = AptSettings("https://a.example", "trixie", "stable", "sample", identity.device_id, identity.token)
    before = {path for path in root.path.rglob("*") if path.is_file()}
    AptSourceFiles(root).write(settings)
    secret = [path for path in root.path.rglob("*") if path.is_file() and path.stat().st_mode & 0o077 == 0]
    assert {path for path in root.path.rglob("*") if path.is_file()} > before
    words = " ".join(one.mend or "" for one in image.examine(root, allow_token=False))
    assert [path for path in secret if str(path) not in words] == []


def test_the_command_says_it_and_ends_so(root: Root, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-image", str(root.path)]) == 0
    assert "0 to mend, 0 to look at" in capsys.readouterr().out
    (root.path / "etc/machine-id").write_text("0123")
    assert cli.main(["check-image", str(root.path), "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert [one["check"] for one in answer["checks"] if one["level"] == "fail"] == ["machine-id"]
    (root.path / "etc/pi-hook/pi-hook.toml").write_text(SETTINGS + TOKEN)
    (root.path / "etc/machine-id").write_text("")
    assert cli.main(["check-image", str(root.path)]) == 1
    assert cli.main(["check-image", str(root.path), "--allow-enrollment-token"]) == 0


def test_a_folder_that_is_no_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check-image", str(tmp_path)]) == 1
    assert "is no unpacked image" in capsys.readouterr().err
