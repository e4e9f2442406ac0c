"""A real nginx for tests, on a folder of its own."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demo.ports import free_port

_SHIPPED = Path(__file__).resolve().parents[2] / "repo_server" / "nginx"


def self_signed(folder: Path, *names: str) -> tuple[Path, Path]:
    """A certificate for localhost (and further names) and its key, new in ``folder``."""
    subject = "subjectAltName=" + ",".join(f"DNS:{name}" for name in ("localhost", *names))
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", subject, "-keyout", str(key),
         "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    return certificate, key


def site(
    folder: Path,
    pair: tuple[Path, Path],
    tls: int,
    *,
    server: int = 8000,
    plain: int | None = None,
    public: Path = Path("/var/lib/pi-ota-builder/aptly/public"),
    more: str = "",
) -> str:
    """The shipped site with ports on loopback and paths of a test in the place of an installed server's.

    ``pair`` is certificate and key, ``tls``, ``plain`` and ``server`` are ports, ``more`` is added as a file of
    ``/etc/nginx/pi-ota.d`` would be.
    """
    text = (_SHIPPED / "pi-ota.conf").read_text(encoding="utf-8")
    for before, after in {
        "127.0.0.1:8000": f"127.0.0.1:{server}",
        "listen 80;": f"listen 127.0.0.1:{plain or free_port()};",
        "    listen [::]:80;\n": "",
        "listen 443 ssl": f"listen 127.0.0.1:{tls} ssl",
        "    listen [::]:443 ssl;\n": "",
        "/etc/pi-ota/tls/server.pem": str(pair[0]),
        "/etc/pi-ota/tls/server.key": str(pair[1]),
        "/etc/pi-ota/tls/ca.crt": str(pair[0]),
        "/var/lib/pi-ota-acme": str(folder / "acme"),
        "    include /etc/nginx/pi-ota.d/*.conf;\n": more,
        "/var/lib/pi-ota-builder/aptly/public/": f"{public}/",
    }.items():
        assert before in text, before
        text = text.replace(before, after)
    return text


@contextmanager
def running_nginx(folder: Path, configuration: str, port: int) -> Iterator[None]:
    """nginx with this inside its ``http`` block, once it listens on ``port``; a warning of its own is a failure."""
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"    {name}_temp_path {folder}/nginx-{name};\n" for name in names)
    # As root nginx's workers would be another user's, who may not read a test's folders.
    user = "user root;\n" if Path(folder).owner() == "root" else ""
    main = folder / "nginx.conf"
    main.write_text(
        f"{user}daemon off;\nmaster_process off;\nerror_log {folder}/error.log warn;\npid {folder}/nginx.pid;\n"
        f"events {{}}\nhttp {{\n    access_log off;\n{paths}{configuration}}}\n"
    )
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    checked = subprocess.run([nginx, "-t", "-c", str(main)], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr, checked.stderr
    process = subprocess.Popen([nginx, "-c", str(main)])
    try:
        while not _listens(port):
            assert process.poll() is None, (folder / "error.log").read_text()
        yield
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(timeout=30)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return False
    return True
