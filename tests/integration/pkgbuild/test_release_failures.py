"""Releases that fail: the exit code, the sentence, and a published tree that is what it was, byte for byte."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from demo.ports import free_port
from pkgbuild import config, deb, ready, session
from pkgbuild.errors import PkgbuildError
from pkgbuild.progress import Progress
from pkgbuild.publisher import Part
from tests.support.apt_repo import build_deb
from tests.support.aptly import BuilderStack, Outcome, builder_stack, plain_payload
from tests.support.server import running_server

SIGNED_AGAIN = ("/InRelease", "/Release", "/Release.gpg")


@pytest.fixture
def published(stack: BuilderStack, payload: Path) -> dict[str, str]:
    """The tree with 1.0.0 on it."""
    done = stack.release(payload, "1.0.0")
    assert done.status == 0, done.stderr
    tree = stack.tree()
    assert any(name.endswith("tiny-assistant_1.0.0_amd64.deb") for name in tree)
    return tree


@pytest.mark.parametrize("version", ["1.0.0", "0.9", "1.0.0~rc9", "1.0"])
def test_version_that_is_not_higher(
    stack: BuilderStack, payload: Path, published: dict[str, str], version: str
) -> None:
    outcome = stack.release(payload, version)
    assert outcome.status == 3
    assert f"tiny-assistant {version} is not higher than 1.0.0" in outcome.sentence
    assert "Choose a version above 1.0.0" in outcome.sentence
    assert stack.tree() == published


def test_wrong_words(stack: BuilderStack, payload: Path, published: dict[str, str]) -> None:
    cases = [
        (stack.release(payload, "1.1.0", urgency="soon"), "Unknown urgency 'soon': use scheduled or urgent."),
        (stack.release(payload, "v2"), "'v2' is not a version"),
        (stack.release(payload, "1.1.0", "--channel", "Über"), "is not a channel"),
        (stack.release(payload, "1.1.0", "--target", "sid/arm64"), "Unknown Debian release 'sid'"),
        (stack.release(payload, "1.1.0", "--notes", " "), "The notes are empty"),
        (stack.release(payload / "none", "1.1.0"), "There is no folder"),
    ]
    for outcome, words in cases:
        assert outcome.status == 2, outcome.stderr
        assert words in outcome.sentence
    assert stack.tree() == published


def test_the_error_is_json_where_json_was_asked_for(stack: BuilderStack, payload: Path) -> None:
    outcome = stack.release(payload, "1.1.0", "--json", urgency="soon")
    assert outcome.json == {"error": {"kind": "bad_input", "message": outcome.sentence}}


def test_missing_builder_key(stack: BuilderStack, payload: Path, published: dict[str, str]) -> None:
    stack.builder_home.rename(stack.builder_home.with_name("away"))
    try:
        outcome = stack.release(payload, "1.1.0")
    finally:
        stack.builder_home.with_name("away").rename(stack.builder_home)
    assert outcome.status == 4
    assert outcome.sentence.startswith("The builder key is missing")
    assert "pkgbuild keys init" in outcome.sentence
    assert stack.tree() == published


@pytest.mark.parametrize("known_here", [True, False])
def test_missing_archive_key(
    stack: BuilderStack, payload: Path, published: dict[str, str], *, known_here: bool
) -> None:
    """Whether the builder can look into the archive's keyring itself, or only aptly, on another machine, can."""
    if not known_here:
        stack.edit('gnupghome = "keys/archive"\n', "")
    empty = stack.state / "empty"
    empty.mkdir(mode=0o700)
    stack.stop_aptly()
    stack.archive_home.rename(stack.archive_home.with_name("away"))
    try:
        stack.start_aptly(env={"GNUPGHOME": str(empty)})
        outcome = stack.release(payload, "1.1.0")
    finally:
        stack.archive_home.with_name("away").rename(stack.archive_home)
        subprocess.run(["gpgconf", "--homedir", str(empty), "--kill", "all"], check=True)
    assert outcome.status == 4
    assert outcome.sentence.startswith("The archive key is missing")
    assert stack.tree() == published


def test_aptly_not_running(stack: BuilderStack, payload: Path, published: dict[str, str]) -> None:
    stack.stop_aptly()
    outcome = stack.release(payload, "1.1.0")
    assert outcome.status == 5
    assert outcome.sentence.startswith("aptly does not answer at unix:///")
    assert "start it with `pkgbuild aptly`" in outcome.sentence
    assert stack.tree() == published


