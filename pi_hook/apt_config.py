"""The apt configuration of the agent's own runs: ``APT_CONFIG`` names it, and nothing of ``apt.conf.d`` joins in.

apt reads that file before all others, so it can point ``Dir::Etc::parts`` away: a ``#clear`` could not take back what
``apt.conf.d`` adds later, and hooks of other packages (needrestart, listchanges) have no business in these runs.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pi_hook.apt_source import NETWORK, ORIGIN, SOURCE, hook_text
from pi_hook.files import Root, write_atomic
from pi_hook.names import AGENT_PACKAGES, exact_pattern
from pi_hook.verify import STRICT_VARIABLE

if TYPE_CHECKING:
    from pi_hook.system_origins import Origin

FOLDER = "/var/lib/pi-hook/apt"
CONFIG = f"{FOLDER}/apt.conf"
PREFERENCES = f"{FOLDER}/preferences"
ARCHIVES = "/var/lib/pi-hook/archives"
SYSTEM_ARCHIVES = "/var/cache/apt/archives"
"""Debian's own: the system's packages stay there until they are installed, and boot repair finds them there."""
GRANTED_PRIORITY = 990
"""Above every ordinary priority, so that a newer, ungranted version is not taken; below 1000, so never down."""

# What an administrator may have set for the network holds for our runs too.
_CARRIED = ("Acquire::http", "Acquire::https", "Acquire::Retries", "Acquire::ForceIPv4", "Acquire::ForceIPv6")
# For the system's own packages also what a person does not want upgraded, and which kernels apt keeps.
_CARRIED_FOR_SYSTEM = (
    "Unattended-Upgrade::Package-Blacklist",
    "APT::NeverAutoRemove",
    "APT::VersionedKernelPackages",
)


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of apt may see and do."""

    name: str
    """The package at work; the assistant's where ``assistant`` is left out."""
    version: str
    """The version that is pinned; empty where none is."""
    only_our_source: bool = True
    """apt sees our repository and dpkg's database only: a third of the memory. False: all sources of the system."""
    packages: tuple[str, ...] = ()
    """The exact package names that unattended-upgrades may change; empty where it is not to run."""
    origins: tuple[str, ...] = (ORIGIN,)
    """The origins these packages come from."""
    offline: bool = False
    assistant: str = ""
    """Whose packages the signature hook knows as ours, where ``name`` is another package."""
    system: tuple[Origin, ...] = ()
    """For an upgrade of the system's own packages: whose they are. The assistant and the agent are left alone."""


def environment() -> dict[str, str]:
    """The environment for apt, dpkg and unattended-upgrades in the agent's own runs: in English, never asking."""
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
        "HOME": "/root",
        "DEBIAN_FRONTEND": "noninteractive",
        "APT_LISTCHANGES_FRONTEND": "none",
        "NEEDRESTART_SUSPEND": "1",
        # Said twice: a hook of apt.conf.d for a person's own runs must not soften ours.
        STRICT_VARIABLE: "1",
        **({"TZ": os.environ["TZ"]} if "TZ" in os.environ else {}),
    }


def write(run: Run, root: Root) -> str:
    """Write configuration and pins for a run; returns the value for ``APT_CONFIG``."""
    # apt unpacks as _apt where it may; the folder must be passable for that user, what is secret in it is 0600.
    for folder in (f"{FOLDER}/parts", f"{ARCHIVES}/partial"):
        root.at(folder).mkdir(parents=True, exist_ok=True)
    write_atomic(root.at(PREFERENCES), _preferences(run, root))
    names = _CARRIED + (_CARRIED_FOR_SYSTEM if run.system else ())
    # Last of the two: what these settings say of the network goes before what apt.conf.d says.
    elsewhere = _carried(names) + _network(root)
    write_atomic(root.at(CONFIG), config_text(run, elsewhere), 0o600)
    return str(root.at(CONFIG))


def _preferences(run: Run, root: Root) -> str:
    """The granted version before all of a person's pins: of those that name a package the first one counts."""
    pin = f"Package: {run.name}\nPin: version {run.version}\nPin-Priority: {GRANTED_PRIORITY}\n" if run.version else ""
    try:
        return pin + "\n" + root.at("/etc/apt/preferences").read_text(encoding="utf-8")
    except FileNotFoundError:
        return pin


