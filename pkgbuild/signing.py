"""The builder's signature inside each .deb, in the form of debsigs, checked as a device checks it (debsig-verify)."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from debian.arfile import ArFile

from pkgbuild import ar, control, deb
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.keys import Key
from pkgbuild.process import ToolError, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEMBER = "_gpgorigin"
"""Where debsig-verify looks for the signature of an origin."""


def write_trust(key: Key, keyrings: Path, policies: Path, public: bytes | None = None) -> None:
    """Write keyring and policy by which debsig-verify accepts ``key``: KEYID/debsig.gpg and KEYID/pi-ota.pol.

    ``public`` is the key as it was exported before.
    """
    for folder in (keyrings / key.long_id, policies / key.long_id):
        folder.mkdir(parents=True, exist_ok=True)
    keyring = keyrings / key.long_id / "debsig.gpg"
    if public is None:
        key.export(keyring)
    else:
        keyring.write_bytes(public)
    policy = control.template("policy.pol", KEYID=key.long_id)
    (policies / key.long_id / "pi-ota.pol").write_text(policy, encoding="utf-8")


class Signer:
    """Signs with one builder key and remembers what it signed.

    Two signatures of the same bytes differ, and a version is never published with two contents; so the same bytes are
    signed once, and a release that is run again after a failure publishes the very same files.
    """

    def __init__(self, key: Key, cache: Path) -> None:
        """``cache`` is a folder for the signed packages of one release."""
        self._key = key
        self._cache = cache
        self._public: bytes | None = None
        self._exporting = threading.Lock()

    @property
    def key(self) -> Key:
        """The builder key."""
        return self._key

    @property
    def fingerprint(self) -> str:
        """The builder key's."""
        return self._key.fingerprint

    def sign(self, path: Path) -> None:
        """Sign the package in place. Raises ``BUILD_FAILED``, and ``MISSING_KEY`` where the key cannot sign."""
        remembered = self._cache / f"{deb.sha256(path)}.deb"
        if remembered.exists():
            shutil.copyfile(remembered, path)
            return
        ar.append(path, MEMBER, self._signature(path))
        self._cache.mkdir(parents=True, exist_ok=True)
        partial = remembered.with_suffix(".partial")
        shutil.copyfile(path, partial)
        partial.replace(remembered)

    def _signature(self, path: Path) -> bytes:
        """Over what the members hold, one after the other, as debsigs does; gpg alone takes a tenth of its time."""
        with tempfile.TemporaryDirectory(prefix=".signing-", dir=path.parent) as folder, path.open("rb") as file:
            signature = Path(folder, "signature")
            words = ["gpg", "--batch", "--openpgp", "--local-user", self._key.fingerprint, "--output", str(signature)]
            with tempfile.TemporaryFile(dir=folder) as parts:
                for member in ArFile(fileobj=file).getmembers():
                    if not member.name.startswith("_"):  # what is no part of the package, as a signature
                        shutil.copyfileobj(member, parts)
                parts.seek(0)
                env, doing = self._key.env, f"signing {path.name}"
                run([*words, "--detach-sign"], env=env, doing=doing, kind=Kind.MISSING_KEY, stdin=parts)
            return signature.read_bytes()

    def lasting(self) -> Signer:
        """One that does not forget: for packages that are no part of one release."""
        return Signer(self._key, self._cache.parent / "ready")

    def forget(self) -> None:
        """Once published, nothing needs to be signed in the same way again."""
        shutil.rmtree(self._cache, ignore_errors=True)

    def verify(self, path: Path) -> None:
        """Raise ``BUILD_FAILED`` unless a device that trusts this key would accept the package."""
        verify(path, [self._key], {self._key: self._exported()})

    def _exported(self) -> bytes:
        """The public key, asked of gpg once for all packages of a run."""
        with self._exporting, tempfile.TemporaryDirectory(prefix="pi-ota-key-") as folder:
            if self._public is None:
                self._key.export(Path(folder, "key"))
                self._public = Path(folder, "key").read_bytes()
            return self._public


def verify(path: Path, trusted: Sequence[Key], public: Mapping[Key, bytes] | None = None) -> None:
    """Raise ``BUILD_FAILED`` unless a device that trusts these keys would accept the package.

    ``public`` has those that were exported before.
    """
    with tempfile.TemporaryDirectory(prefix="pi-ota-verify-") as name:
        keyrings, policies = Path(name, "keyrings"), Path(name, "policies")
        for key in trusted:
            write_trust(key, keyrings, policies, (public or {}).get(key))
        words: list[str | Path] = ["debsig-verify", "--quiet", "--keyrings-dir", keyrings]
        words += ["--policies-dir", policies, path]
        try:
            run(words, doing=f"verifying {path.name}")
        except ToolError as error:
            raise PkgbuildError(
                Kind.BUILD_FAILED,
                f"{path.name} does not carry a valid signature of the builder key"
                f" (debsig-verify: status {error.status}): it is not published. Run the release again.",
            ) from error
