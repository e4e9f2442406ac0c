"""What the edges say when the world does not answer as it should."""

from __future__ import annotations

import errno
import io
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from debian.arfile import ArFile
from requests import Response

from pkgbuild import aptly_transport, ar, errors, keys, locking, process, signing, stack
from pkgbuild.aptly import Aptly
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.progress import Progress, human_size


def answer(status: int, body: bytes) -> Response:
    found = Response()
    found.status_code = status
    found.raw = io.BytesIO(body)
    return found


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> list[Response]:
    """The answers of an aptly, in order."""
    answers: list[Response] = []
    monkeypatch.setattr("requests.Session.request", lambda *_, **__: answers.pop(0))
    return answers


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error": "unable to detached sign file: exit status 2"}', Kind.MISSING_KEY),
        (b'[{"error": "looks like there are no gpg keys"}]', Kind.MISSING_KEY),
        (b'{"error": "write /x: no space left on device"}', Kind.DISK_FULL),
        (b'{"error": "prefix already used"}', Kind.PUBLISH_FAILED),
        (b"gateway", Kind.PUBLISH_FAILED),
    ],
)
def test_refusal_of_aptly_becomes_a_kind(server: list[Response], body: bytes, kind: Kind) -> None:
    server.append(answer(500, body))
    with pytest.raises(PkgbuildError) as caught:
        Aptly("http://x", timeout_seconds=1, archive_key="A").publish("trixie", "stable", "s")
    assert caught.value.kind is kind


def test_what_aptly_does_is_waited_for_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "POST api/repos/r/file/f": (202, b'{"ID": 7, "State": 0}'),
        "GET api/tasks/7/wait": (200, b'{"ID": 7, "State": 2}'),
        "GET api/tasks/7/return_value": (
            200,
            b'{"Code": 200, "Value": {"FailedFiles": [], "Report": {"Warnings": []}}}',
        ),
        "DELETE api/tasks/7": (200, b"{}"),
    }
    asked: list[str] = []

    def request(_: object, method: str, url: str, **values: object) -> Response:
        asked.append(f"{method} {url.removeprefix('http://x/')}")
        return answer(*answers[asked[-1]])

    monkeypatch.setattr("requests.Session.request", request)
    server = Aptly("http://x", timeout_seconds=1, archive_key=None)
    server.add_uploaded("r", "f")
    server.close()
    server.close()
    assert asked == list(answers)


def test_a_task_that_fails_is_a_refusal_in_its_own_words(server: list[Response]) -> None:
    words = b'"Loading packages...\\nTask failed with error: unable to detached sign file: exit status 2"'
    server += [answer(202, b'{"ID": 7}'), answer(200, b'{"State": 3}'), answer(200, words)]
    with pytest.raises(PkgbuildError, match=r"aptly cannot sign \(unable to detached sign file") as caught:
        Aptly("http://x", timeout_seconds=1, archive_key="A").switch("trixie", "stable", "s")
    assert caught.value.kind is Kind.MISSING_KEY


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (409, b'{"error": "Needed resources are used by other tasks."}', Kind.BUSY, "until the other builder"),
        (401, b"<html>", Kind.APTLY_UNREACHABLE, "correct aptly.username and the password"),
    ],
)
def test_who_is_in_the_way(server: list[Response], status: int, body: bytes, kind: Kind, words: str) -> None:
    server.append(answer(status, body))
    with pytest.raises(PkgbuildError, match=words) as caught:
        Aptly("http://x", timeout_seconds=1, archive_key="A").switch("trixie", "stable", "s")
    assert caught.value.kind is kind


def test_failed_files_of_a_successful_answer_are_a_failure(server: list[Response]) -> None:
    report = (
        b'{"FailedFiles": ["a.deb"], "Report": {"Warnings": ["conflict in package a"], "Added": [], "Removed": []}}'
    )
    server.append(answer(200, report))
    with pytest.raises(PkgbuildError, match="did not take all packages: conflict in package a") as caught:
        Aptly("http://x", timeout_seconds=1, archive_key=None).add_uploaded("r", "f")
    assert caught.value.kind is Kind.PUBLISH_FAILED


def test_first_publishing_asks_for_everything_that_must_never_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: dict[str, object] = {}

    def request(_: object, method: str, url: str, **values: object) -> Response:
        sent.update(method=method, url=url, **values)
        return answer(201, b"{}")

    monkeypatch.setattr("requests.Session.request", request)
    Aptly("unix:///run/a b.sock", timeout_seconds=7, archive_key="KEY").publish("trixie", "stable", "snap")
    assert sent["url"] == "http+unix://%2Frun%2Fa%20b.sock/api/publish/trixie"
    assert sent["timeout"] == (10, 7)
    body = sent["json"]
    assert isinstance(body, dict)
    assert body["Origin"] == body["Label"] == "pi-ota"
    assert body["Architectures"] == ["amd64", "arm64", "armhf"]
    assert body["Signing"] == {"Batch": True, "GpgKey": "KEY"}
    assert [body[name] for name in ("AcquireByHash", "SkipContents", "SkipBz2")] == [True, True, True]


