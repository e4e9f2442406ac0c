"""What happens to a release once it is published: promoted, withdrawn, rolled back, pruned, looked at."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pkgbuild.errors import EXIT_CODES, Kind
from tests.support.apt_client import AptClient
from tests.support.aptly import BuilderStack, Outcome, builder_stack, plain_payload
from tests.support.fleet_bodies import DEVICE, TOKEN, heartbeat, registration
from tests.support.server import RunningServer, running_server

NAME = "tiny-assistant"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[BuilderStack, RunningServer, Path]]:
    """A builder, a server that serves what it publishes, a device (trixie/arm64), and a payload."""
    folder = tmp_path_factory.mktemp("channels")
    with (
        builder_stack(targets=("trixie/arm64",)) as stack,
        running_server(folder / "server", repository=stack.public) as server,
    ):
        text = f'\n[server]\nurl = "{server.url}"\napi_key = "{server.key("builder")}"\n'
        stack.settings.write_text(stack.settings.read_text() + text)
        body = registration(id=DEVICE, token=TOKEN, assistant=NAME, channel="stable")
        answer = server.request("POST", "/api/v1/devices/", body=body, token=server.secrets["enrollment_token"])
        assert answer.status == 201
        yield stack, server, plain_payload(folder / "payload", more="[rollout]\nfailure_limit = { count = 7 }\n")


def good(outcome: Outcome) -> Any:
    assert outcome.status == 0, outcome.stderr
    return outcome.json


def beat(server: RunningServer, installed: str) -> Any:
    body = heartbeat(installed) | {"assistant": {"name": NAME, "installed": installed, "active": installed}}
    answer = server.request("POST", f"/api/v1/devices/{DEVICE}/heartbeat", body=body, token=TOKEN)
    assert answer.status == 200, answer.content
    return answer.json


def published(stack: BuilderStack, channel: str) -> set[str]:
    return {key.partition("=")[2] for key in stack.packages("trixie", "arm64", channel) if key.startswith(f"{NAME}=")}


def apt(stack: BuilderStack, server: RunningServer, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    source = f"deb [trusted=yes] {server.url}/repo/trixie stable main"
    client = AptClient(folder, source, server.url, DEVICE, TOKEN, ("arm64",))
    assert client.run("update", "-eany").returncode == 0
    return client.run(*command)


def test_the_life_of_a_release(fleet: tuple[BuilderStack, RunningServer, Path], tmp_path: Path) -> None:
    stack, server, payload = fleet
    good(stack.release(payload, "1.0.0", "--json", "--channel", "beta"))

    promoted = good(stack.run("promote", NAME, "1.0.0", "--json"))
    assert promoted["uploaded_bytes"] == 0
    assert promoted["rollout"] == {"failure_limit": {"count": 7}, "paused": False}, "as its release.toml asked for"
    assert (
        stack.packages("trixie", "arm64")[f"{NAME}=1.0.0"] == stack.packages("trixie", "arm64", "beta")[f"{NAME}=1.0.0"]
    )
    offer = beat(server, "0.9")["offer"]
    assert (offer["version"], offer["update_id"]) == ("1.0.0", promoted["update_id"])
    again = stack.run("promote", NAME, "1.0.0")
    assert again.status == 3
    assert "is not higher than 1.0.0, which is published on stable of trixie" in again.sentence
    assert stack.run("promote", NAME, "7.0").status == 2

    (payload / "tiny" / "__main__.py").write_text('print("a longer text, which is new")\n')
    (payload / "tiny" / "new.py").write_text("")
    good(stack.release(payload, "1.1.0", "--json", "--channel", "beta", urgency="urgent"))
    paused = good(stack.run("promote", NAME, "1.1.0", "--paused", "--json"))
    assert paused["rollout"] == {"failure_limit": {"count": 7}, "paused": True}
    assert beat(server, "1.0.0")["withheld"] == {
        "update_id": paused["update_id"],
        "version": "1.1.0",
        "reason": "PAUSED",
    }
    differences = good(stack.run("diff", NAME, "1.0.0", "1.1.0", "--json"))
    assert differences["files"]["added"] == {"app/tiny/new.py": 0}
    assert set(differences["files"]["changed"]) >= {"app/tiny/__main__.py", "release.json", "run"}
    assert differences["files"]["removed"] == {}
    assert differences["sizes"]["downloaded_packages"] == [NAME, f"{NAME}-app-1.1.0"]
    assert "+ app/tiny/new.py 0 B" in stack.run("diff", NAME, "1.0.0", "1.1.0").stdout

    whole = good(stack.run("show", NAME, "1.1.0", "--json"))
    assert whole["channels"] == {"beta": "active", "stable": "paused"}
    assert [row["package"] for row in whole["packages"]] == [NAME, f"{NAME}-app-1.1.0"]
    assert "on stable: paused" in stack.run("show", NAME, "1.1.0").stdout
    listed = good(stack.run("list", NAME, "--json"))
    assert {(row["version"], row["channel"]) for row in listed} == {
        (version, channel) for version in ("1.0.0", "1.1.0") for channel in ("beta", "stable")
    }

    withdrawn = good(stack.run("withdraw", NAME, "1.1.0", "--json"))
    assert withdrawn["channels"] == ["beta", "stable"]
    assert beat(server, "1.0.0")["offer"]["version"] == "1.0.0"  # which it has not told the end of
    assert published(stack, "stable") == published(stack, "beta") == {"1.0.0"}
    refused = apt(stack, server, tmp_path, "install", "--simulate", f"{NAME}=1.1.0")
    assert f"Version '1.1.0' for '{NAME}' was not found" in refused.stderr
    assert "it was already" in stack.run("withdraw", NAME, "1.1.0").stderr
    assert stack.run("withdraw", NAME, "7.0").status == 2
    reused = stack.release(payload, "1.1.0")
    assert reused.status == 3
    assert "was withdrawn" in reused.sentence

    back = good(
        stack.run(
            "rollback", NAME, "--to", "1.0.0", "--version", "1.2.0", "--notes", "Back", "--urgency", "urgent", "--json"
        )
    )
    assert beat(server, "1.1.0")["offer"]["version"] == "1.2.0"
    assert back["content_of"] == "1.0.0"
    assert_same_content(stack, tmp_path / "unpacked")

    stack.stop_aptly()
    cut_off = stack.run("withdraw", NAME, "1.2.0")
    assert cut_off.status == EXIT_CODES[Kind.APTLY_UNREACHABLE], "the server knows, and the repository still has it"
    stack.start_aptly()
    assert good(stack.run("withdraw", NAME, "1.2.0", "--json"))["channels"] == ["stable"]


def assert_same_content(stack: BuilderStack, folder: Path) -> None:
    """1.2.0 is 1.0.0 but for what says its version; and the packages are whole by the device's own checks."""
    trees = {}
    for version in ("1.0.0", "1.2.0"):
        (folder / version).mkdir(parents=True)
        index = stack.packages("trixie", "arm64")
        for name in (NAME, f"{NAME}-app-{version}"):
            deb = stack.public / "trixie" / index[f"{name}={version}"]["Filename"]
            subprocess.run(["dpkg-deb", "-R", deb, folder / version / name], check=True)
        trees[version] = folder / version / f"{NAME}-app-{version}" / f"usr/lib/{NAME}/releases/{version}"
    old, new = trees["1.0.0"], trees["1.2.0"]
    files = sorted(path.relative_to(old) for path in old.rglob("*"))
    assert files == sorted(path.relative_to(new) for path in new.rglob("*"))
    changed = {str(f) for f in files if (old / f).is_file() and (old / f).read_bytes() != (new / f).read_bytes()}
    assert changed == {"run", "release.json"}
    assert (new / "run").read_text() == (old / "run").read_text().replace("1.0.0", "1.2.0")
    described = json.loads((new / "release.json").read_text())
    assert (described["version"], described["urgency"], described["notes"]) == ("1.2.0", "urgent", "Back")
    for name in (NAME, f"{NAME}-app-"):
        before, after = (folder / v / (name + (v if name.endswith("-") else "")) / "DEBIAN" for v in ("1.0.0", "1.2.0"))
        assert "1.0.0" not in "".join(path.read_text() for path in after.iterdir())
        assert (after / "postinst").read_text() == (before / "postinst").read_text().replace("1.0.0", "1.2.0")
    index = stack.packages("trixie", "arm64")
    assert index[f"{NAME}=1.2.0"]["Update-Urgency"] == "urgent"
    assert f"{NAME}-app-1.2.0 (= 1.2.0)" in index[f"{NAME}=1.2.0"]["Depends"]
    assert set(index[f"{NAME}=1.2.0"]) == set(index[f"{NAME}=1.0.0"]) - {"Update-Rollout"}


