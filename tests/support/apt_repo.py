"""A small signed repository of sample releases, and a server that gives it to one device only.

The packages have the form of INTERFACES.md; the real builder is not needed to prove the agent's hands.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pi_hook.names import mapped

if TYPE_CHECKING:
    from types import TracebackType

NAME = "sample-assistant"
DEVICE_ID = "0195d3c0-0000-7000-8000-000000000001"
TOKEN = "device-token-of-the-tests"
_POLICY = """<?xml version="1.0"?>
<!DOCTYPE Policy SYSTEM "https://www.debian.org/debsig/1.0/policy.dtd">
<Policy xmlns="https://www.debian.org/debsig/1.0/">
  <Origin Name="pi-ota" id="{id}" Description="builder"/>
  <Selection><Required Type="origin" File="debsig.gpg" id="{id}"/></Selection>
  <Verification MinOptional="0"><Required Type="origin" File="debsig.gpg" id="{id}"/></Verification>
</Policy>
"""


@dataclass
class Keys:
    """Throwaway keys in a GNUPGHOME of their own: the builder's and the archive's, and one that no device trusts."""

    home: Path
    builder: str = ""
    archive: str = ""
    stranger: str = ""

    def __post_init__(self) -> None:
        self.home.mkdir(mode=0o700, parents=True)
        self.builder, self.archive = self._make("builder@example.org"), self._make("archive@example.org")
        self.stranger = self._make("stranger@example.org")

    def _make(self, user: str) -> str:
        self._gpg("--quick-generate-key", user, "ed25519", "sign", "never")
        listed = self._gpg("--list-keys", "--with-colons", user).decode()
        return next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))

    def _gpg(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        command = ["gpg", "--homedir", str(self.home), "--batch", "--quiet", "--passphrase", "", *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout

    def export(self, key: str) -> bytes:
        return self._gpg("--export", key)

    def clear_sign(self, key: str, content: bytes) -> bytes:
        return self._gpg("--local-user", key, "--clear-sign", stdin=content)

    def sign_deb(self, deb: Path, key: str | None = None) -> None:
        environment = {"GNUPGHOME": str(self.home), "PATH": "/usr/bin:/bin"}
        command = ["debsigs", "--sign=origin", "-k", key or self.builder, str(deb)]
        subprocess.run(command, env=environment, check=True, capture_output=True)

    def trust(self, root: Path) -> None:
        """What the package pi-ota-keyring brings."""
        key_id = self.builder[-16:]
        files = {
            "usr/share/keyrings/pi-ota-archive-keyring.gpg": self.export(self.archive),
            f"usr/share/debsig/keyrings/{key_id}/debsig.gpg": self.export(self.builder),
            f"etc/debsig/policies/{key_id}/pi-ota.pol": _POLICY.format(id=key_id).encode(),
        }
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)

    def close(self) -> None:
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=False, capture_output=True)


def build_deb(
    folder: Path,
    package: str,
    version: str,
    files: dict[str, str],
    *,
    control: str = "",
    scripts: dict[str, str] | None = None,
) -> Path:
    """A .deb of some text files; those that begin with ``#!`` are executable, ``-> TARGET`` makes a link."""
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / "DEBIAN").mkdir(parents=True)
    fields = f"Package: {package}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Nobody <nobody@example.org>\n"
    (tree / "DEBIAN/control").write_text(f"{fields}{control}Description: a sample\n")
    for name, script in (scripts or {}).items():
        (tree / "DEBIAN" / name).write_text(script)
        (tree / "DEBIAN" / name).chmod(0o755)
    for path, content in files.items():
        target = tree / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        if content.startswith("-> "):
            target.symlink_to(content[3:])
            continue
        target.write_text(content)
        target.chmod(0o755 if content.startswith("#!") else 0o644)
    deb = folder / f"{package}_{version}_amd64.deb"
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "-b", str(tree), str(deb)], check=True, capture_output=True
    )
    shutil.rmtree(tree)
    return deb


