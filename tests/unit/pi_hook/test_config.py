"""Settings: each file that cannot be used is refused with file, key and remedy."""

from __future__ import annotations

from datetime import time, timedelta
from pathlib import Path

import pytest

from pi_hook import config
from pi_hook.errors import SettingsError
from pi_hook.settings_keys import KEYS

MINIMAL = '[server]\nurl = "https://updates.example.org"\n[assistant]\nname = "sample-assistant"\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pi-hook.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_those_of_the_interfaces_page(tmp_path: Path) -> None:
    settings = config.load(write(tmp_path, MINIMAL), None)
    rules = settings.rules
    assert (rules.window_start, rules.window_end) == (time(2), time(4))
    assert (rules.quiet, rules.max_deferral) == (timedelta(minutes=10), timedelta(days=7))
    assert (rules.idle_required, rules.max_deferral_urgent) == (timedelta(hours=1), timedelta(days=1))
    assert (rules.offline_grace, settings.soak) == (timedelta(days=7), timedelta(minutes=1))
    assert (settings.heartbeat, settings.channel, settings.timezone) == (timedelta(minutes=5), "stable", None)
    assert (settings.activity.gpio_pull, settings.activity.gpio_bounce) == ("up", timedelta(seconds=0.05))


def test_every_key_of_the_interfaces_page_is_a_setting_and_no_other() -> None:
    """Read off the page's own example, so that neither can change alone."""
    page = (Path(__file__).parents[3] / "docs" / "INTERFACES.md").read_text(encoding="utf-8")
    example = page.split("```toml")[1].split("```")[0].replace('"…"', '"token"')
    merged = config.merge([config.Fragment("the page", __import__("tomllib").loads(example))])
    assert set(merged) == set(KEYS)
    config.validate(merged)