def test_something_else_answers_in_aptlys_place(stack: BuilderStack, payload: Path, published: dict[str, str]) -> None:
    with answering(get=(200, b"<html>")) as url:
        stack.edit(f'url = "unix://{stack.state}/aptly/api.sock"', f'url = "{url}"')
        outcome = stack.release(payload, "1.1.0")
    assert outcome.status == 5
    assert "not as aptly does" in outcome.sentence
    assert stack.tree() == published


@pytest.mark.parametrize("problem", ["nobody listens", "unknown key", "server broken"])
def test_server_that_cannot_be_announced_to_is_noticed_before_publishing(
    stack: BuilderStack, payload: Path, published: dict[str, str], problem: str
) -> None:
    statuses = {"unknown key": 401, "server broken": 500}
    with answering(get=(statuses.get(problem, 200), b"{}")) as url:
        outcome = announced(stack, payload, url if problem in statuses else f"http://127.0.0.1:{free_port()}")
    assert outcome.status == 8
    assert "the same release again" in outcome.sentence
    assert stack.tree() == published


@pytest.mark.parametrize("problem", ["hangs up", "refuses", "no json"])
def test_announcement_that_fails_after_publishing_puts_the_channel_back(
    stack: BuilderStack, payload: Path, published: dict[str, str], problem: str
) -> None:
    refusal = json.dumps({"error": {"kind": "conflict", "message": "exists with other content"}}).encode()
    posts = {"hangs up": None, "refuses": (409, refusal), "no json": (200, b"ok")}
    with answering(get=(200, b"{}"), post=posts[problem]) as url:
        outcome = announced(stack, payload, url)
    assert outcome.status == 8
    assert "the same release again" in outcome.sentence
    assert ("exists with other content" in outcome.sentence) == (problem == "refuses")
    assert without_signatures(stack.tree()) == without_signatures(published)
    assert "tiny-assistant=1.1.0" not in stack.packages("trixie", "amd64")

    with answering(get=(200, b"{}"), post=(201, b'{"id": "u1"}')) as url:
        stack.edit(stack.settings.read_text().partition("[server]\n")[2], f'url = "{url}"\napi_key = "k"\n')
        again = stack.release(payload, "1.1.0", "--json")
    assert again.status == 0, again.stderr
    assert again.json["update_id"] == "u1"
    assert "tiny-assistant=1.1.0" in stack.packages("trixie", "amd64")


def test_first_release_that_cannot_be_announced_leaves_nothing_published(stack: BuilderStack, payload: Path) -> None:
    with answering(get=(200, b"{}"), post=None) as url:
        outcome = announced(stack, payload, url)
    assert outcome.status == 8
    assert stack.tree() == {}
    assert stack.run("show").stdout == ""


def test_aptly_that_cannot_publish_gets_its_old_snapshot_back(
    stack: BuilderStack, payload: Path, published: dict[str, str]
) -> None:
    """A file in the way makes aptly fail in the middle of publishing, after packages and snapshot are there."""
    pool = stack.public / "trixie/pool/main/t/tiny-assistant"
    in_the_way = pool / "tiny-assistant_1.1.0_amd64.deb"
    in_the_way.write_bytes(b"something else")
    outcome = stack.release(payload, "1.1.0")
    assert outcome.status == 9
    assert "aptly refused while publishing trixie/stable" in outcome.sentence
    in_the_way.unlink(missing_ok=True)  # aptly 1.5 has swept it away while going back, 1.6 has left it
    assert without_signatures(stack.tree()) == without_signatures(published)
    assert [row["version"] for row in stack.run("show", "--json").json] == ["1.0.0"]
    assert stack.release(payload, "1.1.0").status == 0


def test_a_key_that_may_only_look_is_refused_by_the_real_server(payload: Path, tmp_path: Path) -> None:
    with running_server(tmp_path / "server") as server, builder_stack() as stack:
        stack.settings.write_text(
            stack.settings.read_text() + f'[server]\nurl = "{server.url}"\napi_key = "{server.key("viewer")}"\n'
        )
        outcome = stack.release(payload, "1.0.0")
        assert outcome.status == 8
        assert "API key" in outcome.sentence
        assert stack.tree() == {}


def test_payload_with_wrong_settings(stack: BuilderStack, tmp_path: Path, published: dict[str, str]) -> None:
    wrong = plain_payload(tmp_path / "wrong", more='homepge = "https://example.org"')
    outcome = stack.release(wrong, "1.1.0")
    assert outcome.status == 2
    assert "unknown key 'homepge': did you mean 'homepage'?" in outcome.sentence
    assert stack.tree() == published


