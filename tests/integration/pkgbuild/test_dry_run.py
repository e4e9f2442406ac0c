"""``--dry-run`` and ``--quiet``: what would be done, told exactly, and nothing said that nobody asked for."""

from __future__ import annotations

from pathlib import Path

from tests.support.aptly import BuilderStack


def test_a_dry_run_tells_what_the_release_then_does(stack: BuilderStack, payload: Path) -> None:
    assert stack.release(payload, "1.0.0").status == 0
    before = stack.tree()
    plan = stack.release(payload, "1.1.0", "--dry-run", "--json").json
    assert stack.tree() == before
    assert [row["version"] for row in stack.run("list", "--json").json] == ["1.0.0"]
    assert not (stack.state / "publishing.json").exists()
    for_people = stack.release(payload, "1.1.0", "--dry-run").stdout
    assert "trixie/amd64: devices with 1.0.0: " in for_people
    done = stack.release(payload, "1.1.0", "--json").json
    assert [{**row, "new": True} for row in done["packages"]] == plan["packages"]
    assert done["uploaded_bytes"] == plan["upload_bytes"]
    assert [(row["from"], row["devices"], row["bytes"]) for row in plan["downloads"]] == [
        (None, None, done["uploaded_bytes"]),
        ("1.0.0", None, done["uploaded_bytes"]),
    ]
    again = stack.release(payload, "1.1.0", "--dry-run")
    assert again.status == 3


def test_quiet_says_nothing_but_what_went_wrong(stack: BuilderStack, payload: Path) -> None:
    done = stack.release(payload, "1.0.0", "--quiet")
    assert (done.status, done.stdout, done.stderr) == (0, "", "")
    failed = stack.release(payload, "1.0.0", "--quiet")
    assert failed.status == 3
    assert failed.stderr == f"pkgbuild: {failed.sentence}\n"
