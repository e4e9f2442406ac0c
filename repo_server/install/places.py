"""Where everything of an installed server lies, and whose it is."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
HOME = Path("/opt/pi-ota")
"""The checkout of an installed server."""

SERVER, BUILDER = "pi-ota-server", "pi-ota-builder"
"""Users, each with a group of the same name."""
WEB = "www-data"
"""nginx's own user on Debian."""

SETTINGS = Path("/etc/pi-ota/repo-server.toml")
TLS = Path("/etc/pi-ota/tls")
CERTIFICATE, KEY = TLS / "server.pem", TLS / "server.key"
AUTHORITY, AUTHORITY_KEY = TLS / "ca.crt", TLS / "ca.key"
SITE = Path("/etc/nginx/conf.d/pi-ota.conf")
MORE_SITE = Path("/etc/nginx/pi-ota.d")
PASSWORDS = Path("/etc/nginx/pi-ota-aptly.htpasswd")
"""Of builders on other machines."""
UNITS = Path("/etc/systemd/system")
MORE_APTLY = UNITS / "pi-ota-aptly.service.d"
COMMANDS = Path("/usr/local/bin")

SERVER_STATE = Path("/var/lib/pi-ota-server")
BUILDER_STATE = Path("/var/lib/pi-ota-builder")
BUILDER_KEY = BUILDER_STATE / "builder-api-key"
ACME = Path("/var/lib/pi-ota-acme")
"""Where certbot puts what a certificate authority asks for."""
BACKUPS = Path("/var/backups/pi-ota")
