"""nginx's part: TLS and the repository's bytes, as ``repo_server/nginx/pi-ota.conf`` has it."""

from __future__ import annotations

from repo_server.install import places
from repo_server.install.machine import InstallError, Machine

_NAME = "updates.example.org"
_TEMPLATE = places.CHECKOUT / "repo_server" / "nginx" / "pi-ota.conf"


def text(host: str) -> str:
    """The site's settings for this name."""
    return _TEMPLATE.read_text(encoding="utf-8").replace(_NAME, host)


def make(machine: Machine, host: str) -> None:
    """The site, unless somebody has changed it, and nginx running with it. Raises ``InstallError``."""
    machine.manage(places.SITE, text(host))
    try:
        machine.run("nginx", "-t")
    except InstallError as error:
        raise InstallError(f"nginx cannot use its settings; mend {places.SITE} and run this again.\n{error}") from None
    machine.run("systemctl", "enable", "--quiet", "nginx")
    # New workers of it are in the groups that its user is in now.
    machine.run("systemctl", "reload-or-restart", "nginx")


def remove(machine: Machine) -> None:
    """The site; nginx goes on with its others."""
    machine.remove(places.SITE)
    machine.remove(places.SITE.with_name(places.SITE.name + ".new"))
    if machine.succeeds("systemctl", "--quiet", "is-active", "nginx"):
        machine.run("systemctl", "reload", "nginx")
