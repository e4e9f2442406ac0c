"""What an installed server has around it (docs/SERVER.md): units, nginx with its certificate, a clock that is kept.

A server that was started by hand has none of it, and nothing is said of it then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from repo_server import times
from repo_server.config import Settings
from repo_server.findings import Finding, Level
from repo_server.install import places, services

AGAIN = f"sudo make -C {places.HOME} install-server"
"""Puts everything where it belongs, and leaves what is there."""
_EXPIRES_SOON = timedelta(days=21)
_OK_STATUS = 200
_RENEWAL = "certbot.timer"


@dataclass(frozen=True, slots=True)
class Unit:
    """What systemd says of a unit."""

    loaded: bool
    active: bool
    enabled: bool
    failed: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answers at its own address, and when the certificate ends that was shown."""

    status: int
    ends: datetime


class CertificateError(Exception):
    """The certificate does not convince; why, in OpenSSL's words."""


class Around(Protocol):
    """The machine that the server runs on, as far as it is looked at."""

    def units(self, names: Sequence[str]) -> Mapping[str, Unit] | None:
        """Those that systemd knows; None where there is no systemd or it does not answer."""

    def time_is_kept(self) -> tuple[bool, bool]:
        """Whether the clock is synchronised, and whether there is a service that could do it."""

    def ask(self, name: str) -> Answer:
        """What ``https://NAME/healthz`` answers on this machine. Raises ``CertificateError``, ``OSError``."""

    def stopped_at(self, user: str, folder: Path) -> Path | None:
        """The first folder on the way into ``folder`` that the user may not pass, or ``folder`` itself if it may not
        read it; None where it may.
        """

    def is_link_to_certbots(self) -> bool:
        """Whether certbot renews the certificate."""

    def is_in_group(self, user: str, group: str) -> bool:
        """Whether the user is in the group."""


def examine(settings: Settings, around: Around, now: datetime) -> Iterator[Finding]:
    """Every finding; none where no server was installed here."""
    known = around.units([*(path.name for path in services.sources()), "nginx.service", _RENEWAL])
    if known is None or not known[services.SERVER].loaded:
        return
    yield from _units(known, (_RENEWAL,) if around.is_link_to_certbots() else ())
    yield _time(around)
    yield from _socket(settings, known)
    yield from _readers(settings, around)
    yield from _front(settings, around, now)


def _units(known: Mapping[str, Unit], more: Sequence[str]) -> Iterator[Finding]:
    wrong, at_boot = False, (*services.enabled(), "nginx.service", *more)
    for name in at_boot:
        unit, short = known[name], name.removesuffix(".service")
        level = Level.WARN if name.endswith(".timer") else Level.FAIL
        found = None
        if not unit.loaded:
            found = Finding(f"unit {short}", level, "it is not there", AGAIN)
        elif not unit.active:
            words = "it has failed; `sudo journalctl -u {short}` says why" if unit.failed else "it does not run"
            found = Finding(f"unit {short}", level, words.format(short=short), f"sudo systemctl enable --now {short}")
        elif not unit.enabled:
            words = "it runs, and would not after a restart of the machine"
            found = Finding(f"unit {short}", Level.WARN, words, f"sudo systemctl enable {short}")
        if found is not None:
            wrong = True
            yield found
    for name in known:
        if name.endswith(".service") and name not in at_boot and known[name].failed:
            wrong, short = True, name.removesuffix(".service")
            words = f"it failed the last time; `sudo journalctl -u {short}` says why"
            yield Finding(f"unit {short}", Level.WARN, words, f"sudo systemctl start {short}")
    if not wrong:
        yield Finding("units", Level.OK, "all run, and will after a restart of the machine")


def _time(around: Around) -> Finding:
    kept, can_be = around.time_is_kept()
    if kept:
        return Finding("time", Level.OK, "the clock is synchronised")
    mend = "sudo timedatectl set-ntp true" if can_be else "sudo apt-get install --yes systemd-timesyncd"
    return Finding("time", Level.WARN, "the clock is not synchronised: certificates and grants go by it", mend)


def _socket(settings: Settings, known: Mapping[str, Unit]) -> Iterator[Finding]:
    """Aptly runs, and its socket was taken away under it."""
    folder = settings.repository.parent
    if known[services.APTLY].active and folder == places.BUILDER_STATE / "aptly":
        try:
            there = (folder / "api.sock").is_socket()
        except OSError:
            return  # said by _readers
        if not there:
            words = f"aptly runs, but there is no socket {folder}/api.sock: nothing can be released"
            yield Finding("aptly", Level.FAIL, words, "sudo systemctl restart pi-ota-aptly")


def _readers(settings: Settings, around: Around) -> Iterator[Finding]:
    folder, check, wrong = settings.repository, "readers", False
    for user in (places.SERVER, places.WEB):
        stopped = around.stopped_at(user, folder)
        if stopped is None:
            continue
        wrong = True
        restart = "sudo systemctl restart pi-ota-server" if user == places.SERVER else "sudo systemctl reload nginx"
        mend = f"sudo chgrp {places.BUILDER} {stopped}; sudo chmod g+rx {stopped}"
        if not around.is_in_group(user, places.BUILDER):
            mend = f"sudo usermod --append --groups {places.BUILDER} {user}; {restart}"
        words = f"{user} may not read {folder}: {stopped} stops it, so devices can download nothing"
        yield Finding(check, Level.FAIL, words, mend)
    if not wrong:
        yield Finding(check, Level.OK, f"{places.SERVER} and {places.WEB} may read what is published")


def _front(settings: Settings, around: Around, now: datetime) -> Iterator[Finding]:
    check = "tls"
    if settings.url is None:
        mend = f"echo 'url = \"https://NAME\"' | sudo tee --append {places.SETTINGS}, with this server's own name"
        yield Finding(check, Level.WARN, "the settings do not say under which name devices come (`url`)", mend)
        return
    host = settings.url.removeprefix("https://")
    renew = "sudo certbot renew; sudo systemctl reload nginx" if around.is_link_to_certbots() else AGAIN
    try:
        answer = around.ask(host)
    except CertificateError as error:
        yield Finding(check, Level.FAIL, f"the certificate that nginx shows for {host} does not hold: {error}", renew)
        return
    except OSError as error:
        words = f"nobody speaks TLS on port 443 of this machine: {error}"
        yield Finding(check, Level.FAIL, words, f"{AGAIN}; sudo systemctl restart nginx")
        return
    if answer.status != _OK_STATUS:
        words = f"{settings.url}/healthz answers {answer.status}: nginx does not pass on what comes, or to nobody"
        yield Finding("nginx", Level.FAIL, words, f"sudo systemctl restart pi-ota-server; {AGAIN}")
    else:
        yield Finding("nginx", Level.OK, f"it passes on what comes for {settings.url}")
    until = f"the certificate for {host} is good until {times.render(answer.ends)}"
    if answer.ends - now < _EXPIRES_SOON:
        yield Finding(check, Level.WARN, f"{until}, for {(answer.ends - now).days} more days", renew)
    else:
        yield Finding(check, Level.OK, until)
