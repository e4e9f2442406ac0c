"""The builder's signature inside each .deb (debsigs), checked as a device checks it (debsig-verify)."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pkgbuild import control, deb
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.keys import Key
from pkgbuild.process import ToolError, run

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
        # debsigs handles one file a call, and calls gpg, which finds the key by GNUPGHOME
        words: list[str | Path] = ["debsigs", "--sign=origin", f"--default-key={self._key.fingerprint}", path]
        run(words, env=self._key.env, doing=f"signing {path.name}", kind=Kind.MISSING_KEY)
        self._cache.mkdir(parents=True, exist_ok=True)
        partial = remembered.with_suffix(".partial")
        shutil.copyfile(path, partial)
        partial.replace(remembered)

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
