"""The package ``pi-ota-keyring``: the fleet's public keys where apt and debsig-verify of a device look for them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pkgbuild import deb, signing
from pkgbuild.control import About, PackageFields, changelog, copyright_file
from pkgbuild.deb import Documents, Override
from pkgbuild.epoch import LAYER_EPOCH
from pkgbuild.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pkgbuild.deb import BuiltDeb
    from pkgbuild.keys import Key

PACKAGE = "pi-ota-keyring"
_MAINTAINER = "pi-ota builder <pi-ota@localhost.invalid>"

_OVERRIDES = (
    Override(
        "Trust follows the package: a policy that a newer version drops has to go at once, as no conffile does.",
        ("file-in-etc-not-marked-as-conffile",),
    ),
    Override(
        "What devices take from the fleet's repository is said by the fleet, with the keys that it is signed by.",
        ("package-installs-apt-preferences",),
    ),
)


LIST = "usr/share/pi-ota/packages"
PINS = "etc/apt/preferences.d/pi-ota-packages"


def build(builder: Key, archive: Key, version: str, out: Path, allowed: Sequence[str] = ()) -> BuiltDeb:
    """Build the package into ``out``, signed by the builder key itself. Raises ``PkgbuildError``.

    ``allowed`` names further packages that devices take from the fleet's repository, and from nowhere else.
    """
    fields = PackageFields(
        package=PACKAGE,
        version=check_version(version),
        architecture="all",
        depends=(),
        summary="keys of the pi-ota fleet's repository and builder",
        extended="apt trusts the repository signed by the archive key,\n"
        "debsig-verify the packages signed by the builder key.",
    )
    about = About(PACKAGE, _MAINTAINER, homepage=None, licence="public-domain")
    with tempfile.TemporaryDirectory(prefix="pi-ota-keyring-") as folder:
        tree = Path(folder, "tree")
        keyrings = tree / "usr/share/keyrings"
        keyrings.mkdir(parents=True)
        archive.export(keyrings / "pi-ota-archive-keyring.gpg")
        signing.write_trust(builder, tree / "usr/share/debsig/keyrings", tree / "etc/debsig/policies")
        if allowed:
            for place, text in ((LIST, list_text(allowed)), (PINS, pins_text(allowed))):
                (tree / place).parent.mkdir(parents=True)
                (tree / place).write_text(text, encoding="utf-8")
        documents = Documents(
            changelog=changelog(fields, _MAINTAINER, ["The fleet's present keys."], LAYER_EPOCH),
            copyright=copyright_file(about, []),
            scripts={},
            overrides=_OVERRIDES,
        )
        path = deb.build(tree, fields, about, documents, out=out, epoch=LAYER_EPOCH)
        signer = signing.Signer(builder, Path(folder, "signed"))
        signer.sign(path)
        signer.verify(path)
    return deb.read_back(path, fields)


def list_text(allowed: Sequence[str]) -> str:
    """For pi-hook: what must carry the builder's signature besides its own packages."""
    return "".join(f"{name}\n" for name in sorted(set(allowed)))


def pins_text(allowed: Sequence[str]) -> str:
    """For apt: these names are taken from our repository, which is pinned away as a whole, and from no other."""
    names = " ".join(sorted(set(allowed)))
    return (
        "Explanation: From pi-ota-keyring: packages that this fleet's repository brings.\n"
        f"Package: {names}\nPin: release o=pi-ota\nPin-Priority: 500\n\n"
        f"Package: {names}\nPin: release *\nPin-Priority: -1\n"
    )
