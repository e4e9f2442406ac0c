"""Keys, signatures, what apt and dpkg say, and sources of activity that cannot be used."""

from __future__ import annotations

import io
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from pi_hook import verify
from pi_hook.activity import ActivityLog
from pi_hook.apt_errors import StepError
from pi_hook.ports import Problem, StepRequest
from pi_hook.sources import ButtonSource, EvdevSource
from tests.unit.bad_input.table import Cases, Place

keys = Cases()
repository = Cases()
sources = Cases()


def policy(place: Place) -> Path:
    folder = place.small.path / "etc/debsig/policies/0123456789ABCDEF"
    folder.mkdir(parents=True)
    (folder / "pi-ota.pol").write_text("<Policy/>")
    deb = place.folder / "sample-assistant_1.1.0_arm64.deb"
    deb.write_bytes(b"!<arch>\n")
    return deb


def judged(place: Place, status: int) -> str:
    deb = policy(place)
    place.programs.put("debsig-verify", f"exit {status}")
    place.programs.put("dpkg-deb", "echo sample-assistant")
    request = verify.Request("sample-assistant", strict=True, files=((None, deb),))
    refused = verify.check(request, place.small.root)
    assert len(refused) == 1
    return refused[0]


@keys("no builder key on the device")
def _(place: Place) -> str:
    deb = place.folder / "sample-assistant_1.1.0_arm64.deb"
    deb.write_bytes(b"")
    return verify.signature_problem(deb, place.small.root) or ""


@keys("a package without a builder signature")
def _(place: Place) -> str:
    return judged(place, 10)


@keys("a package signed by another builder key")
def _(place: Place) -> str:
    return judged(place, 11)


@keys("a package that was changed after it was signed")
def _(place: Place) -> str:
    return judged(place, 13)


@keys("debsig-verify that is not installed")
def _(place: Place) -> str:
    deb = policy(place)
    place.monkeypatch.setenv("PATH", str(place.folder))
    return verify.signature_problem(deb, place.small.root) or ""


@keys("words from apt that the hook does not understand")
def _(place: Place) -> str:
    place.monkeypatch.setattr(sys, "stdin", io.StringIO("VERSION 4\n"))
    assert verify.main() == 1, "apt stops"
    return place.capsys.readouterr().err


def fetched(words: str) -> StepError:
    """What a step makes of apt's words."""
    from pi_hook import fetching  # noqa: PLC0415  # python-apt

    return fetching._error(words, "the lists of our repository could not be fetched")


@repository("an archive key that the device does not know, or no keyring")
def _(_place: Place) -> str:
    words = "W:GPG error: http://x stable InRelease: NO_PUBKEY 0123\nE:The repository 'http://x stable' is not signed."
    error = fetched(words)
    assert error.problem is Problem.UNTRUSTED
    return str(error)


@repository("a list that was changed")
def _(_place: Place) -> str:
    error = fetched("E:Failed to fetch http://x/Packages.gz  Hash Sum mismatch")
    assert error.problem is Problem.UNTRUSTED
    return str(error)


@repository("lists older than a week, or not valid yet")
def _(_place: Place) -> str:
    error = fetched("E:Release file for http://x/InRelease is expired (invalid since 1d). Updates will not be applied.")
    assert error.problem is Problem.NOT_PUBLISHED, "tomorrow's may be good"
    return str(error)


@repository("credentials that the repository does not take")
def _(_place: Place) -> str:
    error = fetched("E:Failed to fetch http://x/InRelease  401  Unauthorized")
    assert error.problem is Problem.REFUSED
    return str(error)


@repository("a changed Origin or Label")
def _(_place: Place) -> str:
    error = fetched("E:Repository 'http://x stable InRelease' changed its 'Origin' value from 'pi-ota' to 'other'")
    assert error.problem is Problem.UNTRUSTED
    return str(error)


def offered(signed: list[tuple[str, str]]) -> StepError:
    from pi_hook.steps import check_offer  # noqa: PLC0415  # python-apt

    with pytest.raises(StepError) as caught:
        check_offer(StepRequest("sample-assistant", "1.1.0", "urgent"), signed, "1.0.0")
    return caught.value


@repository("an offered version that is not in the signed lists")
def _(_place: Place) -> str:
    error = offered([("1.0.0", "scheduled")])
    assert error.problem is Problem.NOT_PUBLISHED
    return str(error)


@repository("an offered urgency that is not the signed one")
def _(_place: Place) -> str:
    error = offered([("1.1.0", "scheduled")])
    assert error.problem is Problem.URGENCY_MISMATCH
    return str(error)


@sources("an input device that is not there")
def _(place: Place) -> str:
    source = EvdevSource(str(place.folder / "event9"))
    assert ActivityLog(lambda: 100.0, [source]).idle() is None, "unknown: an urgent release has the window only"
    return source.problem or ""


@sources("an input device that is unplugged")
def _(place: Place) -> str:
    path = place.folder / "event0"
    path.write_bytes(b"")
    source = EvdevSource(str(path))
    assert ActivityLog(lambda: 100.0, [source]).idle() is None
    return source.problem or ""


@sources("a pin that another program holds")
def _(_place: Place) -> str:
    devices = pytest.importorskip("gpiozero")
    mock = pytest.importorskip("gpiozero.pins.mock")
    before, devices.Device.pin_factory = devices.Device.pin_factory, mock.MockFactory()
    try:
        holder, source = ButtonSource(17, "up", 0), ButtonSource(17, "up", 0)
        holder.open(lambda: None)
        other = ButtonSource(27, "up", 0)
        log = ActivityLog(lambda: 100.0, [source, other])
        assert log.idle() == timedelta(seconds=100), "the others go on"
        log.close()
        holder.close()
    finally:
        devices.Device.pin_factory.reset()
        devices.Device.pin_factory = before
    return source.problem or ""
