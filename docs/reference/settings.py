"""docs/SETTINGS.md: every setting, from the models and checks that read them."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from docs.reference import shapes
from docs.reference.markdown import BY_HAND, code, page, prose, table
from pi_hook.settings_keys import KEYS
from pkgbuild.config import SettingsFile
from pkgbuild.payload import ReleaseFile
from repo_server.config import ENVIRONMENT, Settings
from repo_server.described import words

_HEAD = ("setting", "value", "default", "meaning")
_PROBES: tuple[object, ...] = ("\n", ["\n"])
"""Values that nothing takes: the check's own words say what it takes."""
VARIABLES = {
    "pkgbuild": ("pkgbuild/config.py", "pkgbuild/epoch.py", "pkgbuild/habits/create_update.py"),
    "repo-server": ("repo_server/config.py", "repo_server/development_clock.py"),
    "pi-hook": ("pi_hook/zone.py", "pi_hook/verify.py"),
}
"""Where environment variables that are no setting of a file have their names: constants that end with VARIABLE."""


class UndocumentedError(Exception):
    """A setting has no words in the code."""


def document(root: Path) -> str:
    """SETTINGS.md. Raises ``UndocumentedError``."""
    return page(
        [BY_HAND],
        _INTRODUCTION,
        *_device(root),
        *_server(),
        _BUILDER,
        *_tables(SettingsFile, "pkgbuild.toml"),
        _RELEASE,
        *_tables(ReleaseFile, "release.toml"),
        *_environment(root),
    )


def _device(root: Path) -> Iterator[list[str]]:
    meanings = manual((root / "debian" / "man" / "pi-hook.toml.5").read_text(encoding="utf-8"))
    defaults = shown_defaults((root / "debian" / "pi-hook.toml.example").read_text(encoding="utf-8"))
    yield _DEVICE
    rows = []
    for name, check in KEYS.items():
        if name not in meanings:
            raise UndocumentedError(f"the setting {name} of pi-hook is not in debian/man/pi-hook.toml.5")
        rows.append([code(name), _refusal(check), defaults.get(name, ""), meanings[name]])
    yield table(_HEAD, rows)


def _refusal(check: Any) -> str:  # noqa: ANN401 - any check of a TOML value
    """What a check says that a value must be."""
    try:
        check(object())
    except ValueError as error:
        return str(error)
    raise UndocumentedError("a check took what is no TOML value")


def manual(page_: str) -> dict[str, str]:
    """The meaning of each setting by its name, from the man page."""
    found = {}
    for part in re.split(r"^\.SS ", page_.partition("\n.SH SEE")[0], flags=re.MULTILINE)[1:]:
        heading, _, text = part.partition("\n")
        for entry in re.split(r"^\.TP\n", text, flags=re.MULTILINE)[1:]:
            name, _, meaning = entry.partition("\n")
            key = name.removeprefix(".B ")
            found[f"{heading.strip('[]')}.{key}"] = _roff(meaning)
    return found


def _roff(text: str) -> str:
    lines = [re.sub(r"^\.[BI]R? ", "", line).strip() for line in text.splitlines()]
    return " ".join(lines).replace("\\-", "-").strip()


def shown_defaults(example: str) -> dict[str, str]:
    """The default of each setting that has one, from the example file, where they are commented out."""
    lines = [line.removeprefix("# ") if re.match(r"# \w+ = ", line) else line for line in example.splitlines()]
    commented = set(re.findall(r"^# (\w+) = ", example, re.MULTILINE))
    without = {"enrollment.token", "device.timezone", "network.proxy"}  # an example of a value, no default
    return {
        f"{name}.{key}": code(_toml(value)) if key in commented else "needed"
        for name, keys in tomllib.loads("\n".join(lines)).items()
        for key, value in keys.items()
        if f"{name}.{key}" not in without
    }


def _server() -> Iterator[list[str]]:
    yield _SERVER
    said, schema = words(Settings), Settings.model_json_schema()
    rows = []
    for name, one in Settings.model_fields.items():
        shape = schema["properties"][name]
        kinds = [shapes.kind(each) for each in shape.get("anyOf", [shape]) if each.get("type") != "null"]
        meaning = _meaning(name, said, "the server's settings")
        rows.append([f"{code(name)}<br>{code(ENVIRONMENT + name.upper())}", " or ".join(kinds), _default(one), meaning])
    yield table(_HEAD, rows)


