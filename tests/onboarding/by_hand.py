"""The single steps of docs/DEVICES.md, as they stand there, on a Pi that runs. For ``make check-onboarding``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.onboarding.fleet import fleet, pi, publish
from tests.support.apt_root import CHECKOUT, is_root
from tests.unit.docs.documents import blocks

pytestmark = [pytest.mark.skipif(not is_root(), reason="needs root"), pytest.mark.timeout(1200)]


def commands() -> list[str]:
    """Of the section "By hand"."""
    text = (CHECKOUT / "docs/DEVICES.md").read_text(encoding="utf-8")
    section = re.split(r"^## ", text.partition("\n## By hand\n")[2], flags=re.MULTILINE)[0]
    return [command for block in blocks(section) if block.language == "console" for command in block.commands()]


def test_the_single_steps(tmp_path: Path) -> None:
    folder = tmp_path / "fleet"
    folder.mkdir(mode=0o755)
    tmp_path.chmod(0o755)
    with fleet(folder) as running:
        publish(running, tmp_path / "agent")
        token = re.search(r"pie_[A-Za-z0-9_-]+", running.line())
        assert token
        steps = "\n".join(commands())
        assert "SERVER=https://updates.example.org CHANNEL=stable TOKEN=TOKEN" in steps
        steps = steps.replace("SERVER=https://updates.example.org", f"SERVER={running.url}", 1)
        steps = steps.replace("TOKEN=TOKEN", f"TOKEN={token[0]}", 1)
        steps, last, _ = steps.rpartition("\npi-hook doctor")
        assert last
        with pi("trixie", tmp_path / "pi", running) as (device, system):
            print(system.run("bash", "-euo", "pipefail", "-c", steps).stdout)
            # The daemon registers by itself, in a moment; the command waits for it where it has not yet.
            print(system.run("pi-hook", "enroll", check=False).stdout)
            assert [one["debian"] for one in running.devices()] == ["trixie"]
            assert list((device.path / "etc/apt").rglob("*bootstrap*")) == []
            system.run("apt-get", "update", "-o", "APT::Update::Error-Mode=any")
            assert token[0] not in (device.path / "etc/pi-hook/pi-hook.toml").read_text()
