from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from pkgbuild import interpreter, locks, payload, requirements, wheels
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.process import ToolError
from pkgbuild.targets import Target
from tests.support.aptly import ROOT, plain_payload

TARGET = Target("trixie", "arm64")
HASH = "--hash=sha256:" + "0" * 64


def test_requirement_lines_drop_comments_and_order() -> None:
    text = "# first\nb==2  # why\n\na\n"
    assert locks.requirement_lines(text, "r") == ["a", "b==2"]


@pytest.mark.parametrize("line", ["-r other.txt", "--index-url https://example.org", "-e .", "./wheel.whl", "/x"])
def test_requirement_options_are_refused(line: str) -> None:
    with pytest.raises(PkgbuildError, match=r"line 2: .* is no plain requirement") as caught:
        locks.requirement_lines(f"a\n{line}\n", "requirements.txt")
    assert caught.value.kind is Kind.BAD_INPUT


@pytest.mark.parametrize("entry", ["a>=1 " + HASH, "a==1", "a==1 --hash=md5:00", "https://example.org/a.whl"])
def test_lock_without_exact_pin_and_hash_is_refused(entry: str) -> None:
    with pytest.raises(PkgbuildError, match="is not pinned with hashes"):
        locks.parse(entry + "\n", "locks/x.txt")


def test_names_are_spelled_one_way() -> None:
    assert locks.parse(f"My_Lib.x==1 {HASH}\n", "x").pins[0].name == "my-lib-x"


def test_lock_without_our_first_line_is_stale() -> None:
    assert locks.parse(f"a==1 {HASH}\n", "x").requirements_hash is None


def application(tmp_path: Path, wanted: str) -> payload.Payload:
    folder = plain_payload(tmp_path / "payload")
    (folder / "requirements.txt").write_text(wanted)
    return payload.read(folder)


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Answers in uv's place: what it chooses is not the matter here."""
    asked: list[list[str]] = []

    def compile_lock(wanted: list[str], *_: object, **__: object) -> str:
        asked.append(wanted)
        return "".join(f"{name}==1 {HASH}\n" for name in wanted)

    monkeypatch.setattr(wheels, "compile_lock", compile_lock)
    return asked


def test_lock_is_made_once_kept_while_fresh_and_made_again_when_stale(
    tmp_path: Path, resolver: list[list[str]]
) -> None:
    source, said = application(tmp_path, "a\n"), list[str]()

    def ensure(*, anew: bool = False) -> requirements.Resolved | None:
        return requirements.ensure(source, "1.0", TARGET, tmp_path, said.append, anew=anew)

    first = ensure()
    assert first is not None
    assert first.path == source.folder / "locks/trixie-arm64.txt"
    assert said == [f"wrote {first.path}: commit it, so that the next release uses the same wheels"]
    (source.folder / "requirements.txt").write_text("# only a comment more\na\n")
    assert ensure() == first
    assert len(resolver) == 1
    (source.folder / "requirements.txt").write_text("a\nb\n")
    again = ensure()
    assert again is not None
    assert [pin.name for pin in again.lock.pins] == ["a", "b"]
    assert len(said) == 2
    ensure(anew=True)
    assert len(resolver) == 3


@pytest.mark.parametrize("text", ["", "# nothing\n\n"])
def test_no_requirements_no_lock(tmp_path: Path, resolver: list[list[str]], text: str) -> None:
    source = application(tmp_path, text)
    assert requirements.ensure(source, "1.0", TARGET, tmp_path, lambda _: None) is None
    assert not source.locks.exists()
    assert resolver == []


def test_named_requirements_file_has_to_be_there(tmp_path: Path) -> None:
    folder = plain_payload(tmp_path / "payload")
    text = (folder / "release.toml").read_text()
    (folder / "release.toml").write_text(
        text.replace('kind = "application"', 'kind = "application"\nrequirements = "reqs.txt"')
    )
    with pytest.raises(PkgbuildError, match=r"names reqs\.txt, but there is no"):
        requirements.ensure(payload.read(folder), "1.0", TARGET, tmp_path, lambda _: None)


