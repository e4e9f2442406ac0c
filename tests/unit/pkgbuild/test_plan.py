"""What a plan says of downloads."""

from __future__ import annotations

from pathlib import Path

from pkgbuild.aptly import Listed
from pkgbuild.build import TargetPackages
from pkgbuild.control import PackageFields
from pkgbuild.deb import BuiltDeb
from pkgbuild.plan import Starting, plan, words
from pkgbuild.targets import Target

TARGET = Target("trixie", "arm64")


def test_each_device_downloads_what_it_does_not_have() -> None:
    fields = PackageFields("tiny-app-1.1", "1.1", "arm64", (), "", "")
    built = BuiltDeb(fields, Path("x"), 1_000, "new")
    deps = Listed("k", "tiny-deps-abc", "1", "arm64", 50_000_000, "deps", {})
    packages = [TargetPackages(TARGET, (built,), (deps,))]
    rows = [
        {"package": p, "version": "1", "debian": "trixie", "architecture": "arm64", "size": size, "sha256": sha}
        for p, size, sha in (("tiny-app-1.1", 1_000, "new"), ("tiny-deps-abc", 50_000_000, "deps"))
    ]
    update = {"name": "tiny", "version": "1.1", "channel": "beta", "urgency": "urgent", "notes": "x", "packages": rows}
    starting = [
        Starting(TARGET, None, frozenset()),
        Starting(TARGET, "0.9", None, 2),
        Starting(TARGET, "1.0", frozenset({"old", "deps"}), 3),
        Starting(Target("bookworm", "arm64"), "1.0", frozenset()),
    ]
    planned = plan(update, packages, starting)
    assert [row["new"] for row in planned["packages"]] == [True, False]
    assert planned["upload_bytes"] == 1_000
    assert [(row["from"], row["bytes"], row["at_most"]) for row in planned["downloads"]] == [
        (None, 50_001_000, False),
        ("0.9", 50_001_000, True),
        ("1.0", 1_000, False),
    ]
    assert words(planned) == [
        "tiny 1.1 (urgent) would be published on beta",
        "  trixie/arm64        1.0 kB  tiny-app-1.1 (new)",
        "  trixie/arm64       50.0 MB  tiny-deps-abc (already in the repository)",
        "  uploaded: 1.0 kB",
        "  trixie/arm64: a first installation: 50.0 MB downloaded",
        "  trixie/arm64: 2 devices with 0.9: at most 50.0 MB downloaded",
        "  trixie/arm64: 3 devices with 1.0: 1.0 kB downloaded",
    ]
