"""``pi-hook enroll``: each way in which it can end, with what to do next."""

from __future__ import annotations

from pathlib import Path

import pytest

from pi_hook import assemble, cli, enroll
from pi_hook.config import Settings
from pi_hook.errors import RefusedError, ServerError
from pi_hook.identity import load_or_create
from pi_hook.state import Ledger
from pi_hook.wire import Registered, Registration

SETTINGS = Settings("https://updates.example.org", "sample-assistant", enrollment_token="enroll-me")


class Answering:
    """A server that answers a registration with this."""

    def __init__(self, answer: Registered | ServerError) -> None:
        self.answer = answer
        self.asked: list[Registration] = []

    def register(self, _token: str, registration: Registration) -> Registered:
        self.asked.append(registration)
        if isinstance(self.answer, ServerError):
            raise self.answer
        return self.answer


@pytest.fixture(autouse=True)
def no_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enroll, "consume_boot_file", lambda: False)
    monkeypatch.setattr(enroll, "load", lambda: SETTINGS)


def enrolled(monkeypatch: pytest.MonkeyPatch, folder: Path, answer: Registered | ServerError) -> tuple[int, Answering]:
    server = Answering(answer)
    monkeypatch.setattr(assemble, "real_server", lambda _settings: server)
    return cli.main(["--state", str(folder), "enroll"]), server


@pytest.mark.parametrize(("state", "more"), [("active", ""), ("pending", "an operator has to approve it")])
def test_it_says_as_what_it_is_registered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], state: str, more: str
) -> None:
    status, server = enrolled(monkeypatch, tmp_path, Registered("id", "stable", state))
    said = capsys.readouterr().out
    assert status == 0
    assert f"registered as id ({state}) on channel stable" in said
    assert more in said
    assert server.asked[0].id == load_or_create(tmp_path / "identity.json").device_id


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RefusedError("unknown token", status=401), "`repo-server enroll-token create`"),
        (RefusedError("forbidden", status=403), "`repo-server enroll-token create`"),
        (RefusedError("not found", status=404), "does not lead to a pi-ota server"),
        (RefusedError("registered with another token", status=409), "rm /var/lib/pi-hook/identity.json"),
        (RefusedError("gone", status=410), "gives it a new id"),
        (RefusedError("hostname: too long", status=422), "hostname: too long; the server does not accept"),
        (RefusedError("teapot", status=418), "teapot"),
        (ServerError("updates.example.org:443 cannot be asked: refused"), "check server.url and the network"),
    ],
)
def test_each_refusal_says_what_to_do(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: ServerError,
    words: str,
) -> None:
    status, _ = enrolled(monkeypatch, tmp_path, error)
    assert status == 1
    assert words in capsys.readouterr().err


def test_without_a_token_it_says_where_one_belongs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(enroll, "load", lambda: Settings("https://updates.example.org", "sample-assistant"))
    status, server = enrolled(monkeypatch, tmp_path, Registered("id", "stable", "active"))
    assert (status, server.asked) == (1, [])
    assert "put one under [enrollment]" in capsys.readouterr().err


def test_a_device_that_is_registered_needs_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(enroll, "load", lambda: Settings("https://updates.example.org", "sample-assistant"))
    ledger = Ledger(tmp_path)
    ledger.remember(registered=True)
    assert enrolled(monkeypatch, tmp_path, ServerError("not asked"))[0] == 0
    assert "registered already as" in capsys.readouterr().out
    ledger.remember(stopped="gone: retired")
    assert enrolled(monkeypatch, tmp_path, ServerError("not asked"))[0] == 1
    assert "refused: gone: retired" in capsys.readouterr().err


def test_without_root_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def forbidden(_path: Path) -> None:
        raise PermissionError(13, "Permission denied", "/var/lib/pi-hook/identity.json")

    monkeypatch.setattr("pi_hook.identity.load_or_create", forbidden)
    assert enrolled(monkeypatch, tmp_path, ServerError("not asked"))[0] == 1
    assert (
        "/var/lib/pi-hook/identity.json: Permission denied; enrolling is for root: use sudo" in capsys.readouterr().err
    )
