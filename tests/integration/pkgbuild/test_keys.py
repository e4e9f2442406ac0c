"""``pkgbuild keys`` with real gpg and aptly. What devices make of it is in ``pi_hook_hands/test_keys.py``."""

from __future__ import annotations

import json
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pkgbuild import keys
from tests.support.aptly import BuilderStack


def ok(stack: BuilderStack, *words: str) -> str:
    done = stack.run("keys", *words)
    assert done.status == 0, done.stderr
    return done.stdout


def show(stack: BuilderStack) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ok(stack, "show", "--json"))
    return found


def in_state(stack: BuilderStack, role: str, state: str) -> list[str]:
    return [key["fingerprint"] for key in show(stack)["keys"] if (key["role"], key["state"]) == (role, state)]


def gpg(home: Path, *words: str) -> str:
    done = subprocess.run(
        ["gpg", "--homedir", str(home), "--batch", *words], capture_output=True, text=True, check=True
    )
    return done.stdout


def signers(stack: BuilderStack) -> set[str]:
    """Whose signatures on the repository hold: on InRelease, and on Release.gpg beside it."""
    dist = stack.public / "trixie/dists/stable"
    found = []
    for words in ([str(dist / "InRelease")], [str(dist / "Release.gpg"), str(dist / "Release")]):
        said = gpg(stack.archive_home, "--status-fd", "1", "--verify", *words)
        found.append({line.split()[2] for line in said.splitlines() if line.startswith("[GNUPG:] VALIDSIG ")})
    assert found[0] == found[1]
    return found[0]


def test_keys_have_an_end_which_is_said_and_can_be_put_off(stack: BuilderStack, payload: Path) -> None:
    for key in show(stack)["keys"]:
        made, expires = datetime.fromisoformat(key["made"]), datetime.fromisoformat(key["expires"])
        years = {"builder": 2, "archive": 5}[key["role"]]
        assert timedelta(0) <= timedelta(days=365 * years + 2) - (expires - made) <= timedelta(days=3)
        assert (key["state"], key["can_sign_here"]) == ("current", True)
    (archive,) = in_state(stack, "archive", "current")
    gpg(stack.archive_home, "--quick-set-expire", archive, "59d")
    assert "pi-ota-keyring 1 is published on stable" in ok(stack, "publish")
    done = stack.release(payload, "1.0.0", "--json")
    (warning,) = done.json["warnings"]
    assert warning.startswith(f"The archive key {archive} expires on ")
    assert "Devices refuse the repository from then on" in warning
    assert warning in done.stderr
    assert warning in stack.run("resign").stderr
    assert warning in show(stack)["warnings"]
    assert "keys publish" in ok(stack, "extend", "archive", "--years", "3")
    assert show(stack)["warnings"] == []
    ok(stack, "publish")
    (listed,) = [p for name, p in stack.packages("trixie", "amd64").items() if name == "pi-ota-keyring=2"]
    (key,) = [key for key in show(stack)["keys"] if key["role"] == "archive"]
    assert listed["Archive-Keys"] == f"{archive} {key['expires']}"
    assert datetime.fromisoformat(key["expires"]) - datetime.now(UTC) > timedelta(days=3 * 365 - 1)


def test_an_expired_builder_key_says_what_to_do(stack: BuilderStack, payload: Path) -> None:
    (builder,) = in_state(stack, "builder", "current")
    made = datetime.fromisoformat(show(stack)["keys"][0]["made"])
    past = (made - timedelta(days=10)).strftime("%Y%m%dT%H%M%S!")
    home = stack.state / "keys/expired"  # another one: gpg-agent takes a moment to leave the first
    home.mkdir(mode=0o700)
    words = ["--faked-system-time", past, "--passphrase", "", "--quick-generate-key", "pi-ota builder", "ed25519"]
    with keys.no_agent_left_behind(home):
        gpg(home, *words, "sign", "2d")
        (expired,) = [key.fingerprint for key in keys.listed(home)]
    stack.edit(builder, expired)
    stack.edit('gnupghome = "keys/builder"', 'gnupghome = "keys/expired"')
    done = stack.release(payload, "1.0.0")
    assert done.status == 4
    assert f"The builder key {expired} expired on" in done.sentence
    assert "pkgbuild keys extend builder" in done.sentence


def test_the_archive_key_rotates_with_both_signing_meanwhile(stack: BuilderStack, payload: Path) -> None:
    assert stack.release(payload, "1.0.0").status == 0
    (old,) = in_state(stack, "archive", "current")
    # A run that was killed when gpg had made the key: the next one goes on with it.
    gpg(
        stack.archive_home,
        "--yes",
        "--passphrase",
        "",
        "--quick-generate-key",
        "pi-ota archive",
        "ed25519",
        "sign",
        "5y",
    )
    said = ok(stack, "rotate", "archive")
    (new,) = in_state(stack, "archive", "current")
    assert in_state(stack, "archive", "old") == [old]
    assert len(gpg(stack.archive_home, "-K", "--with-colons").split("sec:")) == 3
    assert ok(stack, "rotate", "archive") == said, "done twice is done once"
    refused = stack.run("keys", "retire", "archive", "--offline-days", "0")
    assert (refused.status, "pkgbuild keys publish" in refused.sentence) == (2, True)
    assert stack.run("resign").status == 0
    assert signers(stack) == {old, new}, "the key by which devices come over, at every publication from the first"
    ok(stack, "publish")
    assert signers(stack) == {old, new}
    # A run that was killed when aptly had published and it was not written down yet.
    told = show(stack)["keyring_packages"]
    ring = stack.state / "keys/ring.json"
    body = json.loads(ring.read_text())
    body["keyrings"][-1]["channels"] = {}
    ring.write_text(json.dumps(body))
    assert "was published before" in ok(stack, "publish")
    assert [list(k["channels"]) for k in show(stack)["keyring_packages"]] == [list(k["channels"]) for k in told]
    refused = stack.run("keys", "retire", "archive")
    assert (refused.status, "(90 days)" in refused.sentence) == (2, True)
    ok(stack, "retire", "archive", "--offline-days", "0")
    ok(stack, "publish")
    assert signers(stack) == {new}
    assert stack.release(payload, "1.1.0").status == 0
    assert signers(stack) == {new}
    exported = ok(stack, "export", "archive")
    assert exported.startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")


