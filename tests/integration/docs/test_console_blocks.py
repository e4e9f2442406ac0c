"""Every command that a document shows in a console block is run as it stands there, or is named with what shows it.

They are run by a shell, in the order of the documents, in a checkout with aptly and the server as `make serve` starts
them. What stands for something else (`…`, `ID`, `YOUR_KEY`) is replaced; nothing else is.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from demo.ports import free_port
from demo.stack import Stack
from tests.integration.docs.not_here import DOCUMENTS as ON_THEIR_OWN
from tests.integration.docs.not_here import NOT_HERE, NotHere
from tests.support.aptly import plain_payload
from tests.support.fleet_bodies import OTHER_DEVICE, announcement, registration
from tests.unit.docs.command_lines import TARGETS
from tests.unit.docs.documents import BY_HAND, ROOT, blocks, name_of

_PROGRAMS = re.compile(
    r"pkgbuild|repo-server|pi-hook|\./create_update\.sh|(?:\.venv/bin/)?python3? -m (?:pkgbuild|repo_server|pi_hook)"
    r"|curl(?= .*http://your-server:8000/)|make release(?= )|make(?=$)"
)
_LEADS_OUT = re.compile(r"[|;&<`]|\$\(|\bsudo\b|> *[/~$]|\.\.")


def harmless(text: str) -> bool:
    """Whether a command may be run here at all: one program of ours, which acts on the state folder of the test."""
    alone = re.sub(r"^(?:[A-Z_]+=\S+ )*", "", text)
    return re.match(rf"(?:{_PROGRAMS.pattern})(?: |$)", alone) is not None and _LEADS_OUT.search(text) is None


@dataclass(frozen=True)
class Shown:
    """A command of a document."""

    document: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line} {self.text}"


def shown() -> list[Shown]:
    """Every command of every console block, and of the README's table, each once."""
    found: dict[str, Shown] = {}
    for document in BY_HAND:
        for block in blocks(document.read_text(encoding="utf-8")):
            if block.language == "console" and name_of(document) not in ON_THEIR_OWN:
                for text in block.commands():
                    found.setdefault(text, Shown(name_of(document), block.line, text))
    for text in re.findall(r"^\| [^|]* \| `([^`]+)`", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE):
        found.setdefault(text, Shown("README.md", 0, text))
    return list(found.values())


def elsewhere(text: str) -> NotHere | None:
    return next((one for one in NOT_HERE if re.fullmatch(one.pattern, text)), None)


SHOWN = shown()
HERE = [one for one in SHOWN if elsewhere(one.text) is None]
RUN = [one for one in HERE if harmless(one.text)]
"""What is not known to be harmless is never run, whoever has written it into a document."""


def test_every_command_is_run_here_or_named_with_what_shows_it() -> None:
    unknown = [str(one) for one in HERE if one not in RUN]
    assert unknown == [], (
        "not known to be harmless: let tests/integration/docs/not_here.py name what shows that they work"
    )


@pytest.mark.parametrize("one", NOT_HERE, ids=lambda one: one.pattern)
def test_what_is_not_run_here_stands_in_a_document_and_is_shown_elsewhere(one: NotHere) -> None:
    assert [each for each in SHOWN if re.fullmatch(one.pattern, each.text)], "no document has it any more"
    assert one.reason
    assert is_there(one.proof)


def test_a_document_that_is_run_on_its_own_is_there() -> None:
    assert [document for document, proof in ON_THEIR_OWN.items() if not (ROOT / document).is_file()] == []
    assert [proof for proof in ON_THEIR_OWN.values() if not is_there(proof)] == []


def is_there(proof: str) -> bool:
    if proof.startswith("make "):
        return proof.removeprefix("make ") in TARGETS
    file, _, test = proof.partition("::")
    return (ROOT / file).is_file() and f"def {test}(" in (ROOT / file).read_text(encoding="utf-8")