def test_prune_keeps_what_devices_may_need(fleet: tuple[BuilderStack, RunningServer, Path]) -> None:
    stack, server, payload = fleet
    for version in ("3.0", "3.1", "3.2"):
        good(stack.release(payload, version, "--json", "--channel", "stable"))
    beat(server, "3.0")  # granted 3.2
    before = stack.tree()
    would = good(stack.run("prune", "--channel", "stable", "--keep", "1", "--dry-run", "--json"))
    assert stack.tree() == before
    (row,) = would["shelves"]
    assert (row["kept"], row["kept_for_devices"]) == (["3.0", "3.2"], ["3.0"])
    done = good(stack.run("prune", "--channel", "stable", "--keep", "1", "--json"))
    assert done["asked_the_server"]
    assert done["shelves"] == would["shelves"]
    assert published(stack, "stable") == {"3.0", "3.2"}
    left = {path.name for path in (stack.public / "trixie" / "pool").rglob("*.deb")}
    assert f"{NAME}-app-3.1_3.1_arm64.deb" not in left
    assert f"{NAME}-app-3.0_3.0_arm64.deb" in left
    good(stack.release(payload, "3.3", "--json", "--channel", "stable"))


def test_without_a_server_prune_keeps_by_number_and_says_so(stack: BuilderStack, payload: Path) -> None:
    for version in ("1.0", "1.1"):
        assert stack.release(payload, version).status == 0
    done = stack.run("prune", "--keep", "1")
    assert done.status == 0, done.stderr
    assert "the settings name no server, so nobody knows; the newest are kept, by number alone" in done.stderr
    assert "keeps 1.1; removed 1.0" in done.stderr
    assert stack.run("withdraw", "tiny-assistant", "1.1").status == 0
    assert stack.run("list").stdout == ""
    again = stack.release(payload, "1.1")
    assert again.status == 3
    assert stack.release(payload, "1.2").status == 0
