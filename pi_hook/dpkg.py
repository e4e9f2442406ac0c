"""dpkg's database, read cheaply: one ``dpkg-query`` call, no python-apt (it would cost the resident daemon 26 MB)."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from itertools import zip_longest

from pi_hook.files import Root
from pi_hook.names import is_layer
from pi_hook.ports import Installed

_FORMAT = "${Package}\\t${Version}\\t${Status}\\n"
_HOLD = "hold"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class PackageState:
    """One package as dpkg's database has it."""

    package: str
    version: str
    want: str
    """``install``, ``hold``, ``deinstall``, ``purge``, ``unknown``."""
    error: str
    """``ok`` or ``reinstreq``."""
    status: str
    """``installed``, ``half-configured``, ``unpacked``, ``half-installed``, ``config-files``, …"""

    @property
    def whole(self) -> bool:
        """Wholly installed; a hold is a person's wish, not a defect."""
        return self.status == "installed" and self.error == "ok"

    @property
    def present(self) -> bool:
        """Whether any part of it is (or is being) installed."""
        return self.status not in {"not-installed", "config-files"}

    @property
    def words(self) -> str:
        """As dpkg says it."""
        return f"{self.want} {self.error} {self.status}"


_Mark = tuple[int, ...]
_kept: dict[tuple[Root, tuple[str, ...]], tuple[_Mark, list[PackageState]]] = {}
"""Answers that hold while the database is the same: the daemon asks at each heartbeat, and dpkg changes once a week."""
_MOST_KEPT = 16


def query(root: Root, *patterns: str) -> list[PackageState]:
    """The states of the packages that match dpkg-query's patterns (all without a pattern); unknown names are left out.

    dpkg-query is run only where the database has changed since the same was asked. Raises ``OSError`` where the
    database cannot be read.
    """
    mark = _mark(root)
    kept = _kept.get((root, patterns))
    if kept is not None and kept[0] == mark:
        return list(kept[1])
    states = _ask(root, patterns)
    if mark is not None:
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[root, patterns] = (mark, states)  # the mark from before asking: a change meanwhile is seen next time
    return list(states)


def _mark(root: Root) -> _Mark | None:
    """What every change of the database changes: dpkg replaces ``status``, and journals in ``updates`` until then."""
    try:
        status = root.at("/var/lib/dpkg/status").stat()
        journal = root.at("/var/lib/dpkg/updates").stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size, journal.st_mtime_ns


def _ask(root: Root, patterns: tuple[str, ...]) -> list[PackageState]:
    command = ["dpkg-query", f"--admindir={root.at('/var/lib/dpkg')}", "--show", f"--showformat={_FORMAT}", *patterns]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C", "PATH": _PATH})
    if done.returncode not in {0, 1}:  # 1: some pattern matched nothing
        raise OSError(f"dpkg's database cannot be read: {done.stderr.strip()}")
    states = []
    for line in done.stdout.splitlines():
        package, version, words = line.split("\t")
        want, error, status = words.split(" ", 2)
        states.append(PackageState(package, version, want, error, status))
    return states


class Dpkg:
    """``ports.Packages`` over dpkg's own database."""

    def __init__(self, name: str, root: Root | None = None) -> None:
        self._name = name
        self._root = root or Root()

    def installed(self) -> Installed:
        """The assistant's state now. Raises ``OSError`` where dpkg's database cannot be read."""
        name = self._name
        states = query(self._root, name, f"{name}-app-*", f"{name}-deps-*", f"{name}-asset-*")
        own = next((s for s in states if s.package == name), None)
        layers = [s for s in states if is_layer(name, s.package)]
        broken = [s for s in (own, *layers) if s and s.present and not s.whole]
        return Installed(
            version=own.version if own and own.whole else None,
            held=bool(own and own.want == _HOLD),
            broken="; ".join(f"{s.package} {s.version}: {s.words}" for s in broken) or None,
        )

    def compare(self, a: str, b: str) -> int:
        """Negative, zero, positive, as dpkg orders versions."""
        return compare_versions(a, b)


_PARTS = re.compile(r"(\D*)(\d*)")


def compare_versions(a: str, b: str) -> int:
    """Order versions as dpkg does (Debian Policy 5.6.12), without a process or a library."""
    for left, right in zip(_split(a), _split(b), strict=True):
        if order := _compare_part(left, right):
            return order
    return 0


def _split(version: str) -> tuple[str, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, revision = rest.rpartition("-")
    return (epoch, upstream, revision) if upstream else (epoch, rest, "")


def _compare_part(a: str, b: str) -> int:
    # What is missing counts as no text and zero, so "1.0" and "1." are equal, and both are above "1.~".
    pairs = zip_longest(_runs(a), _runs(b), fillvalue=([0], 0))
    return next(((left > right) - (left < right) for left, right in pairs if left != right), 0)


def _runs(part: str) -> list[tuple[list[int], int]]:
    """Alternating runs of other characters and digits; the end of a run sorts between ``~`` and a letter."""
    return [([*map(_order, text), 0], int(digits or "0")) for text, digits in _PARTS.findall(part) if text or digits]


def _order(character: str) -> int:
    if character == "~":
        return -1
    return ord(character) if character.isalpha() else ord(character) + 256


_kept_layers: dict[tuple[Root, str, str], tuple[_Mark, set[str]]] = {}


def layers_in_depends(root: Root, name: str, package: str) -> set[str]:
    """The layers of the assistant that an installed package depends on, by exact name; asked as ``query`` asks."""
    mark = _mark(root)
    kept = _kept_layers.get((root, name, package))
    if kept is not None and kept[0] == mark:
        return set(kept[1])
    command = ["dpkg-query", f"--admindir={root.at('/var/lib/dpkg')}", "--show"]
    command += ["--showformat=${Pre-Depends}, ${Depends}", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={"LC_ALL": "C", "PATH": _PATH})
    layers = layers_in(name, done.stdout)
    if mark is not None:
        if len(_kept_layers) >= _MOST_KEPT:
            _kept_layers.clear()
        _kept_layers[root, name, package] = (mark, layers)
    return set(layers)


def layers_in(name: str, dependencies: str) -> set[str]:
    """The layers of the assistant in the text of a dependency field."""
    wanted = (part.split()[0].partition(":")[0] for part in re.split(r"[,|]", dependencies) if part.split())
    return {dependency for dependency in wanted if is_layer(name, dependency)}
