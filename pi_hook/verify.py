"""apt's ``DPkg::Pre-Install-Pkgs`` hook: every package of ours must carry the builder's signature, or apt stops.

Protocol version 3 on stdin (``VERSION 3``, configuration, an empty line, one line a package), or plain file names, one
a line, as apt gives them to a hook without options. apt tells names and files, not origins: the decision is by name,
and by the name inside the .deb as well, since dpkg believes that one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pi_hook import fleet_packages
from pi_hook.files import Root
from pi_hook.names import AGENT_PACKAGES, is_ours

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

POLICY = "pi-ota.pol"
STRICT_VARIABLE = "PI_HOOK_STRICT"
"""1 in the agent's own runs of apt: refuse packages of ours where no builder key is known."""
_POLICIES = "/etc/debsig/policies"
_KEYRINGS = "/usr/share/debsig/keyrings"
_COLUMNS = 9  # of a package's line in version 3
_DEBSIG_TIMEOUT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Request:
    """What apt is about to hand to dpkg."""

    assistant: str | None
    strict: bool
    files: tuple[tuple[str | None, Path], ...]
    """The package's name as the index has it (None where only the file is known), and the .deb."""


def parse(lines: Iterable[str]) -> Request:
    """Read apt's words. Raises ``ValueError`` where they are of no known form."""
    stream = iter(lines)
    first = next(stream, "").rstrip("\n")
    if not first.startswith("VERSION "):
        return Request(None, strict=False, files=tuple(_plain([first, *stream])))
    if first != "VERSION 3":
        raise ValueError(f"apt speaks {first!r}, and VERSION 3 is what we understand")
    settings = dict(_settings(stream))
    strict = settings.get("PiHook::Strict") == "true"
    return Request(settings.get("PiHook::Assistant") or None, strict=strict, files=tuple(_packages(stream)))


def _plain(lines: Iterable[str]) -> Iterator[tuple[None, Path]]:
    for line in lines:
        if name := line.strip():
            yield None, Path(name)


def _settings(stream: Iterator[str]) -> Iterator[tuple[str, str]]:
    for line in stream:
        text = line.rstrip("\n")
        if not text:
            return
        key, _, value = text.partition("=")
        yield key, value


def _packages(stream: Iterator[str]) -> Iterator[tuple[str, Path]]:
    for line in stream:
        columns = line.rstrip("\n").split(" ", _COLUMNS - 1)
        if len(columns) != _COLUMNS:
            raise ValueError(f"apt gave a line that is not of version 3: {line.strip()!r}")
        if columns[-1] not in {"**CONFIGURE**", "**REMOVE**", "**ERROR**"}:
            yield columns[0], Path(columns[-1])


def policy_installed(root: Root | None = None, trust: Path | None = None) -> bool:
    """Whether the fleet's builder policy (package ``pi-ota-keyring``) is installed, or unpacked in ``trust``."""
    place = Root(trust) if trust is not None else root or Root()
    return any(place.at(_POLICIES).glob(f"*/{POLICY}"))


def name_inside(deb: Path) -> str | None:
    """The package name in the .deb's own control file; None where it cannot be read."""
    done = subprocess.run(["dpkg-deb", "--field", str(deb), "Package"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def signature_problem(deb: Path, root: Root | None = None, trust: Path | None = None) -> str | None:
    """Why the builder's signature on a .deb cannot be accepted, or None.

    Only our own policy file counts: another vendor's policy must not vouch for our names. ``trust`` is the folder of an
    unpacked keyring package that is to count instead of the installed one.
    """
    if not policy_installed(root, trust):
        return "no builder key is installed on this device; install the fleet's package pi-ota-keyring"
    command = ["debsig-verify", "--quiet", "--use-policy", POLICY]
    if trust is not None:
        command += ["--policies-dir", f"{trust}{_POLICIES}", "--keyrings-dir", f"{trust}{_KEYRINGS}"]
    elif root is not None and root.path != Path("/"):
        command += ["--root", str(root.path)]
    try:
        done = subprocess.run(
            [*command, str(deb)], capture_output=True, text=True, check=False, timeout=_DEBSIG_TIMEOUT_SECONDS
        )
    except FileNotFoundError:
        return "debsig-verify is not installed; install the package debsig-verify"
    except subprocess.TimeoutExpired:
        return f"debsig-verify did not finish within {_DEBSIG_TIMEOUT_SECONDS} seconds"
    if done.returncode == 0:
        return None
    words = {
        10: "it carries no builder signature",
        11: "its signature is of an unknown builder key",
        12: "its signature is of an unknown builder key",
        13: "its builder signature does not fit its content",
    }
    text = " ".join((done.stderr or done.stdout).split())
    why = words.get(done.returncode, "debsig-verify refused it")
    return f"{why} (debsig-verify {done.returncode}{': ' + text if text else ''})"


def check(request: Request, root: Root | None = None) -> list[str]:
    """A sentence for each package that must not be installed; empty where apt may go on."""
    if not request.strict and not policy_installed(root):
        return []  # a person's own run before the fleet's keys are there
    refused = []
    further, unknown = _further(root or Root())
    for listed, deb in request.files:
        inside = name_inside(deb)
        names = {name for name in (listed, inside) if name}
        if not names:
            refused.append(f"{deb} is not a readable Debian package")
        elif any(name in further or _ours(request.assistant, name) for name in names):
            if why := signature_problem(deb, root):
                refused.append(f"{deb.name} is refused: {why}")
        elif unknown is not None:
            refused.append(f"{deb.name} is refused: whether it has to be signed is not known, as {unknown}")
    return refused


def _further(root: Root) -> tuple[tuple[str, ...], str | None]:
    """The fleet's further packages, or why they are not known: our own stay installable, and bring the list anew."""
    try:
        return fleet_packages.listed(root), None
    except ValueError as error:
        return (), str(error)


def _ours(assistant: str | None, package: str) -> bool:
    return is_ours(assistant, package) if assistant else package in AGENT_PACKAGES


def main() -> int:
    """Run as the hook: 0 lets apt go on, 1 stops it."""
    try:
        request = parse(sys.stdin)
        refused = check(replace(request, strict=request.strict or os.environ.get(STRICT_VARIABLE) == "1"))
    except (ValueError, OSError) as error:
        refused = [f"the check itself failed: {error}"]
    for sentence in refused:
        sys.stderr.write(f"pi-hook: {sentence}. Nothing was installed.\n")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