def test_what_the_old_builder_key_has_signed_is_named_and_a_backup_brings_all_of_it_back(
    stack: BuilderStack, payload: Path, tmp_path: Path
) -> None:
    assert stack.release(payload, "1.0.0").status == 0
    (old,) = in_state(stack, "builder", "current")
    ok(stack, "rotate", "builder")
    refused = stack.run("keys", "rotate", "builder")
    assert (refused.status, "pkgbuild keys publish" in refused.sentence) == (2, True)
    by_hand = ok(stack, "package", "--output", str(tmp_path)).strip()
    assert stack.run("agent", by_hand).status == 0, "as `keys publish` does"
    ok(stack, "rotate", "builder")
    assert stack.release(payload, "1.1.0").status == 0
    refused = stack.run("keys", "retire", "builder")
    assert refused.status == 2
    assert (
        f"{old} has signed what is still published: tiny-assistant 1.0.0, tiny-assistant-app-1.0.0" in refused.sentence
    )
    assert "1.1.0" not in refused.sentence
    before = show(stack)
    # docs/KEYS.md: one folder is the backup
    backup = tmp_path / "keys.tar"
    words = ["--directory", str(stack.state), "--exclude", "S.*", "--file", str(backup)]
    subprocess.run(["tar", "--create", *words, "keys"], check=True)
    stack.stop_aptly()
    shutil.rmtree(stack.state / "keys")
    subprocess.run(["tar", "--extract", "--directory", str(stack.state), "--file", str(backup)], check=True)
    stack.start_aptly()
    assert show(stack) == before
    assert stack.release(payload, "1.2.0").status == 0


def test_lost_keys_are_replaced_and_the_keyring_package_is_for_visits(
    stack: BuilderStack, payload: Path, tmp_path: Path
) -> None:
    """docs/KEYS.md: neither key is in any copy."""
    first = ok(stack, "package", "--output", str(tmp_path)).strip()
    ok(stack, "publish")
    (old,) = in_state(stack, "archive", "current")
    stack.archive_home.rename(tmp_path / "archive")
    refused = stack.run("keys", "package", "--version", "7")
    assert (refused.status, "pkgbuild keys revoke archive" in refused.sentence) == (4, True)
    ok(stack, "revoke", "archive")
    ok(stack, "publish")
    (new,) = in_state(stack, "archive", "current")
    assert new != old
    dist = stack.public / "trixie/dists/stable"
    said = gpg(stack.archive_home, "--status-fd", "1", "--verify", str(dist / "InRelease"))
    assert [line.split()[2] for line in said.splitlines() if line.startswith("[GNUPG:] VALIDSIG ")] == [new]
    stack.builder_home.rename(tmp_path / "builder")
    assert stack.release(payload, "1.0.0").status == 4
    ok(stack, "revoke", "builder")
    refused = stack.run("keys", "publish")
    assert (refused.status, "keys package --by-hand" in refused.sentence) == (4, True)
    by_hand = ok(stack, "package", "--by-hand", "--output", str(tmp_path)).strip()
    assert Path(by_hand).name == "pi-ota-keyring_3_all.deb" != Path(first).name
    assert "pi-ota-keyring 3 is published on stable" in ok(stack, "publish")
    assert stack.release(payload, "1.0.0").status == 0


def test_what_a_revoked_key_has_signed_goes_to_no_other_channel_and_comes_back_under_no_other_version(
    stack: BuilderStack, payload: Path
) -> None:
    assert stack.release(payload, "1.0.0", "--channel", "beta").status == 0
    (old,) = in_state(stack, "builder", "current")
    assert "To be released anew on beta: tiny-assistant 1.0.0" in ok(stack, "revoke", "builder")
    before = stack.tree()
    back = (
        "rollback",
        "tiny-assistant",
        "--to",
        "1.0.0",
        "--version",
        "1.1.0",
        "--notes",
        "Back",
        "--urgency",
        "urgent",
    )
    for words in (("promote", "tiny-assistant", "1.0.0"), back):
        refused = stack.run(*words)
        assert refused.status == 2
        assert f"was signed by the builder key {old}, which is revoked, so devices refuse it" in refused.sentence
    assert stack.tree() == before
    assert stack.release(payload, "1.1.0", "--channel", "beta").status == 0
    assert stack.run("promote", "tiny-assistant", "1.1.0").status == 0
    unsigned = next((stack.public / "trixie/pool").rglob("tiny-assistant_1.1.0_amd64.deb"))
    subprocess.run(["ar", "d", unsigned, "_gpgorigin"], check=True)
    refused = stack.run(*back[:3], "1.1.0", "--version", "1.2.0", *back[6:])
    assert refused.status == 9, "it is not even what aptly lists"
