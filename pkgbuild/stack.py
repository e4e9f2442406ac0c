"""A builder's state folder made in one step: keys, aptly's settings, ``pkgbuild.toml``; and starting aptly on it."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from pkgbuild import config, keys, ring_file
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.keys import Key
from pkgbuild.ring import Role

if TYPE_CHECKING:
    from pathlib import Path

    from pkgbuild.config import Settings
    from pkgbuild.targets import Target

_LONGEST_SOCKET_PATH = 107


@dataclass(frozen=True, slots=True)
class KeyPair:
    """The two keys of a fleet."""

    builder: Key
    archive: Key


def make_keys(state: Path) -> KeyPair:
    """Make the keys that are missing in ``state``."""
    builder, archive = keys.homes(state)
    with keys.no_agent_left_behind(builder), keys.no_agent_left_behind(archive):
        made = KeyPair(
            builder=keys.create(builder, whose="builder"),
            archive=keys.create(archive, whose="archive"),
        )
    if ring := ring_file.load(state):
        return KeyPair(Key(builder, ring.current(Role.BUILDER)), Key(archive, ring.current(Role.ARCHIVE)))
    return made


def init(
    state: Path, targets: tuple[Target, ...], *, aptly_url: str | None, server_url: str | None, api_key_file: str | None
) -> Settings:
    """Make keys, aptly's settings and ``pkgbuild.toml`` in ``state``; what is there already is left as it is.

    Without ``aptly_url`` aptly listens on a Unix socket in the folder: its API has no authentication.
    """
    state.mkdir(parents=True, exist_ok=True)
    pair = make_keys(state)
    root = state / "aptly"
    root.mkdir(exist_ok=True)
    settings = {
        "rootDir": str(root.resolve()),
        "gpgProvider": "gpg",
        "architectures": [],
        "skipContentsPublishing": True,
    }
    _write_new(state / "aptly.conf", json.dumps(settings, indent=2) + "\n")
    if aptly_url is None:
        socket = (root / "api.sock").resolve()
        if len(str(socket)) > _LONGEST_SOCKET_PATH:
            raise PkgbuildError(
                Kind.BAD_INPUT,
                f"{socket} is too long a path for a socket: use a shorter state folder, or give --aptly-url.",
            )
        aptly_url = f"unix://{socket}"
    _write_new(state / "pkgbuild.toml", _settings_text(pair, targets, aptly_url, server_url, api_key_file))
    return config.load(state / "pkgbuild.toml")


def _settings_text(
    pair: KeyPair, targets: tuple[Target, ...], aptly_url: str, server_url: str | None, api_key_file: str | None
) -> str:
    rows = ",\n".join(f'    {{ debian = "{t.debian}", architecture = "{t.architecture}" }}' for t in targets)
    text = f"""\
# Made by `pkgbuild init`; paths are relative to this file.
state = "."
default_channel = "stable"
targets = [
{rows},
]

[aptly]
url = {json.dumps(aptly_url)}
root = "aptly"

[builder]
gnupghome = "keys/builder"
key = "{pair.builder.fingerprint}"

[archive]
gnupghome = "keys/archive"
key = "{pair.archive.fingerprint}"
"""
    if server_url:
        key_file = json.dumps(api_key_file or "builder-api-key")
        text += f"\n[server]\nurl = {json.dumps(server_url)}\napi_key_file = {key_file}\n"
    return text


def serve_aptly(settings: Settings) -> NoReturn:
    """Become ``aptly api serve`` for these settings, with the archive key's GNUPGHOME. Raises ``BAD_INPUT``."""
    program = shutil.which("aptly")
    if program is None:
        raise PkgbuildError(Kind.BAD_INPUT, "aptly is not installed: run `apt-get install aptly` and try again.")
    conf = settings.state / "aptly.conf"
    if not conf.is_file():
        raise PkgbuildError(
            Kind.BAD_INPUT, f"There is no {conf}: make one with `pkgbuild init --state {settings.state}`."
        )
    url, archive = settings.file.aptly.url, settings.file.archive
    environment = dict(os.environ)
    if archive.gnupghome:
        environment["GNUPGHOME"] = str(settings.resolve(archive.gnupghome))
    if url.startswith("unix://"):
        listen = url
        settings.resolve(url.removeprefix("unix://")).unlink(missing_ok=True)  # of a run that was killed
    else:
        listen = url.partition("://")[2].partition("/")[0]
    # -no-lock: the command-line aptly stays usable beside the API
    os.execve(program, [program, f"-config={conf}", "api", "serve", "-no-lock", f"-listen={listen}"], environment)  # noqa: S606


def _write_new(path: Path, text: str) -> None:
    if not path.exists():
        partial = path.with_name(path.name + ".partial")
        partial.touch(mode=0o600)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
