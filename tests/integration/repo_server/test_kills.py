"""Two of the kills of `make kill-server`: a worker, and the whole server."""

from __future__ import annotations

from pathlib import Path

from tests.killing import Campaign


def test_what_was_acknowledged_survives_the_worker_and_the_server(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, seed=7)
    assert campaign.run(2) == []
    assert campaign.known.devices
    assert campaign.known.statuses


def test_the_campaign_finds_what_is_missing(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, seed=7)
    campaign._stack.close()
    assert campaign.missing({"nobody"}, {("nobody", 1)}) == [
        "device nobody is missing",
        "status 1 of nobody is missing",
    ]
