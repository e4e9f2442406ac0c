"""Every setting that a document shows is taken by the loader that it is for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from docs.reference.settings import _models
from pi_hook import config as device
from pi_hook.errors import SettingsError
from pi_hook.settings_keys import KEYS
from pkgbuild.config import SettingsFile
from pkgbuild.payload import ReleaseFile
from repo_server.config import ENVIRONMENT, FILE_VARIABLE, Settings
from repo_server.presence import Presence
from tests.unit.docs.documents import BY_HAND, ROOT, Block, blocks, inline_code, name_of


def names_in(model: type[BaseModel], at: str = "") -> Iterator[str]:
    """The settings of a file by their whole names, tables too."""
    for name, one in model.model_fields.items():
        yield f"{at}{name}"
        for below in _models(one.annotation):
            yield from names_in(below, f"{at}{name}.")


OF_FILES = {
    "pi-hook.toml": frozenset(KEYS),
    "repo-server.toml": frozenset(Settings.model_fields),
    "pkgbuild.toml": frozenset(names_in(SettingsFile)),
    "release.toml": frozenset(names_in(ReleaseFile)),
}
ALL = frozenset[str]().union(*OF_FILES.values())
TABLES = frozenset(name.partition(".")[0] for name in ALL if "." in name)
_EVENTS = frozenset(
    event
    for path in (ROOT / "repo_server").rglob("*.py")
    for event in re.findall(r'"((?:device|update)\.[a-z_]+)"', path.read_text(encoding="utf-8"))
)
_EVENTS |= {f"device.{word}" for word in Presence} | {"device.WORD", "update.WORD"}
_SHAPES = {"gate.retry_at", "gate.reason"}
"""Fields of messages."""


def refusals(block: str) -> dict[str, str]:
    """What each loader has against a TOML text; those that take it are left out. What is missing is let be."""
    try:
        data = tomllib.loads(block.replace("…", "x"))
    except tomllib.TOMLDecodeError as error:
        return dict.fromkeys(OF_FILES, str(error))
    said = {"pi-hook.toml": _of_device(data)}
    for file, model in (("pkgbuild.toml", SettingsFile), ("release.toml", ReleaseFile), ("repo-server.toml", Settings)):
        said[file] = _of_model(model, data)
    return {file: words for file, words in said.items() if words}


def _of_device(data: dict[str, Any]) -> str:
    try:
        device.merge([device.Fragment("the block", data)])
    except SettingsError as error:
        return str(error)
    return ""


def _of_model(model: type[BaseModel], data: dict[str, Any]) -> str:
    try:
        model.model_validate(data)
    except ValidationError as error:
        wrong = [one for one in error.errors() if one["type"] not in {"missing", "union_tag_not_found"}]
        return "; ".join(f"{one['loc']}: {one['msg']}" for one in wrong)
    return ""


def shown(document: Path) -> list[Block]:
    return [block for block in blocks(document.read_text(encoding="utf-8")) if block.language == "toml"]


@pytest.mark.parametrize("document", [path for path in BY_HAND if shown(path)], ids=name_of)
def test_every_block_of_settings_loads(document: Path) -> None:
    for block in shown(document):
        refused = refusals(block.text)
        assert len(refused) < len(OF_FILES), (block.line, refused)


def unknown_settings(text: str) -> list[str]:
    """Settings in backquotes that no file takes: `table.key`, `[table] key`, `key = value`, `REPO_SERVER_KEY`."""
    return [code for code in inline_code(text) if not _is_known(code)]


def _is_known(code: str) -> bool:
    if found := re.fullmatch(r"(\w+)\.(\w+)", code):
        return found[1] not in TABLES or found[2] in {"toml", "json", "conf"} or code in ALL | _EVENTS | _SHAPES
    if found := re.fullmatch(r"\[{1,2}([\w.]+)\]{1,2} (\w+)( = .*)?", code):
        return f"{found[1]}.{found[2]}" in ALL
    if found := re.fullmatch(r"([a-z_]+) = .+", code):
        return any(name.rpartition(".")[2] == found[1] for name in ALL)
    if found := re.match(rf"({ENVIRONMENT}[A-Z_]+)", code):
        return found[1] == FILE_VARIABLE or found[1].removeprefix(ENVIRONMENT).lower() in Settings.model_fields
    return True


@pytest.mark.parametrize("document", BY_HAND, ids=name_of)
def test_every_setting_that_a_document_names_is_taken(document: Path) -> None:
    assert unknown_settings(document.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("document", BY_HAND, ids=name_of)
def test_every_table_of_settings_names_such_that_are_taken(document: Path) -> None:
    keys = {name.rpartition(".")[2] for name in ALL}
    for head, table in re.findall(
        r"^\| setting (.*)\n((?:\|.*\n)+)", document.read_text(encoding="utf-8"), re.MULTILINE
    ):
        if document.name == "RELIABILITY.md":
            continue  # of the makefile
        for row in table.splitlines()[1:]:
            for code in re.findall(r"`([^`]+)`", row.split("|")[1]):
                assert code.split()[-1] in keys, (head, code)


def test_what_is_gone_would_be_found() -> None:
    text = (
        '`window.star`, `window.start`, `[hooks] never`, `[hooks] before_activation`, `loud = true`, `kind = "deb"`, '
    )
    text += "`REPO_SERVER_LOUD`, `REPO_SERVER_PORT=1`, `release.toml`, `device.change`, `device.dance`"
    assert unknown_settings(text) == ["window.star", "[hooks] never", "loud = true", "REPO_SERVER_LOUD", "device.dance"]
    assert len(refusals("[window]\nstar = 1\n")) == len(OF_FILES)
    assert len(refusals("no toml")) == len(OF_FILES)
    assert "pi-hook.toml" not in refusals('[window]\nstart = "02:00"\n')
    assert set(refusals("port = 1\n")) == set(OF_FILES) - {"repo-server.toml"}