def _carried(names: tuple[str, ...]) -> str:
    done = subprocess.run(
        ["apt-config", "dump", "--no-empty", "--format", '%F "%v";%n', *names],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    return done.stdout if done.returncode == 0 else ""


def _network(root: Root) -> str:
    try:
        return root.at(NETWORK).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def config_text(run: Run, elsewhere: str = "") -> str:
    """The whole configuration; pure. ``elsewhere`` is what was set in other places and holds here too."""
    upgrades = _system_upgrades(run) if run.system else _unattended_upgrades(run)
    return elsewhere + _common(run) + hook_text(run.assistant or run.name, strict=True) + upgrades


def _common(run: Run) -> str:
    sources = f'Dir::Etc::sourcelist "{SOURCE}";\nDir::Etc::sourceparts "/dev/null";\n' if run.only_our_source else ""
    offline = 'Acquire::http::Proxy "http://127.0.0.1:9/";\nAcquire::https::Proxy "http://127.0.0.1:9/";\n'
    return f"""\
Dir::Etc::parts "{FOLDER}/parts";
Dir::Etc::main "/dev/null";
Dir::Etc::preferences "{PREFERENCES}";
{sources}Dir::Cache::archives "{SYSTEM_ARCHIVES if run.system else ARCHIVES}";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
APT::Get::List-Cleanup "false";
APT::Update::Error-Mode "any";
APT::Install-Recommends "false";
APT::Keep-Downloaded-Packages "true";
APT::Get::AllowUnauthenticated "false";
APT::Color "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Dpkg::Options {{ "--force-confdef"; "--force-confold"; }};
Dpkg::Use-Pty "false";
{offline if run.offline else ""}"""


def _unattended_upgrades(run: Run) -> str:
    if not run.packages:
        return ""
    origins = " ".join(f'"origin={origin}";' for origin in run.origins)
    # A strict list: unattended-upgrades refuses any change that reaches beyond these names.
    names = " ".join(f'"{exact_pattern(package).removeprefix("^")}";' for package in run.packages)
    return f"""\
Unattended-Upgrade::Origins-Pattern {{ {origins} }};
Unattended-Upgrade::Package-Whitelist {{ {names} }};
Unattended-Upgrade::Package-Whitelist-Strict "true";
Unattended-Upgrade::IgnoreAppsRequireRestart "true";
Unattended-Upgrade::AutoFixInterruptedDpkg "true";
Unattended-Upgrade::MinimalSteps "false";
Unattended-Upgrade::Keep-Debs-After-Install "true";
Unattended-Upgrade::Remove-Unused-Kernel-Packages "false";
{_DECIDED_ELSEWHERE}"""


_DECIDED_ELSEWHERE = """\
Unattended-Upgrade::Remove-New-Unused-Dependencies "false";
Unattended-Upgrade::Remove-Unused-Dependencies "false";
Unattended-Upgrade::Automatic-Reboot "false";
Unattended-Upgrade::OnlyOnACPower "false";
Unattended-Upgrade::Skip-Updates-On-Metered-Connections "false";
Unattended-Upgrade::DevRelease "true";
Unattended-Upgrade::Mail "";
"""
"""By the gate and by ``pi_hook.system``."""


def _system_upgrades(run: Run) -> str:
    """In small steps, each wholly configured before the next: a power cut meets as little as can be."""
    patterns = " ".join(f'"{origin.pattern}";' for origin in run.system)
    ours = [run.name, *AGENT_PACKAGES]
    left_alone = [f"{exact_pattern(package)}" for package in ours]
    left_alone += [f"{exact_pattern(run.name).removesuffix('$')}-{kind}-" for kind in ("app", "deps", "asset")]
    names = " ".join(f'"{pattern}";' for pattern in left_alone)
    return f"""\
Unattended-Upgrade::Origins-Pattern {{ {patterns} }};
Unattended-Upgrade::Package-Blacklist {{ {names} }};
Unattended-Upgrade::IgnoreAppsRequireRestart "false";
Unattended-Upgrade::AutoFixInterruptedDpkg "true";
Unattended-Upgrade::MinimalSteps "true";
Unattended-Upgrade::Keep-Debs-After-Install "false";
Unattended-Upgrade::Remove-Unused-Kernel-Packages "true";
{_DECIDED_ELSEWHERE}"""
