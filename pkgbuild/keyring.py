"""The package ``pi-ota-keyring``: the fleet's public keys where apt and debsig-verify of a device look for them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pkgbuild import deb, signing
from pkgbuild.control import About, PackageFields, changelog, copyright_file
from pkgbuild.deb import Documents
from pkgbuild.epoch import LAYER_EPOCH
from pkgbuild.versions import check_version

if TYPE_CHECKING:
    from pkgbuild.deb import BuiltDeb
    from pkgbuild.keys import Key

PACKAGE = "pi-ota-keyring"
_MAINTAINER = "pi-ota builder <pi-ota@localhost.invalid>"

_OVERRIDES = """\
# Trust follows the package: a policy that a newer version drops has to go at once, as no conffile does.
pi-ota-keyring: file-in-etc-not-marked-as-conffile
"""


def build(builder: Key, archive: Key, version: str, out: Path) -> BuiltDeb:
    """Build the package into ``out``, signed by the builder key itself. Raises ``PkgbuildError``."""
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
        overrides = tree / "usr/share/lintian/overrides"
        overrides.mkdir(parents=True)
        (overrides / PACKAGE).write_text(_OVERRIDES, encoding="utf-8")
        documents = Documents(
            changelog=changelog(fields, _MAINTAINER, "The fleet's present keys.", LAYER_EPOCH),
            copyright=copyright_file(about, []),
            scripts={},
        )
        path = deb.build(tree, fields, about, documents, out=out, epoch=LAYER_EPOCH)
        signer = signing.Signer(builder, Path(folder, "signed"))
        signer.sign(path)
        signer.verify(path)
    return deb.read_back(path, fields)
