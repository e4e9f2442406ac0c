from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from pi_hook.apt_source import AUTH, HOOK, KEEP, NETWORK, PREFERENCES, SOURCE, AptSourceFiles
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
    changed: dict[str, Any] = {field: value}
    with pytest.raises(ValueError, match=words):
        AptSourceFiles(Root(tmp_path)).write(dataclasses.replace(SETTINGS, **changed))
    assert list(tmp_path.iterdir()) == []


def test_a_proxy_cannot_bring_other_configuration_in(tmp_path: Path) -> None:
    proxy = 'http://u:p";Dir::Etc::parts"/tmp@proxy:1'
    with pytest.raises(ValueError, match="http://HOST:PORT"):
        AptSourceFiles(Root(tmp_path)).write(dataclasses.replace(SETTINGS, proxy=proxy))
    assert not Root(tmp_path).at(SOURCE).exists()


def test_neither_token_nor_proxy_is_in_the_settings_repr() -> None:
    assert "s3cret" not in repr(dataclasses.replace(SETTINGS, proxy="http://u:s3cret@proxy:1"))


def test_proxy_and_bandwidth_are_for_the_agents_runs_and_root_alone(tmp_path: Path) -> None:
    source, at = AptSourceFiles(Root(tmp_path)), Root(tmp_path).at
    source.write(SETTINGS)
    assert at(NETWORK).read_text() == "", "nothing set: what apt itself is told holds"
    limited = dataclasses.replace(SETTINGS, proxy="http://u:p@proxy:3128", bandwidth_kilobytes_per_second=250)
    assert source.write(limited)
    assert at(NETWORK).read_text() == (
        'Acquire::http::Proxy "http://u:p@proxy:3128";\nAcquire::https::Proxy "http://u:p@proxy:3128";\n'
        'Acquire::http::Proxy-Auto-Detect "";\nAcquire::https::Proxy-Auto-Detect "";\n'
        'Acquire::http::Dl-Limit "250";\nAcquire::https::Dl-Limit "250";\n'
    )
    assert at(NETWORK).stat().st_mode & 0o777 == 0o600
