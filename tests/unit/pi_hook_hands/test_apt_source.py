from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from pi_hook.apt_source import AUTH, HOOK, KEEP, PREFERENCES, SOURCE, AptSourceFiles
from pi_hook.files import Root
from pi_hook.ports import AptSettings

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = AptSettings("https://updates.example.org", "trixie", "stable", "kitchen", "0195-id", "s3cret")


def test_writes_source_credentials_pins_and_hook(tmp_path: Path) -> None:
    assert AptSourceFiles(Root(tmp_path)).write(SETTINGS)
    at = Root(tmp_path).at
    source = at(SOURCE).read_text()
    assert "URIs: https://updates.example.org/repo/trixie\nSuites: stable\nComponents: main\n" in source
    assert "Signed-By: /usr/share/keyrings/pi-ota-archive-keyring.gpg\nValid-Until-Max: 604800\n" in source
    assert at(AUTH).read_text().endswith("machine https://updates.example.org/repo\nlogin 0195-id\npassword s3cret\n")
    assert at(AUTH).stat().st_mode & 0o777 == 0o600
    pins = at(PREFERENCES).read_text()
    assert 'Package: *\nPin: origin "updates.example.org"\nPin-Priority: -1\n' in pins
    assert "Package: kitchen kitchen-app-* kitchen-deps-* kitchen-asset-* pi-hook pi-ota-keyring\n" in pins
    assert 'PiHook::Assistant "kitchen";' in at(HOOK).read_text()


def test_writing_the_same_again_changes_nothing(tmp_path: Path) -> None:
    source = AptSourceFiles(Root(tmp_path))
    source.write(SETTINGS)
    before = Root(tmp_path).at(SOURCE).stat()
    assert not source.write(SETTINGS)
    assert Root(tmp_path).at(SOURCE).stat().st_ino == before.st_ino
    assert source.write(dataclasses.replace(SETTINGS, channel="beta"))


def test_a_mode_that_someone_opened_is_closed_again(tmp_path: Path) -> None:
    source = AptSourceFiles(Root(tmp_path))
    source.write(SETTINGS)
    Root(tmp_path).at(AUTH).chmod(0o644)
    assert source.write(SETTINGS)
    assert Root(tmp_path).at(AUTH).stat().st_mode & 0o777 == 0o600


def test_plain_http_names_its_scheme_and_port(tmp_path: Path) -> None:
    AptSourceFiles(Root(tmp_path)).write(dataclasses.replace(SETTINGS, server_url="http://10.0.2.2:8000/"))
    assert "machine http://10.0.2.2:8000/repo\n" in Root(tmp_path).at(AUTH).read_text()
    assert 'Pin: origin "10.0.2.2"\n' in Root(tmp_path).at(PREFERENCES).read_text()


def test_remove_takes_everything_away(tmp_path: Path) -> None:
    source = AptSourceFiles(Root(tmp_path))
    source.write(SETTINGS)
    Root(tmp_path).at(KEEP).write_text("")
    source.remove()
    source.remove()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("server_url", "ftp://x", "server.url"),
        ("server_url", "https://user:pw@x", "server.url"),
        ("server_url", "https://x/path", "server.url"),
        ("server_url", "https://x:notaport", "server.url"),
        ("server_url", "https://", "server.url"),
        ("debian", "trixie\nTrusted: yes", "Debian release"),
        ("channel", "a b", "channel"),
        ("assistant", "x-app-1", "assistant.name"),
        ("device_id", "a\nmachine other", "device id"),
        ("device_token", "a b", "device token"),
    ],
)
def test_what_cannot_be_written_safely_is_refused(tmp_path: Path, field: str, value: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        AptSourceFiles(Root(tmp_path)).write(dataclasses.replace(SETTINGS, **{field: value}))
    assert list(tmp_path.iterdir()) == []


def test_the_token_is_not_in_the_settings_repr() -> None:
    assert "s3cret" not in repr(SETTINGS)
