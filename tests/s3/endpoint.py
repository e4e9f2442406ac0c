"""An endpoint ``s3:NAME`` with a real aptly and moto's server, which is fetched for this alone."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from demo.ports import free_port
from demo.shell import end
from tests.support.apt_client import AptClient
from tests.support.aptly import builder_stack, plain_payload

MOTO = "moto[server]==5.2.5"
BUCKET = "fleet"


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    """The address of an empty bucket."""
    port = free_port()
    words = [sys.executable, "-m", "uv", "run", "--no-project", "--python", sys.executable, "--with", MOTO]
    with (tmp_path / "moto.log").open("wb") as log:
        process = subprocess.Popen([*words, "moto_server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            assert process.poll() is None, (tmp_path / "moto.log").read_text()
            assert time.monotonic() < deadline
            with suppress(requests.ConnectionError):
                assert requests.put(f"{url}/{BUCKET}", timeout=10).status_code == 200
                break
            time.sleep(0.1)
        yield f"{url}/{BUCKET}"
    finally:
        end(process, 10)


def test_releases_are_published_to_s3_and_apt_takes_them_from_there(bucket: str, tmp_path: Path) -> None:
    payload = plain_payload(tmp_path / "payload")
    with builder_stack() as stack:
        fleet = {
            "region": "us-east-1",
            "bucket": BUCKET,
            "endpoint": bucket.rpartition("/")[0],
            "awsAccessKeyID": "test",
            "awsSecretAccessKey": "test",
            "acl": "public-read",
        }
        stack.set_aptly({"S3PublishEndpoints": {"fleet": fleet}})
        stack.publish_to("s3:fleet")
        for version in ("1.0.0", "1.1.0"):
            done = stack.release(payload, version)
            assert done.status == 0, done.stderr
        assert not (stack.public / "trixie").exists()
        assert "signed anew: trixie/stable" in stack.run("resign").stdout

        keyring = tmp_path / "archive.gpg"
        words = ["gpg", "--homedir", str(stack.archive_home), "--batch", "--output", str(keyring), "--export"]
        subprocess.run(words, check=True, capture_output=True)
        source = f"deb [signed-by={keyring}] {bucket}/trixie stable main"
        client = AptClient(tmp_path / "device", source, bucket, "nobody", "nothing")
        updated = client.run("update", "-eany")
        assert updated.returncode == 0, updated.stderr
        fetched = client.run("download", "tiny-assistant", "tiny-assistant-app-1.1.0")
        assert fetched.returncode == 0, fetched.stderr
        assert {path.name for path in client.root.glob("*.deb")} == {
            "tiny-assistant_1.1.0_amd64.deb",
            "tiny-assistant-app-1.1.0_1.1.0_amd64.deb",
        }

        assert stack.run("withdraw", "tiny-assistant", "1.1.0").status == 0
        assert client.run("update", "-eany").returncode == 0
        assert client.run("download", "tiny-assistant=1.1.0").returncode != 0

        stack.set_aptly({"S3PublishEndpoints": {"fleet": {**fleet, "bucket": "elsewhere"}}})
        refused = stack.release(payload, "1.2.0")
        assert refused.status == 9, refused.stderr
        assert "bucket" in refused.sentence