def test_full_disks_are_recognised() -> None:
    assert errors.is_disk_full(OSError(errno.ENOSPC, "x"))
    assert errors.is_disk_full(OSError(errno.EDQUOT, "x"))
    assert errors.is_disk_full("tar: write error: No space left on device")
    assert not errors.is_disk_full(OSError(errno.EACCES, "x"))


def test_missing_program_names_its_debian_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PkgbuildError, match="run `apt-get install gnupg`"):
        process.run(["gpg", "--version"], doing="x")


def test_failing_program_is_quoted_and_never_waits_for_a_keyboard() -> None:
    with pytest.raises(process.ToolError, match=r"sh failed \(status 3\) while trying: bad luck") as caught:
        process.run(["sh", "-c", "read x || true; echo bad luck >&2; exit 3"], doing="trying")
    assert (caught.value.status, caught.value.said) == (3, "bad luck")
    with pytest.raises(PkgbuildError) as full:
        process.run(["sh", "-c", "echo No space left on device >&2; exit 1"], doing="trying")
    assert full.value.kind is Kind.DISK_FULL


def test_program_that_hangs_is_ended() -> None:
    with pytest.raises(PkgbuildError, match="took longer than 0 seconds while trying"):
        process.run(["sleep", "60"], doing="trying", timeout_seconds=0.05)


def test_second_publisher_waits_for_the_first_and_gives_up_in_the_end(tmp_path: Path) -> None:
    path, said, order = tmp_path / "lock", list[str](), list[str]()
    with locking.publishing(path, said.append):
        with (
            pytest.raises(PkgbuildError, match="Another release") as caught,
            locking.publishing(path, said.append, patience_seconds=0),
        ):
            pass
        assert caught.value.kind is Kind.BUSY
        assert said == []

        def second() -> None:
            with locking.publishing(path, said.append):
                order.append("second")

        thread = threading.Thread(target=second)
        thread.start()
        while not said:
            time.sleep(0.005)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    assert "waiting for another release" in said[0]


@pytest.fixture(scope="module")
def pair() -> Iterator[stack.KeyPair]:
    with tempfile.TemporaryDirectory(prefix="pk-", dir="/tmp") as folder:  # gpg-agent's socket needs a short path
        builder, archive = keys.homes(Path(folder))
        made = stack.make_keys(Path(folder))
        with keys.no_agent_left_behind(builder), keys.no_agent_left_behind(archive):
            yield made


def test_keys_are_made_once_and_apart(pair: stack.KeyPair) -> None:
    state = pair.builder.home.parents[1]
    assert stack.make_keys(state) == pair
    assert pair.builder.fingerprint != pair.archive.fingerprint
    assert pair.builder.home.stat().st_mode & 0o777 == 0o700
    assert keys.find(pair.builder.home, pair.builder.long_id, whose="builder") == pair.builder
    for wrong in (pair.archive.fingerprint, "F" * 40):
        with pytest.raises(PkgbuildError, match="The builder key is missing"):
            keys.find(pair.builder.home, wrong, whose="builder")


def test_only_an_agent_of_our_own_is_ended(pair: stack.KeyPair) -> None:
    def runs() -> bool:
        words = ["gpg-connect-agent", "--homedir", str(pair.archive.home), "--no-autostart", "GETINFO pid", "/bye"]
        return b"OK" in subprocess.run(words, check=False, capture_output=True).stdout

    start = ["gpg-connect-agent", "--homedir", str(pair.archive.home), "--quiet", "/bye"]
    assert not runs()
    with keys.no_agent_left_behind(pair.archive.home):
        subprocess.run(start, check=True, capture_output=True)
        with keys.no_agent_left_behind(pair.archive.home):
            pass
        assert runs()
    assert not runs()


def test_too_long_a_path_for_gpg_is_said(tmp_path: Path) -> None:
    with pytest.raises(PkgbuildError, match="use a shorter state folder") as caught:
        keys.create(tmp_path / ("x" * 90), whose="builder")
    assert caught.value.kind is Kind.BAD_INPUT


def package(folder: Path) -> Path:
    tree = folder / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: a\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.example>\nDescription: a\n"
    )
    (tree / "data").write_text("data" * 1000)
    path = folder / "a_1_all.deb"
    process.run(["dpkg-deb", "-Zxz", "--root-owner-group", "--build", tree, path], doing="x")
    return path


