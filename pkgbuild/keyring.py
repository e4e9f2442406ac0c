"""The package ``pi-ota-keyring``: the fleet's public keys where apt and debsig-verify of a device look for them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pkgbuild import deb, keys, signing
from pkgbuild.control import About, PackageFields, changelog, copyright_file
from pkgbuild.deb import Documents, Override
from pkgbuild.epoch import LAYER_EPOCH
from pkgbuild.versions import check_version

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
        "The signed lists tell the server which keys devices have, and until when they are good.", ("unknown-field",)
    ),
    Override(
        "What devices take from the fleet's repository is said by the fleet, with the keys that it is signed by.",
        ("package-installs-apt-preferences",),
    ),
)


LIST = "usr/share/pi-ota/packages"
PINS = "etc/apt/preferences.d/pi-ota-packages"


@dataclass(frozen=True, slots=True)
class Content:
    """What one version of the package holds, and who signs it."""

    builders: Sequence[Key]
    archives: Sequence[Key]
    signer: Key
    expiry: Mapping[str, str | None]
    """Until when the keys are good, by fingerprint (``YYYY-MM-DDTHH:MM:SSZ``)."""
    allowed: Sequence[str] = ()
    """Further packages that devices take from the fleet's repository, and from nowhere else."""

    def line(self, found: Sequence[Key]) -> str:
        """``FINGERPRINT 2031-11-24T00:00:00Z, FINGERPRINT never``."""
        return ", ".join(f"{key.fingerprint} {self.expiry[key.fingerprint] or 'never'}" for key in found)


def build(content: Content, version: str, out: Path) -> BuiltDeb:
    """Build the package into ``out``, signed. Raises ``PkgbuildError``.

    Its control fields name the keys and their expiry, and so do the repository's signed lists: from there the server
    knows what devices have.
    """
    fields = PackageFields(
        package=PACKAGE,
        version=check_version(version),
        architecture="all",
        depends=(),
        summary="keys of the pi-ota fleet's repository and builder",
        extended="apt trusts the repository signed by an archive key,\n"
        "debsig-verify the packages signed by a builder key.",
        more={"Archive-Keys": content.line(content.archives), "Builder-Keys": content.line(content.builders)},
    )
    about = About(PACKAGE, _MAINTAINER, homepage=None, licence="public-domain")
    with tempfile.TemporaryDirectory(prefix="pi-ota-keyring-") as folder:
        tree = Path(folder, "tree")
        keyrings = tree / "usr/share/keyrings"
        keyrings.mkdir(parents=True)
        keys.export(content.archives, keyrings / "pi-ota-archive-keyring.gpg")
        for builder in content.builders:
            signing.write_trust(builder, tree / "usr/share/debsig/keyrings", tree / "etc/debsig/policies")
        if content.allowed:
            for place, text in ((LIST, list_text(content.allowed)), (PINS, pins_text(content.allowed))):
                (tree / place).parent.mkdir(parents=True)
                (tree / place).write_text(text, encoding="utf-8")
        documents = Documents(
            changelog=changelog(fields, _MAINTAINER, ["The fleet's present keys."], LAYER_EPOCH),
            copyright=copyright_file(about, []),
            scripts={},
            overrides=_OVERRIDES,
        )
        path = deb.build(tree, fields, about, documents, out=out, epoch=LAYER_EPOCH)
        signer = signing.Signer(content.signer, Path(folder, "signed"))
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