def test_later_fragments_win_key_by_key(tmp_path: Path) -> None:
    file = write(tmp_path, MINIMAL + "[window]\nquiet_seconds = 60\nstart = '01:00'\n")
    folder = tmp_path / "pi-hook.d"
    folder.mkdir()
    (folder / "10-a.toml").write_text("[window]\nquiet_seconds = 70\n")
    (folder / "20-b.toml").write_text("[window]\nquiet_seconds = 80\n")
    rules = config.load(file, folder).rules
    assert (rules.quiet, rules.window_start) == (timedelta(seconds=80), time(1))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[window]\nstart_time = '02:00'", ["window.start_time", "nearest setting is window.start"]),
        ("[windw]\nstart = '02:00'", ["windw.start", "window.start"]),
        ("[health]\nsoak_minutes = 1", ["health.soak_minutes", "health.soak_seconds"]),
        ("url = 'https://a.example'", ["url must stand in a table", "server.url"]),
        ("[window]\nstart = '2 AM'", ["window.start must be a wall time", "2 AM"]),
        ("[window]\nstart = '24:00'", ["window.start"]),
        ("[window]\nquiet_seconds = '10min'", ["window.quiet_seconds", "whole number of seconds"]),
        ("[window]\nquiet_seconds = 1.5", ["window.quiet_seconds"]),
        ("[window]\nquiet_seconds = true", ["window.quiet_seconds"]),
        ("[window]\nquiet_seconds = -1", ["window.quiet_seconds"]),
        ("[health]\nsoak_seconds = 0", ["health.soak_seconds"]),
        ("[device]\ntimezone = 'Europe/Berln'", ["device.timezone", "Europe/Berlin"]),
        ("[device]\ntimezone = '../../etc/passwd'", ["device.timezone"]),
        ("[device]\nheartbeat_seconds = 1", ["device.heartbeat_seconds"]),
        ("[assistant]\nname = 'Sample Assistant'", ["assistant.name"]),
        ("[assistant]\nname = 'a-app-b'", ["assistant.name"]),
        ("[assistant]\nchannel = ''", ["assistant.channel"]),
        ("[server]\nurl = 'ftp://a.example'", ["server.url", "https://HOST"]),
        ("[server]\nurl = 'https://u:p@a.example'", ["server.url"]),
        ("[server]\nurl = 'https://a.example/path'", ["server.url"]),
        ("[server]\nurl = 'https://a.example:70000'", ["server.url"]),
        ("[server]\nurl = 5", ["server.url"]),
        ("[server]\nplain_http_hosts = 'a'", ["server.plain_http_hosts", "list"]),
        ("[enrollment]\ntoken = ''", ["enrollment.token"]),
        ("[server]\nmay_set = ['urgency']", ["server.may_set", "channel, timezone, hold", "an empty one"]),
        ("[server]\nmay_set = 'hold'", ["server.may_set"]),
        ("[network]\nproxy = 'proxy.example.org'", ["network.proxy", "http://HOST:PORT"]),
        ("[network]\nproxy = 3128", ["network.proxy"]),
        ("[network]\nbandwidth_kilobytes_per_second = -1", ["network.bandwidth_kilobytes_per_second", "no limit"]),
        ("[network]\nbandwidth_kilobytes_per_second = true", ["network.bandwidth_kilobytes_per_second"]),
        ("[activity]\ngpio_pins = [99]", ["activity.gpio_pins", "BCM"]),
        ("[activity]\ngpio_pins = 17", ["activity.gpio_pins"]),
        ("[activity]\ngpio_pull = 'sideways'", ["activity.gpio_pull", "up, down, none"]),
        ("[activity]\nevdev = ['/dev/sda']", ["activity.evdev", "/dev/input"]),
        ("[window", ["not valid TOML"]),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path: Path, text: str, words: list[str]) -> None:
    path = write(tmp_path, text)
    with pytest.raises(SettingsError) as caught:
        config.merge([config.read_fragment(path)])
    for word in [str(path), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[enrollment]\ntoken = 's3cret word'",
        "[network]\nproxy = 'http://u:s3cret@a@b'",
        "[network]\nproxy = ['s3cret']",
    ],
)
def test_secrets_are_not_shown_even_where_they_cannot_be_used(tmp_path: Path, text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        config.merge([config.read_fragment(write(tmp_path, text))])
    assert "s3cret" not in str(caught.value)


def test_the_settings_show_no_secret_either(tmp_path: Path) -> None:
    text = MINIMAL + "[enrollment]\ntoken = 's3cret'\n[network]\nproxy = 'http://u:s3cret@proxy:3128'\n"
    settings = config.load(write(tmp_path, text), None)
    assert settings.network.proxy == "http://u:s3cret@proxy:3128"
    assert "s3cret" not in repr(settings)


def test_missing_settings_are_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"server\.url is missing"):
        config.load(write(tmp_path, ""), None)
    with pytest.raises(SettingsError, match=r"assistant\.name is missing"):
        config.load(write(tmp_path, "[server]\nurl = 'https://a.example'\n"), None)
    with pytest.raises(SettingsError, match="cannot be read"):
        config.load(tmp_path / "none.toml", None)


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "pi-hook.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        config.read_fragment(path)


@pytest.mark.parametrize(
    ("url", "hosts", "allowed"),
    [
        ("http://updates.example.org", "[]", False),
        ("http://updates.example.org", '["updates.example.org"]', True),
        ("http://127.0.0.1:8000", "[]", True),
        ("http://localhost:8000", "[]", True),
        ("http://[::1]:8000", "[]", True),
        ("http://10.0.2.2:8000", "[]", False),
        ("http://127.evil.example", "[]", False),
    ],
)
def test_plain_http_only_where_it_is_allowed(tmp_path: Path, url: str, hosts: str, *, allowed: bool) -> None:
    text = f'[server]\nurl = "{url}"\nplain_http_hosts = {hosts}\n[assistant]\nname = "sample"\n'
    if allowed:
        assert config.load(write(tmp_path, text), None).server_url == url
    else:
        with pytest.raises(SettingsError, match="unencrypted"):
            config.load(write(tmp_path, text), None)


def test_the_grant_stays_confirmed_for_three_slow_heartbeats(tmp_path: Path) -> None:
    settings = config.load(write(tmp_path, MINIMAL + "[device]\nheartbeat_seconds = 3600\n"), None)
    assert settings.rules.confirmed_within == timedelta(hours=3)
