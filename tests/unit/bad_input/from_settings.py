"""Settings files, the file on the SD card, and time zones that cannot be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from pi_hook import assemble, cli, config, enroll
from pi_hook.errors import EXIT_SETTINGS, SettingsError
from pi_hook.zone import device_zone
from tests.unit.bad_input.table import Cases, Place

MINIMAL = '[server]\nurl = "https://updates.example.org"\n[assistant]\nname = "sample-assistant"\n'
files = Cases()
card = Cases()
zones = Cases()


def refused(place: Place, *texts: str | bytes, whole: bool = True) -> str:
    """What the daemon says and ends with, given these settings files; nothing of it has begun then."""
    paths = []
    for number, text in enumerate([*([MINIMAL] if whole else []), *texts]):
        path = place.folder / f"{number}.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        paths.append(path)

    def load() -> config.Settings:
        return config.validate(config.merge(config.read_fragment(path) for path in paths))

    place.monkeypatch.setattr(assemble, "consume_boot_file", lambda: False)
    place.monkeypatch.setattr(assemble, "load", load)
    assert cli.main(["daemon"]) == EXIT_SETTINGS, "systemd must not start it again and again"
    return place.capsys.readouterr().err


@files("a file that is not TOML")
def _(place: Place) -> str:
    return refused(place, "[window")


@files("a file that is not UTF-8")
def _(place: Place) -> str:
    return refused(place, b"[window]\n# \xff\n")


@files("no settings file at all")
def _(place: Place) -> str:
    with pytest.raises(SettingsError) as caught:
        config.load(place.folder / "pi-hook.toml", place.folder / "pi-hook.d")
    return str(caught.value)


@files("a setting outside of a table")
def _(place: Place) -> str:
    return refused(place, 'url = "https://updates.example.org"')


@files("a setting that does not exist")
def _(place: Place) -> str:
    return refused(place, "[health]\nsoak_minutes = 1")


@files("a table that does not exist")
def _(place: Place) -> str:
    return refused(place, '[windw]\nstart = "02:00"')


@files("`server.url` or `assistant.name` missing")
def _(place: Place) -> str:
    refused(place, '[server]\nurl = "https://updates.example.org"', whole=False)
    return refused(place, "", whole=False)


@files("plain `http://` to a host that is not named")
def _(place: Place) -> str:
    return refused(place, '[server]\nurl = "http://updates.example.org"')


@files("a bad value in a later file of `pi-hook.d`")
def _(place: Place) -> str:
    said = refused(place, '[window]\nstart = "01:00"', '[window]\nend = "4 AM"')
    assert str(place.folder / "2.toml") in said
    return said


@files("a secret that cannot be used")
def _(place: Place) -> str:
    said = refused(place, '[enrollment]\ntoken = "s3cret with blanks"')
    assert "s3cret" not in said
    return said


@files("`explain --config` with a file that cannot be used")
def _(place: Place) -> str:
    path = place.folder / "rules.toml"
    path.write_text("[window]\nquiet_seconds = -1\n")
    assert cli.main(["explain", "--config", str(path)]) == EXIT_SETTINGS
    return place.capsys.readouterr().err


@card("a file that is not TOML, or names a setting that does not exist")
def _(place: Place) -> str:
    boot, folder = place.folder / "boot" / "pi-hook.toml", place.folder / "pi-hook.d"
    boot.parent.mkdir()
    for text in ("[enrollment\n", "[enrolment]\ntoken = 't'\n"):
        boot.write_text(text)
        with pytest.raises(SettingsError) as caught:
            enroll.consume_boot_file(boot, folder)
        assert boot.read_text() == text, "it stays where its writer finds it"
        assert not folder.exists()
    return str(caught.value)


@card("a used enrollment token in a form that is not understood")
def _(place: Place) -> str:
    file = place.folder / "pi-hook.toml"
    file.write_text("enrollment.token = 'x'\n")
    enroll.forget_enrollment_token(file, Path("/nonexistent"))
    assert file.read_text() == "enrollment.token = 'x'\n"
    return place.caplog.text


@zones("an operator's zone that this system does not know")
def _(_place: Place) -> str:
    zone = device_zone("Europe/Berlin", {}, servers="Mars/Olympus")
    assert zone.name == "Europe/Berlin"
    return zone.problem or ""


@zones("`DEVICE_TIMEZONE` that this system does not know")
def _(place: Place) -> str:
    (place.folder / "timezone").write_text("Asia/Tokyo\n")
    zone = device_zone(
        None, {"DEVICE_TIMEZONE": "../../etc/passwd"}, place.folder / "localtime", place.folder / "timezone"
    )
    assert zone.name == "Asia/Tokyo"
    return zone.problem or ""


@zones("a system's zone without a name")
def _(place: Place) -> str:
    (place.folder / "localtime").write_bytes(b"TZif2")
    zone = device_zone(None, {}, place.folder / "localtime", place.folder / "timezone")
    assert zone.name == "Etc/UTC"
    return zone.problem or ""