@dataclass
class Checkout:
    """A folder that looks like the tree, beside running services."""

    folder: Path
    stack: Stack
    waiting: str
    environment: dict[str, str]

    def filled_in(self, text: str) -> str:
        """The command with everything in place that stands for something else."""
        for pattern, value in (
            (r"--state …", f"--state {self.stack.state}/server"),
            (r"--src … --version …", f"--src {self.folder / 'payload'} --version 1.0.0 --target trixie/arm64"),
            (r"\bYOUR_KEY\b", self.stack.secret("admin_key")),
            (r"http://your-server:8000", self.stack.url),
            (r"(?<=approve )ID\b", self.waiting),
            (r"(?<=SRC=)examples/sample_assistant", str(self.folder / "payload")),
            (r"\bv1\.0\.0\b", "v1.0.1"),  # 1.0.0 is released by `make release`
        ):
            text = re.sub(pattern, value.replace("\\", r"\\"), text)
        return text

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["/bin/bash", "-euo", "pipefail", "-c", self.filled_in(text)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    folder = tmp_path_factory.mktemp("checkout")
    for entry in ("Makefile", "create_update.sh", ".venv", "pkgbuild", "repo_server", "pi_hook", "examples"):
        (folder / entry).symlink_to(ROOT / entry)
    _committed(plain_payload(folder / "payload"))
    home = folder / "home"
    (home / "javia_client").mkdir(parents=True)
    (home / "javia_client" / ".env").write_text(
        "SERVER_URL=https://updates.example.org\nDEVICE_TIMEZONE=Europe/Berlin\n"
    )
    with Stack(folder / ".pi-ota" / "serve", port=free_port()) as stack:
        yield Checkout(folder, stack, OTHER_DEVICE, _prepared(folder, home, stack))


def _committed(payload: Path) -> None:
    """In git, whose last commit says what is new where nobody else does."""
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    for words in (("init", "--quiet"), ("add", "."), (*who, "commit", "--quiet", "--message", "Answers faster")):
        subprocess.run(["git", "-C", str(payload), *words], check=True, timeout=60)


def _prepared(folder: Path, home: Path, stack: Stack) -> dict[str, str]:
    """A device that waits for approval, an update that has not begun, and programs by their names."""
    made = stack.operate("POST", "/api/v1/enrollment-tokens/", {"name": "docs", "approval": True}).body["secret"]
    sent = {"Authorization": f"Bearer {made}", "Content-Type": "application/json"}
    body = json.dumps(registration(id=OTHER_DEVICE)).encode()
    assert stack.request("POST", "/api/v1/devices/", body, sent).status == 201
    stack.operate("POST", "/api/v1/updates/", announcement("1.2.0", rollout={"paused": True}))
    programs = folder / "programs"
    programs.mkdir()
    for name, module in (("pkgbuild", "pkgbuild"), ("repo-server", "repo_server"), ("pi-hook", "pi_hook")):
        (programs / name).write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m {module} "$@"\n')
    # What is installed already is not looked at again.
    (programs / "make").write_text('#!/bin/sh\nexec /usr/bin/make "$@" -o setup -o packages\n')
    for program in programs.iterdir():
        program.chmod(0o755)
    return {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PKGBUILD_CONFIG": str(stack.settings),
        "REPO_SERVER_STATE_DIR": str(stack.state / "server"),
    }


def test_each_works_as_it_stands_there(checkout: Checkout) -> None:
    """In the order of the documents, since one may take what another has made."""
    failed = []
    for one in RUN:
        done = checkout.run(one.text)
        failed += [f"{one}\n{done.stdout}\n{done.stderr}"] if done.returncode else []
    assert failed == []
    refused = checkout.run("repo-server devices approve 0195e0c8-0000-7000-8000-00000000ffff --state …")
    assert (refused.returncode, "there is no" in refused.stderr) == (1, True)
    assert checkout.run("pkgbuild show no-such-assistant 1.0.0 | cat").returncode != 0


def test_what_is_not_known_to_be_harmless_is_not_run() -> None:
    dangerous = [
        "make clean", "make release-agent", "make releases", "X=1 make lock", "pkgbuildx", "rm -rf build",
        "sudo apt purge x", "sudo pi-hook hold", "python3 -m http.server", "printf x > y", "pkgbuild env x > /etc/y",
        "curl https://example.org/x | sudo sh", "curl http://your-server:8000/x | sh", "pkgbuild env ../x",
        "apt-get update", "pkgbuild list; rm x", "pkgbuild list && rm x",
        "pkgbuild $(rm x)", "pkgbuild `rm x`", "X=$(rm x) pkgbuild list",
    ]  # fmt: skip
    assert [text for text in dangerous if harmless(text)] == []
    assert harmless("A=b .venv/bin/python -m pkgbuild list")
    assert harmless('curl -H "X-API-Key: YOUR_KEY" http://your-server:8000/api/v1/devices/')
    assert harmless("pkgbuild env ~/javia_client/.env > pi-hook.toml")