def test_uv_is_asked_for_armv7_by_an_interpreter_that_says_so(tmp_path: Path) -> None:
    python = interpreter.write(tmp_path, "armv7l", (2, 36))
    question = "import json, platform; print(json.dumps({'markers': {'platform_machine': platform.machine()}, 'a': 1}))"
    answer = subprocess.run([python, "-I", "-c", question], check=True, capture_output=True, text=True).stdout
    assert json.loads(answer) == {
        "markers": {"platform_machine": "armv7l"},
        "a": 1,
        "os": {"name": "manylinux", "major": 2, "minor": 36},
        "arch": "armv7l",
        "pointer_size": "32",
    }
    others = [("print('plain')", 0, "plain\n"), ("print('[1]')", 0, "[1]\n"), ("print({}); exit(3)", 3, "{}\n")]
    for program, status, out in others:
        done = subprocess.run([python, "-c", program], check=False, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (status, out)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "Because piper-tts==1.3.0 has no wheels with a matching platform tag (e.g., `manylinux_2_36_armv7l`) and y",
            "no fitting wheel of piper-tts 1.3.0 for trixie/armhf (Python 3.13)",
        ),
        ("hint: Wheels are available for `numpy` (v2.2.0) on the following platforms", "of numpy 2.2.0 for"),
        ("hint: You require CPython 3.13 (`cp313`), but we only found wheels for `a-b` (v1) with", "of a-b 1 for"),
        ("Because there is no version of wcwidth==0.2.99 and you require it", "of wcwidth 0.2.99 for"),
        ("Because there is no version of vox[all]==2 and you require it", "of vox 2 for"),
        ("Wheels are required for `numpy` because building from source is disabled", "of numpy for"),
        ("something else", "no fitting wheel for trixie/armhf"),
    ],
)
def test_a_missing_wheel_is_named_with_its_target_and_the_ways_out(
    monkeypatch: pytest.MonkeyPatch, said: str, words: str
) -> None:
    def run(*_: object, doing: str, **__: object) -> str:
        raise ToolError(Kind.BUILD_FAILED, f"uv failed while {doing}", status=1, said=said)

    monkeypatch.setattr(wheels, "run", run)
    with pytest.raises(PkgbuildError) as caught:
        wheels.compile_lock(["x"], Target("trixie", "armhf"))
    assert caught.value.kind is Kind.NO_WHEEL
    assert words in str(caught.value)
    for way in ("Pin a version", "[[payload.overrides]] in release.toml", "leave the target out", said):
        assert way in str(caught.value)


def test_another_failure_of_the_resolver_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, doing: str, **__: object) -> str:
        raise ToolError(Kind.BUILD_FAILED, f"uv failed while {doing}", status=2, said="no network")

    monkeypatch.setattr(wheels, "run", run)
    with pytest.raises(ToolError):
        wheels.compile_lock(["x"], TARGET)


PINS = """\
# made elsewhere
numpy==2.2.0 ; python_version < "3.13" \\
    --hash=sha256:{a} \\
    --hash=sha256:{b}
    # via vox
Vox_Core==1.0 --hash=sha256:{c}
"""


def given(a: str = "a", b: str = "b", c: str = "c") -> str:
    return PINS.format(a=a * 64, b=b * 64, c=c * 64)


def test_a_lock_made_elsewhere_says_what_is_wanted() -> None:
    assert locks.wanted_by(given()) == ["Vox_Core==1.0", 'numpy==2.2.0 ; python_version < "3.13"']


