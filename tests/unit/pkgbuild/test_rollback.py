"""What a package says once it is made again under a higher version."""

from __future__ import annotations

from pkgbuild import rollback
from pkgbuild.aptly import Listed
from pkgbuild.control import Urgency

REQUEST = rollback.Request("tiny", "1.0.0", "1.2.0", "Back", Urgency.URGENT, "stable")


def listed(package: str) -> Listed:
    return Listed(f"Pall {package} 1.0.0 0", package, "1.0.0", "arm64", 1, "0" * 64, {})


def test_the_app_layer_names_the_new_version_and_leaves_its_layers() -> None:
    old = {
        "Description": "release 1.0.0 of tiny\n The release directory of tiny 1.0.0.\n Several can be installed.",
        "Depends": "python3.13, tiny-deps-0123456789ab (= 1)",
    }
    made = rollback._fields(REQUEST, listed("tiny-app-1.0.0"), old)
    assert (made.package, made.version, made.summary) == ("tiny-app-1.2.0", "1.2.0", "release 1.2.0 of tiny")
    assert made.extended == "The release directory of tiny 1.2.0.\nSeveral can be installed."
    assert made.depends == ("python3.13", "tiny-deps-0123456789ab (= 1)")
    assert made.more == {}


def test_what_the_author_says_of_the_assistant_stays_as_it_is() -> None:
    old = {
        "Description": "speaks protocol 1.0.0\n Since 1.0.0 of the protocol.",
        "Depends": "tiny-app-1.0.0 (= 1.0.0), dbus",
        "Update-Urgency": "scheduled",
        "Update-Minimum-Agent": "0.1",
    }
    made = rollback._fields(REQUEST, listed("tiny"), old)
    assert (made.package, made.summary) == ("tiny", "speaks protocol 1.0.0")
    assert made.extended == "Since 1.0.0 of the protocol."
    assert made.depends == ("tiny-app-1.2.0 (= 1.2.0)", "dbus")
    assert made.more == {"Update-Urgency": "urgent", "Update-Notes": "Back", "Update-Minimum-Agent": "0.1"}