@pytest.mark.root
@pytest.mark.parametrize("seen_in_time", [True, False])
def test_full_disk_of_aptly(tmp_path: Path, payload: Path, *, seen_in_time: bool) -> None:
    """With aptly on this machine the lack of room is seen before uploading; elsewhere aptly runs out of it."""
    with small_disk(tmp_path, megabytes=24) as disk, builder_stack(state=disk) as stack:
        assert stack.release(payload, "1.0.0").status == 0
        before = stack.tree()
        if not seen_in_time:
            stack.edit('root = "aptly"\n', "")
            stack.edit('state = "."', f'state = "{tmp_path}"')
            stack.edit('gnupghome = "keys/builder"', f'gnupghome = "{stack.builder_home}"')
        (payload / "sounds.bin").write_bytes(os.urandom(6 << 20))
        fill(stack.state / "ballast", leave=9 << 20 if seen_in_time else 4 << 20)
        outcome = stack.release(payload, "1.1.0")
        assert outcome.status == 6, outcome.stderr
        assert "is full: make room there and run the same release again" in outcome.sentence
        assert stack.tree() == before

        (stack.state / "ballast").unlink()
        (payload / "sounds.bin").unlink()
        again = stack.release(payload, "1.1.0")
        assert again.status == 0, again.stderr


@pytest.mark.root
def test_full_disk_of_the_builder(tmp_path: Path, payload: Path, stack: BuilderStack) -> None:
    assert stack.release(payload, "1.0.0").status == 0
    before = stack.tree()
    (payload / "sounds.bin").write_bytes(os.urandom(3 << 20))
    with small_disk(tmp_path, megabytes=2) as disk:
        stack.edit('state = "."', f'state = "{disk}"')
        stack.edit('gnupghome = "keys/builder"', f'gnupghome = "{stack.builder_home}"')
        outcome = stack.release(payload, "1.1.0")
    assert outcome.status == 6, outcome.stderr
    assert "this machine" in outcome.sentence
    assert stack.tree() == before


def announced(stack: BuilderStack, payload: Path, url: str) -> Outcome:
    """Release 1.1.0 to a server at ``url``."""
    stack.settings.write_text(stack.settings.read_text() + f'\n[server]\nurl = "{url}"\napi_key = "k"\n')
    return stack.release(payload, "1.1.0")


def without_signatures(tree: dict[str, str]) -> dict[str, str]:
    """What the signature covers; going back means signing the same content again, at another time.

    aptly keeps the withdrawn release's indexes under by-hash for one more publishing, for clients amid one.
    """
    return {
        name: digest for name, digest in tree.items() if not name.endswith(SIGNED_AGAIN) and "/by-hash/" not in name
    }


@contextmanager
def answering(*, get: tuple[int, bytes], post: tuple[int, bytes] | None = None) -> Iterator[str]:
    """A server that answers every GET and POST so; ``post=None`` hangs up."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(get)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if post is None:
                self.close_connection = True
            else:
                self._answer(post)

        def _answer(self, answer: tuple[int, bytes]) -> None:
            self.send_response(answer[0])
            self.send_header("Content-Length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def small_disk(tmp_path: Path, *, megabytes: int) -> Iterator[Path]:
    disk = Path("/tmp") / f"pk-disk-{os.getpid()}-{abs(hash(tmp_path)) % 10**6}"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
        disk.rmdir()


def fill(path: Path, *, leave: int) -> None:
    free = os.statvfs(path.parent).f_bavail * os.statvfs(path.parent).f_frsize
    path.write_bytes(b"\0" * max(0, free - leave))


@pytest.mark.parametrize("first", [True, False])
def test_package_that_aptly_lists_with_another_hash(
    stack: BuilderStack, payload: Path, tmp_path: Path, *, first: bool
) -> None:
    if not first:
        assert stack.release(payload, "1.0.0").status == 0
    before = stack.tree()
    one = ready.read(build_deb(tmp_path, "tiny-assistant", "1.1.0", {"/usr/share/tiny-assistant/x": "x"}))
    built = replace(deb.as_built(one.path, one.fields), sha256="0" * 64)
    with session.opened(config.load(stack.settings), "test-", Progress(1, quiet=True)) as opened:
        publisher = opened.publisher("stable")
        with pytest.raises(PkgbuildError, match=r"aptly lists .* instead of 0000"):
            publisher.publish([Part("trixie", built=(built,))], "tiny", lambda: None)
        assert len(opened.aptly.snapshots()) == (0 if first else 1)
        assert opened.journal.read() is None
    assert stack.tree() == before
    assert stack.release(payload, "1.1.0").status == 0
