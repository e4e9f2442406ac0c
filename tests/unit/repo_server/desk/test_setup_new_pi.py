"""What is shown for a Pi is what the agent reads, what the demo puts on its card, and what the agent then writes."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from demo import agent
from pi_hook import apt_source, config, enroll
from pi_hook.files import Root
from pi_hook.ports import AptSettings
from repo_server import freshness, onboarding
from repo_server.desk import new_pi, qr
from repo_server.desk.new_pi import NewPi, PiRequest
from repo_server.desk.problems import validated

TOKEN = "pie_" + "a" * 43
FULL = {"server": "https://updates.example.org", "assistant": "sample-assistant", "gpio_pins": "17, 27",
        "timezone": "Europe/Berlin"}  # fmt: skip


def request(**more: str) -> PiRequest:
    made, wrong = validated(PiRequest, FULL | more)
    assert made is not None, wrong
    return made


def loaded(pi: NewPi, tmp_path: Path) -> config.Settings:
    """As the agent does it: taken from the boot partition, then read."""
    boot, folder = tmp_path / new_pi.FILE, tmp_path / "pi-hook.d"
    folder.mkdir(exist_ok=True)
    boot.write_text(pi.settings(), encoding="utf-8")
    assert enroll.consume_boot_file(boot, folder)
    assert not boot.exists()
    return config.load(tmp_path / "none.toml", folder)


def test_the_agent_reads_the_first_boot_file(tmp_path: Path) -> None:
    settings = loaded(NewPi(request(), "beta", TOKEN), tmp_path)
    assert (settings.server_url, settings.assistant, settings.channel) == (FULL["server"], "sample-assistant", "beta")
    assert (settings.enrollment_token, settings.timezone) == (TOKEN, "Europe/Berlin")
    assert settings.activity.gpio_pins == (17, 27)
    assert settings.plain_http_hosts == frozenset()


def test_the_agent_deletes_the_token_of_the_first_boot_file_once_it_is_used(tmp_path: Path) -> None:
    loaded(NewPi(request(), "beta", TOKEN), tmp_path)
    enroll.forget_enrollment_token(tmp_path / "none.toml", tmp_path / "pi-hook.d")
    assert TOKEN not in (tmp_path / "pi-hook.d" / "boot.toml").read_text()


@pytest.mark.parametrize("server", ["http://10.0.2.2:8000", "http://[fd00::1]:8000", "http://pi-ota.lan"])
def test_without_tls_the_file_allows_exactly_this_host(server: str, tmp_path: Path) -> None:
    pi = NewPi(request(server=server), "stable", TOKEN)
    assert (pi.is_plain, pi.is_loopback) == (True, False)
    assert loaded(pi, tmp_path).plain_http_hosts == {pi.host}


@pytest.mark.parametrize("server", ["http://localhost:8000", "http://127.0.0.1:8000", "http://[::1]:8000"])
def test_an_address_that_means_the_pi_itself_is_known(server: str, tmp_path: Path) -> None:
    pi = NewPi(request(server=server), "stable", TOKEN)
    assert (pi.is_plain, pi.is_loopback) == (False, True)
    assert loaded(pi, tmp_path).server_url == server


def test_it_says_to_the_agent_what_the_demo_s_card_says() -> None:
    stack = SimpleNamespace(secret=lambda _: TOKEN)
    card = agent.first_boot_settings(stack, "sample-assistant", idle_required_seconds=9, soak_seconds=9)  # type: ignore[arg-type]
    demo = tomllib.loads(card["pi-hook.toml"].decode())
    pi = NewPi(request(server=demo["server"]["url"], gpio_pins=""), "stable", demo["enrollment"]["token"])
    ours = tomllib.loads(pi.settings())
    assert ours["server"] == demo["server"]
    assert ours["enrollment"] == demo["enrollment"]
    assert ours["device"]["timezone"] == demo["device"]["timezone"]
    assert ours["assistant"]["name"] == demo["assistant"]["name"]


@pytest.mark.parametrize("debian", new_pi.DEBIAN_RELEASES)
def test_the_source_is_the_one_that_the_agent_writes(debian: str, tmp_path: Path) -> None:
    pi = NewPi(request(server="https://Updates.example.org:8443/", debian=debian), "beta", TOKEN)
    settings = AptSettings(pi.request.server, debian, "beta", "sample-assistant", "id", "token")
    apt_source.AptSourceFiles(Root(tmp_path)).write(settings)
    written = (tmp_path / apt_source.SOURCE.lstrip("/")).read_text()
    assert pi.source() == "".join(line for line in written.splitlines(keepends=True) if not line.startswith("#"))


def test_names_and_spans_are_the_agent_s() -> None:
    assert (new_pi.SOURCE, new_pi.KEYRING) == (apt_source.SOURCE, apt_source.KEYRING)
    assert (Path(new_pi.SETTINGS), new_pi.FILE) == (config.SETTINGS_FILE, config.BOOT_FILE.name)
    assert timedelta(seconds=apt_source.VALID_UNTIL_MAX_SECONDS) == freshness.REFUSED_AFTER


def test_the_lines_for_a_shell_write_the_same_file(tmp_path: Path) -> None:
    pi = NewPi(request(), "stable", TOKEN)
    target = tmp_path / "etc" / "pi-hook.toml"
    lines = pi.lines().replace(new_pi.SETTINGS, str(target))
    programs = 'sudo() { "$@"; }; apt-get() { :; }; systemctl() { :; }; pi-hook() { :; }\n'
    subprocess.run(["bash", "-euc", programs + lines], check=True, cwd=tmp_path)
    assert target.read_text() == pi.settings()
    assert target.stat().st_mode & 0o777 == 0o600
    assert "./pi-hook_*.deb ./pi-ota-keyring_*.deb" in lines


@pytest.mark.parametrize(
    ("channel", "fields"),
    [("beta", FULL), ("stable", {"server": "https://[fd00::1]:8443", "assistant": "voice+1"})],
)
def test_the_line_runs_the_script_which_writes_the_same_file(
    channel: str, fields: dict[str, str], tmp_path: Path
) -> None:
    """Its options are what the script takes, and what it makes of them is what the page shows for a card."""
    made, _ = validated(PiRequest, fields)
    assert made is not None
    pi = NewPi(made, channel, TOKEN)
    words = shlex.split(pi.line())
    assert words[:3] == ["curl", "-fsSL", f"{made.server}/onboarding/pi.sh"]
    assert words[3:9] == ["|", "sudo", "sh", "-s", "--", "--token"]
    assert ("--channel" in words) is (channel != new_pi.DEFAULT_CHANNEL)
    script = tmp_path / "pi.sh"
    # The options are read by main(): here it ends with the file, instead of beginning to look at this machine.
    text = onboarding.script(made.server)
    script.write_text(text.replace("    check_system\n", "    check_options; settings; exit 0\n", 1))
    done = subprocess.run(["sh", script, *words[8:]], capture_output=True, text=True, check=True)
    first, _, rest = done.stdout.partition("\n")
    assert first == f"# Written by the onboarding script of {made.server}"
    assert rest == pi.settings()
    assert shlex.split(pi.undo_line()) == [*words[:8], "--undo"]


@given(
    host=st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,20}[A-Za-z0-9])?", fullmatch=True),
    port=st.none() | st.integers(1, 65_535),
    scheme=st.sampled_from(["http", "https"]),
    assistant=st.from_regex(r"[a-z0-9][a-z0-9.+-]{1,20}", fullmatch=True),
    channel=st.from_regex(r"[a-z0-9][a-z0-9.-]{0,20}", fullmatch=True),
    pins=st.lists(st.integers(0, 53), unique=True),
)
def test_whatever_is_accepted_here_is_accepted_by_the_agent(
    *, host: str, port: int | None, scheme: str, assistant: str, channel: str, pins: list[int]
) -> None:
    server = f"{scheme}://{host}" + (f":{port}" if port is not None else "")
    asked = {"server": server, "assistant": assistant, "gpio_pins": " ".join(map(str, pins))}
    made, wrong = validated(PiRequest, asked)
    if made is None:
        assert set(wrong) == {"assistant"}
        return
    text = NewPi(made, channel, TOKEN).settings()
    settings = config.validate(config.merge([config.Fragment("file", tomllib.loads(text))]))
    assert (settings.server_url, settings.assistant, settings.channel) == (server, assistant, channel)
    assert settings.activity.gpio_pins == tuple(pins)


@pytest.mark.parametrize(
    ("field", "value"),
    [("server", "updates.example.org"), ("server", "https://updates.example.org/pi"), ("server", "https://a:0"),
     ("server", "https://a:70000"), ("server", "https://u:p@a"), ("server", 'https://a"\n'), ("assistant", "A"),
     ("assistant", "voice-app-1"), ("gpio_pins", "54"), ("gpio_pins", "GPIO17"), ("timezone", "Berlin"),
     ("debian", "../x")],
)  # fmt: skip
def test_what_the_agent_would_refuse_is_refused_by_field(field: str, value: str) -> None:
    made, wrong = validated(PiRequest, FULL | {field: value})
    assert made is None
    assert list(wrong) == [field]
    assert wrong[field].endswith(".")


def test_the_code_holds_the_text_dark_on_light_and_without_styles() -> None:
    text = NewPi(request(), "stable", TOKEN).settings()
    svg = str(qr.svg(text))
    assert "style" not in svg
    assert TOKEN not in svg
    path = re.search(r'stroke="#000" d="([^"]+)"', svg)
    assert path is not None
    expected = [[bool(cell) for cell in row] for row in segno.make(text, micro=False, error="m").matrix]
    assert drawn(path[1], len(expected)) == expected


def drawn(path: str, size: int) -> list[list[bool]]:
    """The modules that a path's strokes cover, without the border of four."""
    grid = [[False] * size for _ in range(size)]
    x = y = 0.0
    for kind, one, two in re.findall(r"([Mmh])(-?[\d.]+)(?: (-?[\d.]+))?", path):
        if kind == "M":
            x, y = float(one), float(two)
        elif kind == "m":
            x, y = x + float(one), y + float(two)
        else:
            for column in range(int(x), int(x) + int(one)):
                grid[int(y - 0.5) - 4][column - 4] = True
            x += float(one)
    return grid
