"""The pages that `make walk` walks: what is read out of them, and whether a shell can read it.

That targets, options and settings exist is seen by the tests beside this one, as for every document.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.walk import document
from tests.walk.document import Command, DocumentError

ROOT = Path(__file__).parents[3]
WALKED = {name: (ROOT / "docs" / name).read_text() for name in ("GETTING_STARTED.md", "SERVER.md")}


@pytest.mark.parametrize("name", WALKED)
def test_every_command_can_be_run(name: str) -> None:
    assert list(document.problems(WALKED[name])) == []


def test_the_way_goes_over_both_machines_and_has_its_other_certificate() -> None:
    walked = document.commands(WALKED["GETTING_STARTED.md"])
    texts = [command.text for command in walked]
    assert {command.host for command in walked} == {"server", "pi"}
    assert sum("install-server" in text for text in texts) == 1
    assert any(text.endswith("TLS=own") for text in texts)
    trusted = texts.index("sudo update-ca-certificates")
    assert "/onboarding/pi.sh" in texts[trusted + 1]
    for part in ("copies", "builder", "upgrade", "back", "uninstall"):
        assert document.commands(WALKED["SERVER.md"], part), part


PAGE = """\
<!-- on: server -->
```console
$ make test
… what it prints
$ cat > x <<'END'
two $ lines
END
$ echo pie_… \\
    more
```

```console
$ not walked
```

<!-- on: pi, before: echo -->
```console
$ first
```

<!-- on: server, instead of: make test -->
```console
$ make lint
```

<!-- on: server, as: later -->
```console
$ last
```
"""


def test_what_is_read_out_of_a_page() -> None:
    assert [(one.host, one.text) for one in document.commands(PAGE)] == [
        ("server", "make lint"),
        ("server", "cat > x <<'END'\ntwo $ lines\nEND"),
        ("pi", "first"),
        ("server", "echo pie_… \\\n    more"),
    ]
    assert [one.text for one in document.commands(PAGE, "later")] == ["last"]
    assert len(document.every_command(PAGE)) == 7


def test_the_newest_secret_that_was_printed_is_filled_in() -> None:
    command = Command("x --token pie_… --key pik_…", "pi")
    assert document.filled(command, ["pie_1", "pik_2", "pie_3"]).text == "x --token pie_3 --key pik_2"
    with pytest.raises(DocumentError, match="pie_"):
        document.filled(command, ["pik_2"])


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("```console\n$ echo 'half\n```\n", "no shell can read `echo 'half`"),
        ("```console\n$ curl https://… | sh\n```\n", "no shell can read `curl"),
    ],
)
def test_a_broken_page_is_found(page: str, words: str) -> None:
    (problem,) = document.problems(page)
    assert words in problem


@pytest.mark.parametrize(
    "page",
    [
        "<!-- on: pi, before: nothing -->\n```console\n$ x\n```\n",
        "<!-- on: pi, instead of: nothing -->\n```console\n$ x\n```\n",
        "<!-- on: pi, instead: x -->\n```console\n$ x\n```\n",
    ],
)
def test_a_block_without_a_place_is_found(page: str) -> None:
    with pytest.raises(DocumentError):
        document.commands(page)
