"""The keys of a builder's state folder: the ring with the GnuPG homes behind it, and how each change is made to last.

Whatever is cut off goes on with the next run: a key that was made and not written down yet is found by its user id.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pkgbuild import keys, locking, ring_file
from pkgbuild.errors import Kind, PkgbuildError
from pkgbuild.keys import Key
from pkgbuild.ring import SIGNS_REPOSITORY, Entry, Ring, Role, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pkgbuild.config import Settings
    from pkgbuild.keys import Listed

_BEGIN, _END = "# pkgbuild keys: who signs the repository", "# pkgbuild keys: end"
_FINGERPRINT = re.compile(r"[0-9A-F]{40}")
TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass
class FleetKeys:
    """The ring and its homes, while nobody else changes them."""

    state: Path
    homes: dict[Role, Path]
    ring: Ring
    allowed: tuple[str, ...] = ()
    """``allowed_packages`` of the settings, sorted: the keyring package carries them."""

    def save(self, ring: Ring) -> None:
        """Make the ring the present one."""
        ring_file.save(self.state, ring)
        self.ring = ring

    def key(self, role: Role, fingerprint: str) -> Key:
        """As a key of its home."""
        return Key(self.homes[role], fingerprint)

    def listed(self, role: Role) -> dict[str, Listed]:
        """What gpg says of the role's keys: the public ones, too, of which the secret part is elsewhere."""
        home = self.homes[role]
        secret = {key.fingerprint: key for key in keys.listed(home)}
        return {key.fingerprint: key for key in keys.listed(home, secret=False)} | secret

    def able(self, role: Role) -> frozenset[str]:
        """The keys that can sign here and now."""
        return frozenset(key.fingerprint for key in keys.listed(self.homes[role]) if key.usable)

    def require_secret(self, role: Role, fingerprint: str) -> None:
        """Raise ``MISSING_KEY`` where the key cannot sign here."""
        keys.find(self.homes[role], fingerprint, whose=role.value)

    def expiry(self, role: Role) -> dict[str, str | None]:
        """Until when each key is good, by fingerprint."""
        return {
            fingerprint: key.expires.strftime(TIME) if key.expires else None
            for fingerprint, key in self.listed(role).items()
        }

    def until(self, role: Role, fingerprint: str) -> str | None:
        """Until when a key is good. Raises ``MISSING_KEY`` where not even its public part is here."""
        try:
            return self.expiry(role)[fingerprint]
        except KeyError as error:
            raise PkgbuildError(
                Kind.MISSING_KEY,
                f"The {role.value} key {fingerprint} is not in {self.homes[role]}: restore it from your backup. Where"
                f" there is none, `pkgbuild keys revoke {role.value}` puts another in its place (docs/KEYS.md).",
            ) from error

    def make(self, role: Role) -> str:
        """A key that the ring does not have yet: made now, or by a run that was cut off."""
        if (found := self._unknown(role)) is None:
            keys.generate(self.homes[role], whose=role.value)
            found = self._unknown(role)
        if found is None:
            raise PkgbuildError(Kind.MISSING_KEY, f"gpg made no new {role} key in {self.homes[role]}.")
        return found

    def _unknown(self, role: Role) -> str | None:
        for key in keys.listed(self.homes[role]):
            ours = key.user_id == keys.user_id(role.value)
            if key.usable and ours and self.ring.state(role, key.fingerprint) is None:
                return key.fingerprint
        return None

    def sign_repository_with(self, wanted: tuple[str, ...]) -> None:
        """Have gpg sign with these keys (lost ones apart) in the archive's home, whichever one aptly asks for.

        aptly 1.5 can name one key only. gpg's own settings add the others to it; what is named twice signs once.
        """
        able = self.able(Role.ARCHIVE)
        fingerprints = [fingerprint for fingerprint in wanted if fingerprint in able]
        file = self.homes[Role.ARCHIVE] / "gpg.conf"
        old = file.read_text(encoding="utf-8") if file.exists() else ""
        head, _, rest = old.partition(_BEGIN + "\n")
        text = head + rest.partition(_END + "\n")[2]
        if text and not text.endswith("\n"):
            text += "\n"
        if len(fingerprints) > 1:
            text += "".join(f"{line}\n" for line in (_BEGIN, *(f"local-user {f}" for f in fingerprints), _END))
        if text != old:
            partial = file.with_suffix(".partial")
            partial.write_text(text, encoding="utf-8")
            partial.replace(file)

    def settle(self) -> None:
        """The archive's home as the ring says."""
        self.sign_repository_with(self.ring.of(Role.ARCHIVE, SIGNS_REPOSITORY))


@contextmanager
def opened(settings: Settings, say: Callable[[str], None]) -> Iterator[FleetKeys]:
    """The keys, locked against other runs. Raises ``MISSING_KEY`` where a home or its key is not here."""
    homes = homes_of(settings)
    with (
        locking.publishing(settings.state / "keys.lock", say),
        keys.no_agent_left_behind(homes[Role.BUILDER]),
        keys.no_agent_left_behind(homes[Role.ARCHIVE]),
    ):
        ring = ring_file.load(settings.state) or _first(settings, homes)
        fleet = FleetKeys(settings.state, homes, ring, tuple(sorted(set(settings.file.allowed_packages))))
        fleet.settle()
        yield fleet


def homes_of(settings: Settings) -> dict[Role, Path]:
    """The GnuPG homes."""
    return {Role.BUILDER: settings.builder_home, Role.ARCHIVE: settings.archive_home}


def _first(settings: Settings, homes: dict[Role, Path]) -> Ring:
    named = {Role.BUILDER: settings.file.builder.key, Role.ARCHIVE: settings.file.archive.key}
    found = {role: _present(homes[role], named[role], role) for role in Role}
    return Ring({role: (Entry(fingerprint, State.CURRENT),) for role, fingerprint in found.items()})


def _present(home: Path, named: str | None, role: Role) -> str:
    """The key's fingerprint; a lost one's is in the settings."""
    try:
        return keys.find(home, named, whose=role.value).fingerprint
    except PkgbuildError:
        if named is None or not _FINGERPRINT.fullmatch(named):
            raise
        return named
