"""Puts the real daemon together: settings, server, the hands, activity sources."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pi_hook import __version__
from pi_hook.apt_source import AptSourceFiles
from pi_hook.client import HttpServer
from pi_hook.clock import SystemClock, boot_id
from pi_hook.conditions import SystemConditions
from pi_hook.config import load
from pi_hook.daemon import Daemon, Parts
from pi_hook.dpkg import Dpkg
from pi_hook.enroll import consume_boot_file, forget_enrollment_token
from pi_hook.hostinfo import read_host
from pi_hook.ports import Hands
from pi_hook.reboot import SystemMachine
from pi_hook.releases import AssistantReleases
from pi_hook.service import AssistantService
from pi_hook.sources import configured
from pi_hook.units import SystemdSteps
from pi_hook.zone import device_zone

if TYPE_CHECKING:
    from pi_hook.config import Settings


def real_hands(assistant: str) -> Hands:
    """What touches apt, dpkg, systemd and the release directories of this machine."""
    return Hands(
        steps=SystemdSteps(),
        packages=Dpkg(assistant),
        releases=AssistantReleases(assistant),
        service=AssistantService(assistant),
        conditions=SystemConditions(),
        apt_source=AptSourceFiles(),
        machine=SystemMachine(),
    )


def real_daemon() -> Daemon:
    """The daemon of this machine. Raises ``SettingsError``, ``IdentityError``, ``OSError``."""
    consume_boot_file()
    settings = load()
    return Daemon(
        Parts(
            settings=settings,
            hands=real_hands(settings.assistant),
            server=real_server(settings),
            clock=SystemClock(),
            host=read_host(),
            zone=lambda servers: device_zone(settings.timezone, servers=servers),
            boot_id=boot_id(),
            sources=tuple(configured(settings.activity)),
            enrolled=forget_enrollment_token,
        )
    )


def real_server(settings: Settings) -> HttpServer:
    """The server that the settings name."""
    return HttpServer(
        settings.server_url, settings.plain_http_hosts, agent_version=__version__, proxy=settings.network.proxy
    )