def _tables(model: type[BaseModel], file: str, at: str = "", done: set[str] | None = None) -> Iterator[list[str]]:
    """A table of a TOML file, then those in it; one that several have in common once."""
    done = set() if done is None else done
    said, rows, inside = words(model), [], []
    for name, one in sorted(model.model_fields.items(), key=lambda each: each[0] != "kind"):
        below = _models(one.annotation)
        if below:
            inside += [(f"{at}.{name}".strip("."), each, one, _many(one.annotation)) for each in below]
            continue
        rows.append([code(name), _kind(model, name, one), _default(one), _meaning(name, said, f"{at} of {file}")])
    if rows:
        yield table(_HEAD, rows)
    for path, each, one, many in inside:
        brackets = f"[[{path}]]" if many else f"[{path}]"
        kinds = [get_args(each.model_fields["kind"].annotation)[0]] if "kind" in each.model_fields else []
        heading = code(brackets) + "".join(f' with `kind = "{kind}"`' for kind in kinds)
        about = prose(each.__doc__ or "")
        needed = " Needed." if one.is_required() and not kinds else ""
        more = said_of(model, path)
        if f"{path} {each}" in done:
            continue
        done.add(f"{path} {each}")
        yield [f"### {heading} in {file}", "", " ".join(filter(None, [about + needed, more]))]
        yield from _tables(each, file, path, done)


def said_of(model: type[BaseModel], path: str) -> str:
    """What stands under the field of a table."""
    return prose(words(model).get(path.rpartition(".")[2], ""))


def _models(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [one for part in get_args(annotation) for one in _models(part)]


def _many(annotation: object) -> bool:
    if get_origin(annotation) in {list, tuple}:
        return True
    return any(_many(part) for part in get_args(annotation))


def _kind(model: type[BaseModel], name: str, one: FieldInfo) -> str:
    if get_origin(one.annotation) is Literal:
        return ", ".join(code(f'"{word}"') for word in get_args(one.annotation))
    shape = model.model_json_schema()["properties"][name]
    kinds = [shapes.kind(each) for each in shape.get("anyOf", [shape]) if each.get("type") != "null"]
    hint = _hint(model, name)
    return " or ".join(kinds) + (f": {hint}" if hint else "")


def _hint(model: type[BaseModel], name: str) -> str:
    """What the value's own check says that it takes, where it has one."""
    one = model.model_fields[name]
    adapter: TypeAdapter[Any] = TypeAdapter(one.rebuild_annotation())
    for probe in _PROBES:
        try:
            adapter.validate_python(probe)
        except ValidationError as error:
            for detail in error.errors():
                message = detail["msg"].removeprefix("Value error, ")
                if detail["type"] == "value_error" and repr("\n") not in message:
                    return message
    return ""


def _default(one: FieldInfo) -> str:
    if one.is_required():
        return "needed"
    value = one.get_default(call_default_factory=True)
    if isinstance(value, tuple):
        value = list(value)
    return "" if value in (None, [], {}, "") and not isinstance(value, bool) else code(_toml(value))


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return str(value)


def _meaning(name: str, said: Mapping[str, str], where: str) -> str:
    if name not in said:
        raise UndocumentedError(f"{name} in {where.strip()} has no words: write them under the field, in the code")
    return prose(said[name])


def _environment(root: Path) -> Iterator[list[str]]:
    yield ["## Other environment variables", "", "Beside `REPO_SERVER_…` above."]
    rows = [
        [code(name), program, meaning]
        for program, files in VARIABLES.items()
        for file in files
        for name, meaning in variables((root / file).read_text(encoding="utf-8")).items()
    ]
    yield table(["variable", "read by", "meaning"], rows)


def variables(source: str) -> dict[str, str]:
    """The environment variables that a module names in constants, with the text under each."""
    body = ast.parse(source).body
    found = {}
    for one, text in pairwise(body):
        match one, text:
            case ast.Assign([ast.Name(name)], ast.Constant(str(value))), ast.Expr(ast.Constant(str(meaning))):
                if name.endswith("VARIABLE"):
                    found[value] = prose(meaning)
    return found


_INTRODUCTION = """# Settings

Every setting of every file, from the code that reads it. A setting that does not exist is refused with the nearest
one that does, and one whose value cannot be used with what it takes.

| file | of | who writes it |
| --- | --- | --- |
| [`pi-hook.toml`](#pi-hooktoml) | a device | you, or the server's page “Devices” in Set-up |
| [`repo-server.toml`](#repo-servertoml) | the server | you; all of it can come from the environment instead |
| [`pkgbuild.toml`](#pkgbuildtoml) | the builder | `pkgbuild init`, and you |
| [`release.toml`](#releasetoml) | what is released | you, once for each assistant |""".splitlines()
_DEVICE = """## pi-hook.toml

`/etc/pi-hook/pi-hook.toml`, over it `/etc/pi-hook/pi-hook.d/*.toml` in the order of their names; at first boot
`/boot/firmware/pi-hook.toml`, which is moved there. `window.start` stands for `start` under `[window]`. Also in `man
pi-hook.toml`; `/usr/share/pi-hook/pi-hook.toml.example` is one to copy.""".splitlines()
_SERVER = """## repo-server.toml

The file that `--config` or `REPO_SERVER_CONFIG` names; then the environment, then options of the command line: the
later wins. Lists are written with commas in the environment.""".splitlines()
_BUILDER = """## pkgbuild.toml

The file that `PKGBUILD_CONFIG` names, else `pkgbuild.toml` in the working folder. Paths are relative to it.
""".splitlines()
_RELEASE = """## release.toml

In the folder that is released (`SRC`). `examples/sample_assistant` and `examples/wyoming_piper` have
one to copy.""".splitlines()
