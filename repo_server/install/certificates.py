"""The certificate that nginx shows: of an authority of this server's own, or a public one by certbot."""

from __future__ import annotations

import ssl
import subprocess
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from repo_server.install import places
from repo_server.install.machine import InstallError, Machine

_CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
_AUTHORITY_DAYS = 3650
_DAYS = 825
"""No browser takes longer ones."""
AHEAD = timedelta(days=30)
"""A certificate of our own is made anew so long before it ends; certbot does the same."""


def own(machine: Machine, host: str, now: datetime) -> bool:
    """A certificate for ``host`` of an authority of its own, where there is none, or ours ends soon or is of another
    name; whether it was made.

    Anything else in its place, such as a link to certbot's, is somebody's choice and stays. The authority may sign for
    this one name only: whoever trusts it trusts it for nothing else.
    """
    certificate, authority = machine.path(places.CERTIFICATE), machine.path(places.AUTHORITY)
    if certificate.is_symlink() or (certificate.exists() and not machine.path(places.AUTHORITY_KEY).exists()):
        return False
    if not authority.exists() or not _signs_for(authority, host):
        _authority(machine, host)
    elif certificate.exists() and _is_good(certificate, authority, host, now):
        return False
    _certificate(machine, host)
    machine.tell("made", f"{places.CERTIFICATE} for {host}, good for {_DAYS} days")
    return True


def public(machine: Machine, host: str, email: str | None) -> None:
    """One by certbot, which renews it by itself. nginx has to answer on port 80 already. Raises ``InstallError``."""
    account = ("--email", email) if email else ("--register-unsafely-without-email",)
    live = Path("/etc/letsencrypt/live") / host
    words = ("--non-interactive", "--agree-tos", "--keep-until-expiring", "--webroot", "--webroot-path", places.ACME)
    try:
        machine.run(
            *("certbot", "certonly", *words, *account, "--cert-name", host, "--domain", host),
            *("--deploy-hook", "systemctl reload nginx"),
        )
    except InstallError as error:
        raise InstallError(
            f"{error}\nThere is no public certificate yet; all else is installed, with a certificate of its own. "
            f"{host} has to be this machine's address in the DNS, and port 80 has to be open to the world: "
            "then run the same command again."
        ) from None
    # What is installed by `prepare` is not started by that.
    machine.run("systemctl", "enable", "--quiet", "--now", "certbot.timer")
    for place, name in ((places.CERTIFICATE, "fullchain.pem"), (places.KEY, "privkey.pem")):
        real = machine.path(place)
        if not real.is_symlink() or real.readlink() != live / name:
            real.unlink(missing_ok=True)
            real.symlink_to(live / name)
            machine.tell("changed", f"{place} is {live / name}")


def fingerprint(machine: Machine) -> str | None:
    """The SHA-256 of the authority's file, as ``sha256sum`` prints it; None where the certificate is not of it."""
    certificate, authority = machine.path(places.CERTIFICATE), machine.path(places.AUTHORITY)
    if certificate.is_symlink() or not authority.exists():
        return None
    return machine.run("sha256sum", authority).split()[0]


def _authority(machine: Machine, host: str) -> None:
    machine.run(
        *("openssl", "req", "-x509", *_CURVE, "-days", str(_AUTHORITY_DAYS)),
        *("-subj", f"/CN=pi-ota authority of {host}"),
        *("-addext", f"nameConstraints=critical,permitted;DNS:{host}"),
        *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        *("-keyout", machine.path(places.AUTHORITY_KEY), "-out", machine.path(places.AUTHORITY)),
    )
    machine.path(places.AUTHORITY_KEY).chmod(0o600)
    machine.path(places.AUTHORITY).chmod(0o644)
    machine.tell("made", f"{places.AUTHORITY}, the authority that devices have to know")


def _certificate(machine: Machine, host: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        request, extensions, key = (Path(folder) / name for name in ("request", "extensions", "key"))
        extensions.write_text(
            f"subjectAltName=DNS:{host}\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
            "extendedKeyUsage=serverAuth\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
        )
        machine.run("openssl", "req", "-new", *_CURVE, "-subj", f"/CN={host}", "-keyout", key, "-out", request)
        signed = machine.run(
            *("openssl", "x509", "-req", "-in", request, "-days", str(_DAYS), "-extfile", extensions),
            *("-CA", machine.path(places.AUTHORITY), "-CAkey", machine.path(places.AUTHORITY_KEY)),
            *("-set_serial", f"0x{Path('/proc/sys/kernel/random/uuid').read_text().replace('-', '').strip()[1:]}"),
        )
        machine.write(places.KEY, key.read_text(), 0o600)
    machine.write(places.CERTIFICATE, signed, 0o644)


def _signs_for(authority: Path, host: str) -> bool:
    shown = _openssl("x509", "-in", authority, "-noout", "-ext", "nameConstraints")
    return f"DNS:{host}" in shown.split()


def _is_good(certificate: Path, authority: Path, host: str, now: datetime) -> bool:
    """Of our authority, for the name, and not at its end."""
    if "does match" not in _openssl("x509", "-in", certificate, "-noout", "-checkhost", host):
        return False
    if "OK" not in _openssl("verify", "-CAfile", authority, certificate):
        return False
    ends = _openssl("x509", "-in", certificate, "-noout", "-enddate").strip().partition("=")[2]
    return ssl.cert_time_to_seconds(ends) - now.timestamp() > AHEAD.total_seconds()


def _openssl(*words: str | Path) -> str:
    done = subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=False)
    return done.stdout