def test_a_lock_made_elsewhere_holds_ours_to_its_wheels() -> None:
    made = locks.parse(f"vox-core==1.0 --hash=sha256:{'c' * 64} --hash=sha256:{'d' * 64}\n", "ours")
    text = locks.restricted(made, locks.parse(given(), "theirs"), "theirs", TARGET)
    assert text == f"vox-core==1.0 \\\n    --hash=sha256:{'c' * 64}\n"


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (
            "extra==1 --hash=sha256:" + "c" * 64,
            "theirs has no extra 1, which trixie/arm64 needs: lock it there as well",
        ),
        ("vox-core==1.1 --hash=sha256:" + "c" * 64, "theirs has no vox-core 1.1"),
        ("vox-core==1.0 --hash=sha256:" + "d" * 64, "none of the hashes of vox-core 1.0"),
    ],
)
def test_a_wheel_that_the_given_lock_has_not_is_refused(made: str, words: str) -> None:
    with pytest.raises(PkgbuildError, match=words) as caught:
        locks.restricted(locks.parse(made, "ours"), locks.parse(given(), "theirs"), "theirs", Target("trixie", "arm64"))
    assert caught.value.kind is Kind.BAD_INPUT


def with_lock(tmp_path: Path, text: str | None) -> payload.Payload:
    folder = plain_payload(tmp_path / "payload")
    toml = folder / "release.toml"
    toml.write_text(toml.read_text().replace('kind = "application"', 'kind = "application"\nlock = "theirs.txt"'))
    if text is not None:
        (folder / "theirs.txt").write_text(text)
    return payload.read(folder)


def test_ours_is_made_anew_when_a_given_lock_has_other_hashes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wheels, "compile_lock", lambda *_, **__: f"vox-core==1.0 --hash=sha256:{'c' * 64}\n")
    source, said = with_lock(tmp_path, given()), list[str]()
    for _ in range(2):
        found = requirements.ensure(source, "1.0", TARGET, tmp_path, said.append)
        assert found is not None
        assert found.lock.pins == (locks.Pin("vox-core", "1.0", (f"sha256:{'c' * 64}",)),)
    assert len(said) == 1
    (source.folder / "theirs.txt").write_text(given(a="e"))
    requirements.ensure(source, "1.0", TARGET, tmp_path, said.append)
    assert len(said) == 2


def test_a_lock_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PkgbuildError, match=r"names the lock theirs\.txt, but there is no"):
        requirements.ensure(with_lock(tmp_path, None), "1.0", TARGET, tmp_path, lambda _: None)


def test_an_override_is_for_its_targets_and_makes_the_lock_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def compile_lock(*_: object, overrides: object, **__: object) -> str:
        asked.append(overrides)
        return f"a==1 --hash=sha256:{'a' * 64}\n"

    monkeypatch.setattr(wheels, "compile_lock", compile_lock)
    source = application(tmp_path, "a\n")
    toml = source.folder / "release.toml"
    here = '[[payload.overrides]]\nrequirement = "b==2"\ntargets = ["trixie/arm64"]\n'
    override = here + '[[payload.overrides]]\nrequirement = "c==3"\n'
    for text in ("", override):
        toml.write_text(toml.read_text().replace("[service]", f"{text}[service]"))
        for target in (Target("trixie", "arm64"), Target("trixie", "amd64")):
            requirements.ensure(payload.read(source.folder), "1", target, tmp_path, lambda _: None)
    assert asked == [[], [], ["b==2", "c==3"], ["c==3"]]


def test_committed_locks_name_no_package_index_and_no_path() -> None:
    found = sorted((ROOT / "examples").glob("*/locks/*.txt"))
    assert len(found) >= 6
    for path in found:
        text = path.read_text()
        assert "://" not in text, path
        assert "/work" not in text, path
        assert "/opt" not in text, path


def test_tidying_removes_what_depends_on_this_machine(tmp_path: Path) -> None:
    info = tmp_path / "a-1.dist-info"
    info.mkdir()
    (tmp_path / "bin").mkdir()
    for name in ("bin/a", "a.py", ".lock", "a-1.dist-info/REQUESTED", "a-1.dist-info/direct_url.json"):
        (tmp_path / name).write_text("x")
    (info / "RECORD").write_text("bin/a,,\na.py,,\na-1.dist-info/REQUESTED,,\na-1.dist-info/RECORD,,\n")
    wheels.tidy(tmp_path)
    assert (info / "RECORD").read_text() == "a-1.dist-info/RECORD,,\na.py,,\n"
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"a.py", "a-1.dist-info/RECORD"}
