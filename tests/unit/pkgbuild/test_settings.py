from __future__ import annotations

from pathlib import Path

import pytest

from pkgbuild import config
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.targets import Target

GOOD = """\
targets = [{ debian = "trixie", architecture = "arm64" }, { debian = "trixie", architecture = "arm64" }]
[aptly]
url = "http://127.0.0.1:8080/"
root = "aptly"
[builder]
key = "AA"
[server]
url = "https://updates.example.org"
api_key_file = "key"
"""


def load(tmp_path: Path, text: str) -> config.Settings:
    path = tmp_path / "pkgbuild.toml"
    path.write_text(text)
    return config.load(path)


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    found = load(tmp_path, GOOD)
    assert found.targets == (Target("trixie", "arm64"),)
    assert (found.state, found.aptly_root) == (tmp_path, tmp_path / "aptly")
    assert found.api_key == "secret"
    assert found.file.aptly.url == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[builder]", "[bilder]", "unknown key 'bilder': did you mean 'builder'?"),
        ('root = "aptly"', "timeout = 3", "unknown key 'aptly.timeout': did you mean 'timeout_seconds'?"),
        ("http://127.0.0.1:8080/", "127.0.0.1:8080", "'aptly.url': write http://HOST:PORT"),
        ("trixie", "sid", "Unknown Debian release 'sid'"),
        ('api_key_file = "key"', "", "has no server.api_key or server.api_key_file"),
        ('api_key_file = "key"', 'api_key_file = "none"', "cannot be read from"),
        ("[aptly]", 'default_channel = "Stable"\n[aptly]', "'default_channel': a channel's name has lower-case"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    with pytest.raises(PkgbuildError) as caught:
        _ = load(tmp_path, GOOD.replace(old, new)).api_key
    assert caught.value.kind is Kind.BAD_INPUT
    assert words in str(caught.value)


def test_missing_settings_say_how_to_make_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PKGBUILD_CONFIG", str(tmp_path / "mine.toml"))
    with pytest.raises(PkgbuildError, match="make one with `pkgbuild init`"):
        config.load(config.settings_path())


@pytest.mark.parametrize("words", ["trixie", "sid/arm64", "trixie/riscv64", "/", ""])
def test_wrong_targets(words: str) -> None:
    with pytest.raises(PkgbuildError) as caught:
        Target.parse(words)
    assert caught.value.kind is Kind.BAD_INPUT
