"""aptly where it is not simply beside the builder: behind nginx with a password, and publishing to an endpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from demo.ports import free_port
from tests.support.aptly import ROOT, BuilderStack, builder_stack
from tests.support.nginx import running_nginx, self_signed, site

NGINX = ROOT / "repo_server" / "nginx"


def front(folder: Path, stack: BuilderStack, port: int) -> str:
    """Both of the shipped examples together, as docs/SERVER.md says: TLS, the server, and aptly beside it."""
    (folder / "htpasswd").write_text("builder:{PLAIN}secret\n")
    aptly = (NGINX / "pi-ota-aptly.conf").read_text()
    for before, after in {
        "/etc/nginx/pi-ota-aptly.htpasswd": str(folder / "htpasswd"),
        "/var/lib/pi-ota-builder/aptly/api.sock": f"{stack.state}/aptly/api.sock",
    }.items():
        assert before in aptly, before
        aptly = aptly.replace(before, after)
    return site(folder, self_signed(folder), port, more=aptly)


def test_a_builder_elsewhere_releases_through_tls_and_a_password(
    stack: BuilderStack, payload: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    port = free_port()
    trusted = {"REQUESTS_CA_BUNDLE": str(tmp_path / "certificate.pem")}
    make = ["make", "--no-print-directory", "-o", "setup", "release", f"VENV={Path(sys.executable).parents[1]}"]
    make += ["VERSION=1.0.0", "NOTES=First", "URGENCY=scheduled", f"SRC={payload}"]
    with running_nginx(tmp_path, front(tmp_path, stack, port), port):
        url = f'url = "https://localhost:{port}/aptly"\n'
        stack.edit(f'url = "unix://{stack.state}/aptly/api.sock"\nroot = "aptly"\n', url)
        assert "a certificate that this machine does not trust (self-signed certificate)" in stack.run("list").sentence
        assert "correct aptly.username and the password" in stack.run("list", env=trusted).sentence
        stack.edit(url, f'{url}username = "builder"\npassword_file = "aptly-password"\n')
        (stack.state / "aptly-password").write_text("wrong\n")
        refused = stack.run("list", env=trusted)
        assert refused.status == 5
        assert "refuses the builder (status 401" in refused.sentence
        (stack.state / "aptly-password").write_text("secret\n")
        environ = {**os.environ, **trusted, "PKGBUILD_CONFIG": str(stack.settings)}
        done = subprocess.run(make, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        stack.stop_aptly()
        gone = stack.run("list", env=trusted)
        assert gone.status == 5
        assert "answers, and aptly behind it does not (status 50" in gone.sentence
    assert "tiny-assistant=1.0.0" in stack.packages("trixie", "amd64")


def test_aptly_publishes_to_the_endpoint_that_the_settings_name(payload: Path, tmp_path: Path) -> None:
    with builder_stack() as stack:
        mirror = {"rootDir": str(tmp_path / "mirror"), "linkMethod": "copy"}
        stack.set_aptly({"FileSystemPublishEndpoints": {"mirror": mirror}})
        stack.publish_to("filesystem:mirror")
        for version in ("1.0.0", "1.1.0"):
            done = stack.release(payload, version)
            assert done.status == 0, done.stderr
        assert (tmp_path / "mirror/trixie/dists/stable/InRelease").is_file()
        assert not (stack.public / "trixie").exists()
        assert "signed anew: trixie/stable" in stack.run("resign").stdout
        assert stack.run("withdraw", "tiny-assistant", "1.1.0").status == 0
        pool = {path.name for path in (tmp_path / "mirror/trixie/pool").rglob("*.deb")}
        assert pool == {"tiny-assistant_1.0.0_amd64.deb", "tiny-assistant-app-1.0.0_1.0.0_amd64.deb"}
