from __future__ import annotations

from pathlib import Path

import pytest

from pkgbuild import payload
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.payload import Application, Wheel
from tests.support.aptly import ROOT

GOOD = """\
name = "assistant"
summary = "an assistant"
maintainer = "A <a@b.example>"
[payload]
kind = "application"
[service]
module = "assistant"
"""


def read(tmp_path: Path, text: str) -> payload.Payload:
    (tmp_path / "release.toml").write_text(text)
    return payload.read(tmp_path)


@pytest.mark.parametrize("example", ["sample_assistant", "wyoming_piper"])
def test_examples_are_valid(example: str) -> None:
    found = payload.read(ROOT / "examples" / example)
    assert isinstance(found.file.payload, Application if example == "sample_assistant" else Wheel)
    assert found.file.health is not None


def test_defaults(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD).file
    assert (found.health, found.hooks.before_activation, found.oldest_rollback, found.targets) == (None,) * 4


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("summary", "sumary", "unknown key 'sumary': did you mean 'summary'?"),
        ("summary", "sumary", "'summary' is missing"),
        ("module =", "modul =", "unknown key 'service.modul': did you mean 'module'?"),
        ('kind = "application"', 'kind = "application"\nrequirments = "r"', "did you mean 'requirements'?"),
        (
            'kind = "application"',
            'kind = "application"\nwheel = "x"',
            "unknown key 'payload.wheel': allowed are depends",
        ),
        ('kind = "application"', 'kind = "wheel"\nwheel = "-x"', "'payload.wheel': write a project's name"),
        ('kind = "application"', 'kind = "snap"', "'payload'"),
        ('kind = "application"', 'kind = "application"\nrequirements = "../r"', "inside the payload's folder"),
        ('kind = "application"', 'kind = "application"\ndepends = ["a b"]', "write a Debian dependency"),
        ('"assistant"', '"Assistant"', "cannot be the name of a package and of a system user"),
        ('"assistant"', '"my-app-thing"', "'my-app-thing' contains '-app'"),
        ('"assistant"', '"thing-deps"', "contains '-deps'"),
        ('"assistant"', f'"{"a" * 32}"', "2 to 31 characters"),
        ('module = "assistant"', 'module = "a/b"', "write a Python module"),
        ("A <a@b.example>", "me", "write 'Name <address@example.org>'"),
        ("an assistant", "two\\nlines", "'summary': write one line of text"),
        (
            'module = "assistant"',
            'module = "a"\n[service.environment]\n"A B" = "c"',
            "is not the name of an environment",
        ),
        ('module = "assistant"', 'module = "a"\n[service.environment]\nPYTHONPATH = "c"', "is set by the launcher"),
        ('module = "assistant"', 'module = "a"\n[health]\ncommand = []', "'health.command': name a program"),
        (
            'module = "assistant"',
            'module = "a"\n[health]\ncommand = ["x"]\ntimeout_seconds = 0',
            "health.timeout_seconds",
        ),
        (
            'module = "assistant"',
            'module = "a"\n[health]\ncommand = ["x"]\nstarting_seconds = 3600',
            "health.starting_seconds",
        ),
        ('module = "assistant"', 'module = "a"\n[hooks]\nbefore_activation = [""]', "'hooks.before_activation': name"),
        ("[payload]", 'targets = ["trixie/mips"]\n[payload]', "'targets.0': unknown architecture 'mips'"),
        ("[payload]", 'oldest_rollback = "v1"\n[payload]', "'v1' is not a version"),
        ("[payload]", "[payload", "is not TOML"),
        ('[service]\nmodule = "assistant"\n', "", "`service` is missing: say under [service] which module is run"),
        ('kind = "application"', 'kind = "deb"\nfiles = ["x.deb"]', "a payload of kind 'deb' has no `service`"),
        ('kind = "application"', 'kind = "deb"\nfiles = []', "payload.files"),
        (
            'kind = "application"',
            'kind = "application"\nlock = "l"\nrequirements = "r"',
            "name `requirements` or a `lock`, not both",
        ),
        (
            "[service]",
            '[[payload.overrides]]\nrequirement = "--pre"\n[service]',
            "'payload.overrides.0.requirement': write a requirement",
        ),
        (
            "[service]",
            '[[payload.overrides]]\nrequirement = "a==1"\ntargets = ["sid/arm64"]\n[service]',
            "unknown Debian release 'sid'",
        ),
        ("[payload]", '[[assets]]\nname = "A b"\nfolder = "x"\n[payload]', "'assets.0.name': write a name"),
        ("[payload]", '[[assets]]\nname = "a"\nfolder = "/x"\n[payload]', "'assets.0.folder': name a file inside"),
        ("[payload]", '[[assets]]\nname = "a"\nfolder = "x"\nsize = 1\n[payload]', "unknown key 'assets.0.size'"),
        (
            "[payload]",
            '[[assets]]\nname = "a"\nfolder = "x"\n[[assets]]\nname = "a"\nfolder = "y"\n[payload]',
            "two `assets` have the same name",
        ),
        ("[payload]", 'packages = ["../x.deb"]\n[payload]', "'packages.0': name a file inside"),
        ('module = "assistant"', 'module = "a"\nunit = "session"', "'service.unit'"),
        ('module = "assistant"', 'module = "a"\naccount = "pi"', '`account` is for `unit = "user"`'),
        (
            'module = "assistant"',
            'module = "a"\nunit = "user"\naccount = "pi"\ngroups = ["audio"]',
            "put the account into them on the device",
        ),
        ('module = "assistant"', 'module = "a"\nunit = "user"\naccount = "Pi User"', "write the name of an account"),
    ],
)
def test_each_mistake_is_named(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(PkgbuildError) as caught:
        read(tmp_path, GOOD.replace(old, new))
    assert caught.value.kind is Kind.BAD_INPUT
    assert words in str(caught.value)
    assert str(tmp_path / "release.toml") in str(caught.value)


def test_folder_without_release_toml(tmp_path: Path) -> None:
    with pytest.raises(PkgbuildError, match=r"has no release\.toml"):
        payload.read(tmp_path)
