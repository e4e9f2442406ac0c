"""aptly where it is not simply beside the builder: behind nginx with a password, and publishing to an endpoint."""

from __future__ import annotations

import json
from pathlib import Path

from demo.ports import free_port
from tests.support.aptly import ROOT, BuilderStack, builder_stack
from tests.support.nginx import running_nginx

EXAMPLE = ROOT / "repo_server" / "nginx" / "pi-ota-aptly.conf"


def test_a_builder_elsewhere_gives_the_password_that_nginx_asks_for(
    stack: BuilderStack, payload: Path, tmp_path: Path
) -> None:
    tmp_path.chmod(0o755)
    port = free_port()
    (tmp_path / "htpasswd").write_text("builder:{PLAIN}secret\n")
    example = EXAMPLE.read_text()
    for before, after in {
        "/etc/nginx/pi-ota-aptly.htpasswd": str(tmp_path / "htpasswd"),
        "/var/lib/pi-ota-builder/aptly/api.sock": f"{stack.state}/aptly/api.sock",
    }.items():
        assert before in example
        example = example.replace(before, after)
    with running_nginx(tmp_path, f"server {{ listen 127.0.0.1:{port};\n{example}}}\n", port):
        stack.edit(f'url = "unix://{stack.state}/aptly/api.sock"', f'url = "http://127.0.0.1:{port}/aptly"')
        stack.edit('root = "aptly"\n', "")
        assert "correct aptly.username and the password" in stack.run("list").sentence
        stack.edit("[builder]\n", "XX\n[builder]\n")
        stack.edit("XX\n", 'username = "builder"\npassword_file = "aptly-password"\n')
        (stack.state / "aptly-password").write_text("wrong\n")
        refused = stack.release(payload, "1.0.0")
        assert refused.status == 5
        assert "refuses the builder (status 401" in refused.sentence
        (stack.state / "aptly-password").write_text("secret\n")
        assert stack.release(payload, "1.0.0").status == 0
    assert "tiny-assistant=1.0.0" in stack.packages("trixie", "amd64")


def test_aptly_publishes_to_the_endpoint_that_the_settings_name(payload: Path, tmp_path: Path) -> None:
    with builder_stack() as stack:
        stack.stop_aptly()
        conf = json.loads((stack.state / "aptly.conf").read_text())
        conf["FileSystemPublishEndpoints"] = {"mirror": {"rootDir": str(tmp_path / "mirror"), "linkMethod": "copy"}}
        (stack.state / "aptly.conf").write_text(json.dumps(conf))
        stack.edit('root = "aptly"\n', 'root = "aptly"\nendpoint = "filesystem:mirror"\n')
        stack.start_aptly()
        for version in ("1.0.0", "1.1.0"):
            done = stack.release(payload, version)
            assert done.status == 0, done.stderr
        assert (tmp_path / "mirror/trixie/dists/stable/InRelease").is_file()
        assert not (stack.public / "trixie").exists()
        assert "signed anew: trixie/stable" in stack.run("resign").stdout
        assert stack.run("withdraw", "tiny-assistant", "1.1.0").status == 0
        pool = {path.name for path in (tmp_path / "mirror/trixie/pool").rglob("*.deb")}
        assert pool == {"tiny-assistant_1.0.0_amd64.deb", "tiny-assistant-app-1.0.0_1.0.0_amd64.deb"}
