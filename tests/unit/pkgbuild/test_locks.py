from __future__ import annotations

from pathlib import Path

import pytest

from pkgbuild import locks, payload, requirements, wheels
from pkgbuild.errors import Kind, PkgbuildError
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


def test_armv7_has_no_resolver_yet() -> None:
    with pytest.raises(PkgbuildError, match="uv knows no armhf platform") as caught:
        wheels.compile_lock(["a"], Target("trixie", "armhf"))
    assert caught.value.kind is Kind.NO_WHEEL


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