def test_same_bytes_are_signed_once(pair: stack.KeyPair, tmp_path: Path) -> None:
    path = package(tmp_path)
    unsigned = path.read_bytes()
    signer = signing.Signer(pair.builder, tmp_path / "cache")
    with pytest.raises(PkgbuildError, match="does not carry a valid signature"):
        signer.verify(path)
    signer.sign(path)
    signed = path.read_bytes()
    assert signed.startswith(unsigned[:1000])
    signer.verify(path)
    path.write_bytes(unsigned)
    signer.sign(path)
    assert path.read_bytes() == signed
    signer.forget()
    assert not (tmp_path / "cache").exists()


def test_the_signature_has_the_form_of_debsigs(pair: stack.KeyPair, tmp_path: Path) -> None:
    ours, theirs = package(tmp_path), tmp_path / "theirs.deb"
    unsigned = ours.read_bytes()
    theirs.write_bytes(unsigned)
    signer = signing.Signer(pair.builder, tmp_path / "cache")
    signer.sign(ours)
    words = ["debsigs", "--sign=origin", f"--default-key={pair.builder.fingerprint}", str(theirs)]
    process.run(words, env=pair.builder.env, doing="x")
    added = []
    for path in (ours, theirs):
        signer.verify(path)
        content = path.read_bytes()
        assert content.startswith(unsigned)
        added.append(content[len(unsigned) :])
        assert len(added[-1]) % 2 == 0
    # name, time and owners; then the mode; then a length that is one of the signature's own
    assert added[0][:40] == added[1][:40]
    assert [int(one[40:48], 8) & 0o777 for one in added] == [0o644, 0o644]


def test_what_is_no_part_of_the_package_is_not_signed(pair: stack.KeyPair, tmp_path: Path) -> None:
    path = package(tmp_path)
    ar.append(path, "_other", b"odd")
    signer = signing.Signer(pair.builder, tmp_path / "cache")
    signer.sign(path)
    signer.verify(path)
    assert ArFile(str(path)).getnames()[-2:] == ["_other", signing.MEMBER]


def test_signature_of_another_key_or_over_other_bytes_is_refused(pair: stack.KeyPair, tmp_path: Path) -> None:
    path = package(tmp_path)
    signing.Signer(pair.archive, tmp_path / "cache").sign(path)
    signer = signing.Signer(pair.builder, tmp_path / "cache2")
    with pytest.raises(PkgbuildError, match="does not carry a valid signature"):
        signer.verify(path)
    path = package(tmp_path / "again")
    signer.sign(path)
    content = bytearray(path.read_bytes())
    content[content.index(b"data.tar.xz") + 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(PkgbuildError, match="does not carry a valid signature"):
        signer.verify(path)


def test_progress_counts_steps() -> None:
    stream = io.StringIO()
    progress = Progress(2, stream)
    progress.step("building")
    progress.detail("more")
    progress.step("publishing")
    assert stream.getvalue() == "[1/2] building\n      more\n[2/2] publishing\n"


class Terminal(io.StringIO):
    """A stream on which bars are drawn."""

    def isatty(self) -> bool:
        return True


def test_bars_are_drawn_on_a_terminal_for_what_takes_long() -> None:
    stream = Terminal()
    progress = Progress(1, stream)
    with progress.bar("uploading", 2_000_000) as advance:
        advance(500_000)
        advance(1)
        advance(1_499_999)
    assert [line.strip() for line in stream.getvalue().split("\r\x1b[K")] == [
        "",
        "uploading [#######-----------------------] 500.0 kB of 2.0 MB",
        "uploading [##############################] 2.0 MB of 2.0 MB",
        "",
    ]


@pytest.mark.parametrize(
    ("stream", "size", "quiet"),
    [(io.StringIO(), 2_000_000, False), (Terminal(), 1_000, False), (Terminal(), 2_000_000, True)],
)
def test_no_bar_in_a_log_for_little_or_where_nobody_asked_for_words(
    stream: io.StringIO, size: int, quiet: bool
) -> None:
    progress = Progress(1, stream, quiet=quiet)
    with progress.bar("uploading", size) as advance, progress.working("packing"):
        advance(size)
    assert stream.getvalue() == ""


def test_how_long_it_takes_is_shown_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pkgbuild.progress._PATIENCE_SECONDS", 0.0)
    stream = Terminal()
    with Progress(1, stream).working("packing"):
        while not stream.getvalue():
            pass
    assert stream.getvalue() == "\r\x1b[K      packing: 0 s\r\x1b[K"


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (56_723_864, "56.7 MB"), (3 * 10**9, "3.0 GB")]
)
def test_sizes_are_for_people(size: int, words: str) -> None:
    assert human_size(size) == words


def test_words_of_aptly_in_any_form() -> None:
    assert aptly_transport._words(answer(404, b'{"error": "gone"}')) == "gone"
    assert aptly_transport._words(answer(404, b"[]")) == "[]"
    assert aptly_transport._words(answer(502, b"<html>")) == "status 502: <html>"
