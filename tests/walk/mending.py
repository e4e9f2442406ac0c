"""What is broken on an installed server, to see whether `repo-server doctor` finds it and what it says mends it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Breakage:
    """What is done, and which check has to find it."""

    check: str
    command: str


_ID = "repo-server api-key list | grep 'first admin' | cut -d' ' -f1"
_OTHER = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 10 -subj /CN=other.example.org"

BREAKAGES = (
    Breakage("unit pi-ota-server", "sudo systemctl disable --quiet pi-ota-server"),
    Breakage("unit pi-ota-aptly", "sudo systemctl disable --quiet --now pi-ota-aptly"),
    Breakage("aptly", "sudo rm /var/lib/pi-ota-builder/aptly/api.sock"),
    Breakage("unit nginx", "sudo systemctl stop nginx"),
    Breakage("unit pi-ota-resign.timer", "sudo systemctl disable --quiet --now pi-ota-resign.timer"),
    Breakage(
        "unit pi-ota-backup.timer", "sudo rm /etc/systemd/system/pi-ota-backup.timer; sudo systemctl daemon-reload"
    ),
    Breakage("backup", "sudo sh -c 'rm /var/backups/pi-ota/*.db'"),
    Breakage("state folder", "sudo chmod 755 /var/lib/pi-ota-server"),
    Breakage("admin key", f'repo-server api-key revoke "$({_ID})"'),
    Breakage("readers", "sudo gpasswd --delete www-data pi-ota-builder"),
    Breakage("readers", "sudo chmod 700 /var/lib/pi-ota-builder/aptly/public"),
    Breakage(
        "tls",
        f"sudo {_OTHER} -keyout /etc/pi-ota/tls/server.key -out /etc/pi-ota/tls/server.pem"
        " && sudo systemctl restart nginx",
    ),
)
