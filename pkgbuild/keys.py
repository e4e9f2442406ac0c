"""The two keys of a fleet: the builder key signs packages, the archive key the repository; each has its own home."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.process import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    Listing = Callable[[Path], Sequence["Listed"]]
    """Lists the secret keys of a home: ``listed``, or what remembers it for a run."""

LIFETIME_YEARS = {"builder": 2, "archive": 5}
"""How long a new key is good. An archive key that has expired on a device locks it out, hence the longer one
(docs/adr/0029-keys-and-how-they-change.md)."""
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
        return _env(self.home)

    def export(self, path: Path) -> None:
        """Write the public key to ``path`` in binary form, as apt and debsig-verify read it."""
        export([self], path)


@dataclass(frozen=True, slots=True)
class Listed:
    """A key as gpg lists it."""

    fingerprint: str
    made: datetime
    expires: datetime | None
    user_id: str
    usable: bool
    """Neither expired, revoked, disabled nor invalid."""


def homes(state: Path) -> tuple[Path, Path]:
    """Folders of the builder and of the archive key, apart, so that neither machine needs the other's."""
    return state / "keys/builder", state / "keys/archive"


def find(home: Path, fingerprint: str | None, *, whose: str, listing: Listing | None = None) -> Key:
    """The usable secret key ``fingerprint`` (or the only one) in ``home``.

    ``whose`` is ``builder`` or ``archive``. Raises ``MISSING_KEY``.
    """
    found = (listing or listed)(home)
    usable = [key.fingerprint for key in found if key.usable]
    if fingerprint is None and len(usable) == 1:
        return Key(home, usable[0])
    ending = (fingerprint or "").upper().replace(" ", "")
    if ending and (match := [f for f in usable if f.endswith(ending)]):
        return Key(home, match[0])
    for key in found:
        if key.fingerprint.endswith(ending) and key.expires and key.expires <= datetime.now(UTC):
            raise PkgbuildError(
                Kind.MISSING_KEY,
                f"The {whose} key {key.fingerprint} expired on {key.expires:%Y-%m-%d}: run `pkgbuild keys extend"
                f" {whose}`, then `pkgbuild keys publish`.",
            )
    wanted = f"key {fingerprint}" if fingerprint else "exactly one key"
    raise PkgbuildError(
        Kind.MISSING_KEY,
        f"The {whose} key is missing: {home} does not hold {wanted}. Restore it from your backup,"
        " or make new keys with `pkgbuild keys init`.",
    )


def create(home: Path, *, whose: str) -> Key:
    """The secret key in ``home``, made there first if there is none. Doing it again changes nothing.

    ed25519 with SHA-512: accepted by the gpgv of Debian 12, the sqv of Debian 13 and debsig-verify. No passphrase: it
    signs without a person; the folder's mode (0700) protects it.
    """
    if len(str(home.resolve() / "S.gpg-agent.browser")) > _LONGEST_SOCKET_PATH:
        raise PkgbuildError(Kind.BAD_INPUT, f"{home.resolve()} is too long a path for gpg: use a shorter state folder.")
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    home.chmod(0o700)
    usable = [key.fingerprint for key in listed(home) if key.usable]
    if usable:
        return Key(home, usable[0])
    generate(home, whose=whose)
    conf = home / "gpg.conf"
    if not conf.exists():
        conf.write_text("personal-digest-preferences SHA512\ncert-digest-algo SHA512\n", encoding="utf-8")
    return find(home, None, whose=whose)


def user_id(whose: str) -> str:
    """By which keys that were made here are told from others in the same home."""
    return f"pi-ota {whose}"


def generate(home: Path, *, whose: str) -> None:
    """Make one more secret key in ``home``, good for ``LIFETIME_YEARS``."""
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    words = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", "--yes"]
    words += ["--cert-digest-algo", "SHA512", "--quick-generate-key", user_id(whose), "ed25519", "sign"]
    words += [f"{LIFETIME_YEARS[whose]}y"]
    run(words, env=_env(home), doing=f"making the {whose} key", kind=Kind.MISSING_KEY)


def extend(key: Key, years: int) -> None:
    """Make a key good for so many years from now, also one that has expired; its fingerprint stays."""
    words = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    words += ["--cert-digest-algo", "SHA512", "--quick-set-expire", key.fingerprint, f"{years}y"]
    run(words, env=key.env, doing="extending a key", kind=Kind.MISSING_KEY)


def export(keys: Sequence[Key], path: Path, *, armor: bool = False) -> None:
    """Write public keys of one home to ``path``: binary as apt and debsig-verify read them, or ASCII."""
    words = ["gpg", "--batch", "--yes", *(["--armor"] if armor else []), "--output", str(path), "--export"]
    run([*words, *_names(keys)], env=keys[0].env, doing="exporting public keys", kind=Kind.MISSING_KEY)


def armored(keys: Sequence[Key]) -> str:
    """Public keys of one home, in ASCII."""
    words = ["gpg", "--batch", "--armor", "--export", *_names(keys)]
    return run(words, env=keys[0].env, doing="exporting public keys", kind=Kind.MISSING_KEY)


def _names(keys: Sequence[Key]) -> list[str]:
    return [key.fingerprint for key in keys]


@contextmanager
def no_agent_left_behind(home: Path) -> Iterator[None]:
    """End the gpg-agent that gpg starts for ``home`` meanwhile; one that ran before, with its passphrases, stays."""
    env = _env(home)
    # its exit status is 0 either way; only an agent answers
    words = ["gpg-connect-agent", "--no-autostart", "--quiet", "GETINFO pid", "/bye"]
    ran_before = "OK" in run(words, env=env, doing="looking for gpg-agent").splitlines()
    try:
        yield
    finally:
        if not ran_before and home.is_dir():
            run(["gpgconf", "--kill", "gpg-agent"], env=env, doing="ending gpg-agent")


def listed(home: Path, *, secret: bool = True) -> list[Listed]:
    """Every secret (or public) key in ``home``, the unusable ones too; empty where there is no such folder."""
    if not home.is_dir():
        return []
    words = ["gpg", "--batch", "--with-colons", "--list-secret-keys" if secret else "--list-keys"]
    return _parsed(run(words, env=_env(home), doing="listing keys", kind=Kind.MISSING_KEY))


def _parsed(listing: str) -> list[Listed]:
    """Gpg's colons: of each ``sec`` or ``pub`` the first ``fpr`` and ``uid`` after it; what follows are subkeys."""
    rows = [line.split(":") for line in listing.splitlines()]
    starts = [number for number, row in enumerate(rows) if row[0] in {"sec", "pub"}]
    found = []
    for start, end in pairwise([*starts, len(rows)]):
        row, rest = rows[start], rows[start + 1 : end]
        fingerprint = next(other[9] for other in rest if other[0] == "fpr")
        user_id = next((other[9] for other in rest if other[0] == "uid"), "")
        usable = row[1] not in {"r", "e", "d", "i"}  # revoked, expired, disabled, invalid
        made, expires = _time(row[5]), _time(row[6]) if row[6] else None
        found.append(Listed(fingerprint, made, expires, user_id, usable))
    return found


def _time(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _env(home: Path) -> dict[str, str]:
    return {"GNUPGHOME": str(home.resolve())}
