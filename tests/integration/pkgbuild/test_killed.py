"""Releases that are killed, and what the next run makes of what they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pkgbuild.aptly import Aptly
from pkgbuild.config import load
from pkgbuild.journal import Change, Entry, Journal, Stage
from tests.integration.pkgbuild.test_release_failures import announced, answering, without_signatures
from tests.killing_releases import Campaign
from tests.support.aptly import BuilderStack


def test_releases_killed_while_publishing_beside_a_real_apt(tmp_path: Path) -> None:
    campaign = Campaign(tmp_path, seed=7)
    try:
        assert campaign.run_in("filling", "switching", "announced") == []
        assert campaign.stages["filling"] == 1
        assert campaign.stages["switching"] >= 1
        assert campaign.seen.downloads
        spoiled = campaign.builder.packages("trixie", "arm64")[
            f"tiny-assistant-app-{campaign.version}={campaign.version}"
        ]
        (campaign.builder.public / "trixie" / spoiled["Filename"]).write_bytes(b"spoiled")
        (tmp_path / "again").mkdir()
        campaign.folder = tmp_path / "again"
        campaign._over.clear()
        campaign._device("trixie")
        assert "apt-get download" in campaign.seen.problems[0]
    finally:
        campaign.close()


@pytest.fixture
def published(stack: BuilderStack, payload: Path) -> dict[str, Any]:
    """The summary of 1.0.0, which is all that is published."""
    summary: dict[str, Any] = stack.release(payload, "1.0.0", "--json").json
    return summary


def leave(stack: BuilderStack, summary: dict[str, Any], stage: Stage, *, snapshot: str | None = None) -> None:
    """The journal as a run leaves it that is killed at this stage of publishing 1.0.0 as the first release."""
    update = {key: value for key, value in summary.items() if key not in {"snapshots", "update_id", "uploaded_bytes"}}
    change = Change(debian="trixie", snapshot=snapshot or summary["snapshots"][0], previous=None)
    entry = Entry(title="tiny-assistant 1.0.0", channel="stable", stage=stage, changes=(change,), update=update)
    Journal(stack.state).write(entry)


def test_what_was_published_is_finished_and_the_same_release_again_is_a_success(
    stack: BuilderStack, payload: Path, published: dict[str, Any]
) -> None:
    leave(stack, published, Stage.SWITCHING)
    # signed anew, and so not the same bytes: what is signed is remembered until a release is over
    again = stack.release(payload, "1.0.0")
    assert again.status == 3
    assert "the run before was ended in the middle of publishing it" in again.stderr
    assert "release it as a higher version" in again.sentence
    assert not (stack.state / "publishing.json").exists()
    assert stack.release(payload, "1.1.0").status == 0


@pytest.mark.parametrize("stage", [Stage.FILLING, Stage.TAKING_BACK])
def test_what_no_device_may_have_seen_is_taken_back(
    stack: BuilderStack, payload: Path, published: dict[str, Any], stage: Stage
) -> None:
    repository = "pi-ota-trixie-stable"
    aptly = Aptly.of(load(stack.settings))
    keys = sorted(key for key in aptly.keys(repository) if "-app-" in key)
    aptly.remove(repository, keys)
    aptly.create_snapshot(f"{repository}-20260101T000000000000", repository, "half")
    (stack.state / "aptly/upload" / f"{repository}-20260101T000000000000").mkdir(parents=True)
    entry = Entry(
        title="tiny-assistant 1.1.0",
        channel="stable",
        stage=stage,
        changes=(
            Change(debian="trixie", snapshot=f"{repository}-20260101T000000000000", previous=published["snapshots"][0]),
        ),
    )
    Journal(stack.state).write(entry)
    before = stack.tree()
    done = stack.release(payload, "1.1.0")
    assert done.status == 0, done.stderr
    assert "taking back tiny-assistant 1.1.0 on stable" in done.stderr
    assert set(keys) < aptly.keys(repository)
    assert f"{repository}-20260101T000000000000" not in aptly.snapshots()
    assert not list((stack.state / "aptly/upload").iterdir())
    assert without_signatures(before).keys() < stack.tree().keys()
    aptly.close()


def test_an_announcement_that_is_refused_takes_it_back_and_one_that_is_not_heard_is_made_again(
    stack: BuilderStack, payload: Path, published: dict[str, Any]
) -> None:
    leave(stack, published, Stage.SWITCHING)
    with answering(get=(200, b"{}"), post=None) as url:
        unheard = announced(stack, payload, url)
    assert unheard.status == 8
    assert (stack.state / "publishing.json").exists()
    assert "tiny-assistant=1.0.0" in stack.packages("trixie", "amd64")
    with answering(get=(200, b"{}"), post=(409, b"{}")) as url:
        stack.edit(stack.settings.read_text().partition("[server]\n")[2], f'url = "{url}"\napi_key = "k"\n')
        refused = stack.release(payload, "1.1.0")
    assert refused.status == 8
    assert not (stack.state / "publishing.json").exists()
    assert stack.tree() == {}
