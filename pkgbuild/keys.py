"""The two keys of a fleet: the builder key signs packages, the archive key the repository; each has its own home."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.process import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LONGEST_SOCKET_PATH = 107
"""sun_path of unix(7) without its NUL; gpg-agent puts a socket into its home where there is no /run/user."""


@dataclass(frozen=True, slots=True)
class Key:
    """A secret key in a GnuPG home."""

    home: Path
    fingerprint: str

    @property
    def long_id(self) -> str:
        """The 16 hex digits by which debsig-verify finds keyring and policy."""
        return self.fingerprint[-16:]

    @property
    def env(self) -> dict[str, str]:
        """What makes gpg, and the programs that call it, use this home."""
        return {"GNUPGHOME": str(self.home.resolve())}

    def export(self, path: Path) -> None:
        """Write the public key to ``path`` in binary form, as apt and debsig-verify read it."""
        words = ["gpg", "--batch", "--yes", "--output", str(path), "--export", self.fingerprint]
        run(words, env=self.env, doing="exporting a public key", kind=Kind.MISSING_KEY)


def find(home: Path, fingerprint: str | None, *, whose: str) -> Key:
    """The usable secret key ``fingerprint`` (or the only one) in ``home``.

    ``whose`` is ``builder`` or ``archive``. Raises ``MISSING_KEY``.
    """
    found = _fingerprints(home) if home.is_dir() else []
    if fingerprint is None and len(found) == 1:
        return Key(home, found[0])
    if fingerprint and (match := [f for f in found if f.endswith(fingerprint.upper().replace(" ", ""))]):
        return Key(home, match[0])
    wanted = f"key {fingerprint}" if fingerprint else "exactly one key"
    raise PkgbuildError(
        Kind.MISSING_KEY,
        f"The {whose} key is missing: {home} does not hold {wanted}. Restore it from your backup,"
        " or make new keys with `pkgbuild keys init`.",
    )


def create(home: Path, *, whose: str, user_id: str) -> Key:
    """The secret key in ``home``, made there first if there is none. Doing it again changes nothing.

    ed25519 with SHA-512: accepted by the gpgv of Debian 12, the sqv of Debian 13 and debsig-verify. No passphrase: it
    signs without a person; the folder's mode (0700) protects it.
    """
    if len(str(home.resolve() / "S.gpg-agent.browser")) > _LONGEST_SOCKET_PATH:
        raise PkgbuildError(Kind.BAD_INPUT, f"{home.resolve()} is too long a path for gpg: use a shorter state folder.")
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.chmod(0o700)
    if not _fingerprints(home):
        words = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
        words += ["--cert-digest-algo", "SHA512", "--quick-generate-key", user_id, "ed25519", "sign", "never"]
        run(words, env={"GNUPGHOME": str(home.resolve())}, doing=f"making the {whose} key", kind=Kind.MISSING_KEY)
        home.joinpath("gpg.conf").write_text(
            "personal-digest-preferences SHA512\ncert-digest-algo SHA512\n", encoding="utf-8"
        )
    return find(home, None, whose=whose)


@contextmanager
def no_agent_left_behind(home: Path) -> Iterator[None]:
    """End the gpg-agent that gpg starts for ``home`` meanwhile; one that ran before, with its passphrases, stays."""
    env = {"GNUPGHOME": str(home.resolve())}
    # its exit status is 0 either way; only an agent answers
    words = ["gpg-connect-agent", "--no-autostart", "--quiet", "GETINFO pid", "/bye"]
    ran_before = "OK" in run(words, env=env, doing="looking for gpg-agent").splitlines()
    try:
        yield
    finally:
        if not ran_before and home.is_dir():
            run(["gpgconf", "--kill", "gpg-agent"], env=env, doing="ending gpg-agent")


def _fingerprints(home: Path) -> list[str]:
    words = ["gpg", "--batch", "--with-colons", "--list-secret-keys"]
    listing = run(words, env={"GNUPGHOME": str(home.resolve())}, doing="listing keys", kind=Kind.MISSING_KEY)
    fingerprints, usable = [], False
    for line in listing.splitlines():
        fields = line.split(":")
        if fields[0] == "sec":
            usable = fields[1] not in {"r", "e", "d", "i"}  # revoked, expired, disabled, invalid
        elif fields[0] == "fpr" and usable:
            fingerprints.append(fields[9])
            usable = False  # further ones are subkeys
    return fingerprints
