from __future__ import annotations

from pathlib import Path

import pytest

from pi_hook.verify import parse

V3 = """VERSION 3
APT::Architecture=amd64
PiHook::Assistant=kitchen
PiHook::Strict=true

kitchen 1.0 amd64 none < 1.1 amd64 none /cache/kitchen_1.1_amd64.deb
kitchen 1.0 amd64 none < 1.1 amd64 none **CONFIGURE**
old 1 all none > - - none **REMOVE**
odd - - none < 1 amd64 none /cache/with space.deb
""".splitlines(keepends=True)


def test_version_3() -> None:
    request = parse(V3)
    assert (request.assistant, request.strict) == ("kitchen", True)
    assert request.files == (("kitchen", Path("/cache/kitchen_1.1_amd64.deb")), ("odd", Path("/cache/with space.deb")))


def test_plain_file_names() -> None:
    assert parse(["/a.deb\n", "/b.deb\n"]).files == ((None, Path("/a.deb")), (None, Path("/b.deb")))


def test_nothing_at_all() -> None:
    assert parse([]).files == ()


@pytest.mark.parametrize("lines", [["VERSION 2\n"], ["VERSION 3\n", "\n", "kitchen 1.0 /cache/x.deb\n"]])
def test_what_it_does_not_understand_is_an_error(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="apt"):
        parse(lines)