@dataclass
class Repo:
    """One prefix (``/repo/SUITE``) with one channel; ``publish`` signs what is there.

    With other words in its Release file it stands for an archive of Debian.
    """

    folder: Path
    keys: Keys
    suite: str
    debs: list[Path] = field(default_factory=list)
    origin: str = "pi-ota"
    label: str = "pi-ota"
    channel: str = "stable"

    def copy(self, folder: Path) -> Repo:
        """The same repository once more, to be changed."""
        shutil.copytree(self.folder, folder)
        debs = [folder / deb.relative_to(self.folder) for deb in self.debs]
        return Repo(folder, self.keys, self.suite, debs, self.origin)

    @property
    def base(self) -> Path:
        return self.folder / "repo" / self.suite

    def add(self, deb: Path, *, sign: bool = True) -> Path:
        """Take a .deb into the pool."""
        if sign:
            self.keys.sign_deb(deb)
        target = self.base / "pool" / deb.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(deb, target)
        self.debs.append(target)
        return target

    def release(
        self,
        version: str,
        urgency: str = "scheduled",
        deps: str = "0123456789ab",
        depends: str = "",
        *,
        sign: bool = True,
        postinst: str = "",
        size: int = 0,
        fields: str = "",
        conffile: str | None = None,
    ) -> None:
        """Build one release: NAME (with ``/etc/NAME.conf`` where given), its app layer, a deps layer that is new."""
        work = self.folder / "work"
        work.mkdir(parents=True, exist_ok=True)
        deps_package, app_package = f"{NAME}-deps-{deps}", f"{NAME}-app-{mapped(version)}"
        if not any(deb.name.startswith(f"{deps_package}_") for deb in self.debs):
            wheel = {f"/usr/lib/{NAME}/deps/{deps}/wheel.py": "x = 1\n" + "#" * size}
            self.add(build_deb(work, deps_package, "1", wheel), sign=sign)
        target = f"/usr/lib/{NAME}/releases/{version}"
        record = {
            "schema": 1, "name": NAME, "version": version, "urgency": urgency, "notes": "", "deps": deps,
            "environment": {}, "health": None, "oldest_rollback": None,
            "hooks": {"before_activation": None, "after_rollback": None, "timeout_seconds": 60},
        }  # fmt: skip
        files = {
            f"{target}/run": f"#!/bin/sh\nexport PI_OTA_RELEASE={version}\nexec sleep 1000\n",
            f"{target}/release.json": json.dumps(record),
            f"{target}/deps": f"-> ../../deps/{deps}",
        }
        self.add(build_deb(work, app_package, version, files, control=f"Depends: {deps_package}\n"), sign=sign)
        control = f"Depends: {app_package} (= {version}), {deps_package}{', ' + depends if depends else ''}\n"
        control += f"Update-Urgency: {urgency}\nUpdate-Notes: one line\nUpgrade-Requires: app-restart\n{fields}"
        link = f"/var/lib/{NAME}/current"
        link_it = f"mkdir -p /var/lib/{NAME}; ln -sfn {target} {link}"
        first = f"#!/bin/sh\nset -e\n{postinst}\n[ -e {link} ] || {{ {link_it}; }}\n"
        unit = {f"/usr/lib/systemd/system/{NAME}.service": f"[Service]\nExecStart={link}/run\n"}
        scripts = {"postinst": first}
        if conffile is not None:
            unit[f"/etc/{NAME}.conf"] = conffile
            scripts["conffiles"] = f"/etc/{NAME}.conf\n"
        self.add(build_deb(work, NAME, version, unit, control=control, scripts=scripts), sign=sign)

    def classic(self, version: str, urgency: str = "scheduled", *, sign: bool = True, postinst: str = "") -> Path:
        """Build one release that is one ordinary package; returns its .deb."""
        work = self.folder / "work"
        work.mkdir(parents=True, exist_ok=True)
        control = f"Update-Urgency: {urgency}\nUpdate-Notes: one line\nUpgrade-Requires: app-restart\n"
        main = f"/usr/lib/{NAME}/main"
        files = {
            main: f"#!/bin/sh\n# {version}\nexec sleep 1000\n",
            f"/usr/lib/systemd/system/{NAME}.service": f"[Service]\nExecStart={main}\n",
        }
        scripts = {"postinst": f"#!/bin/sh\nset -e\n{postinst}\n"}
        return self.add(build_deb(work, NAME, version, files, control=control, scripts=scripts), sign=sign)

    def publish(self, *, key: str | None = None, date: float | None = None) -> None:
        """Write ``Packages`` and ``InRelease`` of the channel."""
        listed = b"".join(self._stanza(deb) for deb in self.debs)
        dist = self.base / "dists" / self.channel
        (dist / "main/binary-amd64").mkdir(parents=True, exist_ok=True)
        indexes = {
            "main/binary-amd64/Packages": listed,
            "main/binary-amd64/Packages.gz": gzip.compress(listed, mtime=0),
        }
        sums = "".join(f" {hashlib.sha256(body).hexdigest()} {len(body)} {path}\n" for path, body in indexes.items())
        release = (
            f"Origin: {self.origin}\nLabel: {self.label}\nSuite: {self.channel}\nCodename: {self.channel}\n"
            "Architectures: amd64\nComponents: main\n"
            f"Date: {formatdate(date, usegmt=True)}\nSHA256:\n{sums}"
        )
        for path, body in indexes.items():
            (dist / path).write_bytes(body)
        index = dist / "InRelease"
        before = index.stat().st_mtime if index.exists() else 0.0
        index.write_bytes(self.keys.clear_sign(key or self.keys.archive, release.encode()))
        # The plain server of the tests knows whole seconds only: each publishing needs one of its own.
        modified = max(index.stat().st_mtime, before + 1)
        os.utime(index, (modified, modified))

    def _stanza(self, deb: Path) -> bytes:
        control = subprocess.run(["dpkg-deb", "-f", str(deb)], capture_output=True, check=True).stdout
        body = deb.read_bytes()
        extra = f"Filename: pool/{deb.name}\nSize: {len(body)}\nSHA256: {hashlib.sha256(body).hexdigest()}\n\n"
        return control + extra.encode()


class RepoServer:
    """Serves a folder on loopback to the device with the right credentials; counts the body bytes it sends.

    On another address of loopback it stands for a mirror of Debian, which asks for none.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.body_bytes = 0
        self.status: int | None = None
        self.requests: list[str] = []
        expected = "Basic " + base64.b64encode(f"{DEVICE_ID}:{TOKEN}".encode()).decode()
        outer = self

        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def __init__(self, *arguments: Any) -> None:
                super().__init__(*arguments, directory=str(folder))

            def do_GET(self) -> None:
                outer.requests.append(self.path)
                if host == "127.0.0.1" and self.headers.get("Authorization") != expected:
                    self._refuse(401)
                elif outer.status:
                    self._refuse(outer.status)
                else:
                    super().do_GET()

            def _refuse(self, status: int) -> None:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                if status == 401:
                    self.send_header("WWW-Authenticate", 'Basic realm="pi-ota"')
                self.end_headers()

            def copyfile(self, source: Any, outputfile: Any) -> None:
                body = source.read()
                outer.body_bytes += len(body)
                outputfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{host}:{self._server.server_address[1]}"

    def __enter__(self) -> RepoServer:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
