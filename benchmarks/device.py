"""What the agent costs a device: memory, wake-ups, disk writes, bytes to the server, exposure, downtime in an update.

Boots the virtual Pi, measures inside it, prints a line ``RESULT name value unit`` for each figure and writes them to
``build/bench/device.json``. The exit status is 1 where a limit that is no time is not kept.
"""

from __future__ import annotations

import json
import shlex
import ssl
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figures
from benchmarks.proxy import CountingProxy
from demo.agent import disk_with_agent, first_boot_settings
from demo.observe import ServerView, until
from demo.ports import free_port
from demo.shell import PROJECT, run
from demo.stack import Stack
from demo.vpi.machine import SERVER_ADDRESS, SERVER_PORT, VirtualPi

NAME = "sample-assistant"
HEARTBEAT_SECONDS = 120
"""More often than the default of 300, so that no more patience is needed than has to be."""
SETTLED_SECONDS = 15
QUIET_SECONDS = 75
"""Between two heartbeats, which are at least 108 s apart."""
UPDATES = 3
RESTARTS = 5
GUEST = Path(__file__).parent / "guest"
STAND_IN = "/usr/local/lib/python3.13/dist-packages/pkg_resources.py"
SETTINGS = "/etc/pi-hook/pi-hook.d/zz-bench.toml"
"""Merged after the settings of the first boot, boot.toml."""
KB = 1024
CONFINED = ("pi-hook", "pi-hook-refresh", "pi-hook-download", "pi-hook-lists")
UNITS = (*CONFINED, "pi-hook-install", "pi-hook-reinstall", "pi-hook-recover", "pi-hook-system")
"""The others run dpkg, whose maintainer scripts may do anything: see the comments in their units."""
BARE_AGENT = "import asyncio, http.client, time; time.sleep(600)"


@dataclass(frozen=True, slots=True)
class Bench:
    """A virtual Pi with the agent and an assistant, at rest."""

    stack: Stack
    pi: VirtualPi
    proxy: CountingProxy
    server: ServerView
    figures: Figures

    def shell(self, command: str, timeout: float = 600) -> str:
        """Run it in the virtual Pi."""
        return self.pi.guest.run(command, timeout).strip()

    def release(self, version: str) -> None:
        words = ("--version", version, "--notes", version, "--urgency", "urgent", "--target", "trixie/amd64")
        for _ in self.stack.release(*words, "--src", str(PROJECT / "examples" / "sample_assistant")):
            pass

    def beats(self) -> int:
        """How many heartbeats the server has answered."""
        return len([beat for beat in self.proxy.seen("/heartbeat") if beat.answered])

    def next_heartbeat(self) -> Callable[[], bool]:
        """Whether one has been answered since now."""
        before = self.beats()
        return lambda: self.beats() > before

    def guest_has(self, path: str) -> bool:
        """Whether there is such a file."""
        return self.pi.guest.try_run(f"test -e {path}").status == 0

    def restart_agent(self) -> int:
        """Restart the daemon, wait for its first heartbeat and for rest; its process id."""
        beaten = self.next_heartbeat()
        self.shell("systemctl restart pi-hook.service")
        until("a heartbeat", beaten, 300)
        self.shell(f"sleep {SETTLED_SECONDS}")
        return self.agent()

    def agent(self) -> int:
        return int(self.shell("systemctl show --value --property=MainPID pi-hook.service"))

    def memory(self, pid: int, what: str = "Pss") -> float:
        """MB (of 1,000,000 bytes) of a process at rest: its own pages, and its part of what it shares."""
        kilobytes = self.shell(f"awk '/^{what}:/ {{ print $2 }}' /proc/{pid}/smaps_rollup")
        return round(int(kilobytes) * KB / 1e6, 2)

    def peer_memory(self, program: str) -> float:
        """PSS of a Python process that has run this and waits."""
        command = f"/usr/bin/python3 -I -c {shlex.quote(program)}"
        self.shell(f"systemd-run --quiet --unit=bench-peer {command} && sleep {SETTLED_SECONDS}")
        pid = self.shell("systemctl show --value --property=MainPID bench-peer.service")
        memory = self.memory(int(pid))
        self.shell("systemctl stop bench-peer.service")
        return memory


def measure_memory(bench: Bench) -> None:
    """The daemon at rest, with what its neighbours and a bare Python need."""
    figures, pid = bench.figures, bench.restart_agent()
    bare = bench.peer_memory(BARE_AGENT)
    daemon = bench.memory(pid)
    figures.add("daemon_pss", daemon, "MB", limit=19, beside=f"bare Python with asyncio and http.client: {bare} MB")
    figures.add("daemon_pss_of_bare_python", round(daemon / bare, 2), "ratio")
    figures.add("daemon_uss", bench.memory(pid, "Private_Dirty"), "MB")
    helper = bench.pi.guest.try_run("pgrep --full unattended-upgrade-shutdown").out.split()
    if helper:
        beside = bench.memory(int(helper[0]))
        figures.add("unattended_upgrades_helper_pss", beside, "MB")
        figures.add("daemon_pss_of_unattended_upgrades_helper", round(daemon / beside, 2), "ratio")


def measure_rest(bench: Bench) -> None:
    """From one heartbeat to past the next: wake-ups, writes, bytes."""
    figures, pid = bench.figures, bench.restart_agent()
    # Since when the system's packages wait is written down once, a minute after a device's first start.
    until("the first look at the system's packages", lambda: bench.guest_has("/var/lib/pi-hook/system.json"), 300)
    until("a heartbeat", bench.next_heartbeat(), 300)
    bench.shell(f"sleep {SETTLED_SECONDS}")
    beats, start = bench.beats(), _sample(bench, pid)
    bench.shell(f"sleep {QUIET_SECONDS}", QUIET_SECONDS * 3)
    quiet = _sample(bench, pid)
    if bench.beats() != beats:
        raise RuntimeError("there was a heartbeat in the time that was to be quiet; run it on a less busy machine")
    until("the next heartbeat", lambda: bench.beats() > beats, 300)
    bench.shell("sleep 5")
    end = _sample(bench, pid)
    minutes = (end["seconds"] - start["seconds"]) / 60
    figures.add(
        "daemon_wakeups",
        round((end["wakeups"] - start["wakeups"]) / minutes, 2),
        "per minute",
        limit=10,
        beside=f"voluntary context switches in {minutes:.1f} min with one heartbeat and an open evdev source; "
        f"{quiet['wakeups'] - start['wakeups']:g} of {end['wakeups'] - start['wakeups']:g} while nothing was due",
    )
    figures.add("daemon_written_between_heartbeats", quiet["written"] - start["written"], "bytes", limit=0)
    figures.add(
        "system_written_between_heartbeats",
        (quiet["sectors"] - start["sectors"]) * 512,
        "bytes",
        beside=f"the whole virtual Pi's disk in {QUIET_SECONDS} s; not the agent's",
    )
    figures.add("daemon_written_in_a_heartbeat", end["written"] - quiet["written"], "bytes", limit=0)
    exchange = bench.proxy.seen("/heartbeat")[-1]
    figures.add(
        "heartbeat_exchange",
        exchange.bytes,
        "bytes",
        limit=1000,
        beside=f"request {exchange.asked}, answer {exchange.answered}, headers included",
    )


def _sample(bench: Bench, pid: int) -> dict[str, float]:
    """The kernel's counters of the daemon (its ended children's writes are in its own) and of the disk."""
    out = bench.shell(
        f"cut -d' ' -f1 /proc/uptime; awk '/^voluntary/ {{ s += $2 }} END {{ print s }}' /proc/{pid}/task/*/status; "
        f"awk '/^write_bytes/ {{ print $2 }}' /proc/{pid}/io; awk '{{ print $7 }}' /sys/block/vda/stat"
    )
    return dict(zip(("seconds", "wakeups", "written", "sectors"), map(float, out.split()), strict=True))


def measure_gpiozero(bench: Bench) -> None:
    """With a button; there is no GPIO in a virtual machine, so gpiozero's own pretended pins."""
    bench.pi.guest.write(SETTINGS, b"[activity]\ngpio_pins = [17]\n", 0o600)
    bench.pi.guest.write(
        "/run/systemd/system/pi-hook.service.d/bench.conf", b"[Service]\nEnvironment=GPIOZERO_PIN_FACTORY=mock\n"
    )
    bench.shell("systemctl daemon-reload")
    whole = _memory_with_a_button(bench)
    # Only the pretended pins are found through pkg_resources, which is larger than all of gpiozero: no Pi loads it.
    bench.pi.guest.write(STAND_IN, (GUEST / "pkg_resources.py").read_bytes())
    bench.figures.add(
        "daemon_pss_gpiozero",
        _memory_with_a_button(bench),
        "MB",
        limit=24,
        beside=f"a gpiozero.Button on MockFactory; {whole} MB with pkg_resources, which MockFactory alone loads",
    )
    bench.shell(f"rm /run/systemd/system/pi-hook.service.d/bench.conf {SETTINGS} {STAND_IN}; systemctl daemon-reload")


def _memory_with_a_button(bench: Bench) -> float:
    pid = bench.restart_agent()
    sources = json.loads(bench.shell("pi-hook status --json"))["sources"]
    if {"name": "GPIO17", "problem": None} not in sources:
        raise RuntimeError(f"gpiozero is not loaded: {sources}")
    return bench.memory(pid)


def measure_tls(bench: Bench, authority: bytes) -> None:
    """As in production, with TLS to the server; the virtual Pi's other figures are with plain http."""
    # As update-ca-certificates does.
    bench.pi.guest.write(f"/etc/ssl/certs/{_hash(authority)}.0", authority)
    bench.pi.guest.write("/tmp/authority.pem", authority)
    bench.shell("cat /tmp/authority.pem >> /etc/ssl/certs/ca-certificates.crt")
    url = f'[server]\nurl = "https://{SERVER_ADDRESS}:{SERVER_PORT}"\n'
    bench.pi.guest.write(SETTINGS, url.encode(), 0o600)
    pid = bench.restart_agent()
    bench.figures.add("daemon_pss_tls", bench.memory(pid), "MB", beside="the server spoken to over TLS")
    bench.shell(f"rm {SETTINGS}")


def check_status_line(bench: Bench) -> None:
    """systemd watches the daemon, and shows in one line how the gate stands."""
    shown = bench.shell("systemctl show --property=Type,WatchdogUSec,StatusText pi-hook.service")
    properties = dict(line.split("=", 1) for line in shown.splitlines())
    if (
        properties["Type"] != "notify"
        or properties["WatchdogUSec"] in {"0", "infinity"}
        or not properties["StatusText"]
    ):
        raise RuntimeError(f"systemd is told nothing: {properties}")
    print(f"systemctl status says: {properties['StatusText']}")


def measure_exposure(bench: Bench) -> None:
    """systemd's own judgement of the units, from 0 (locked up) to 10."""
    for unit in UNITS:
        words = bench.shell(f"systemd-analyze security --no-pager {unit}.service | tail -n 1").split()
        score = float(next(word for word in words if word.replace(".", "", 1).isdigit()))
        limit = 4.0 if unit in CONFINED else None
        bench.figures.add(f"exposure_{unit.replace('-', '_')}", score, "of 10", limit=limit)


def measure_downtime(bench: Bench) -> None:
    """How long the assistant does not answer, in an update and in a bare restart, seen by one and the same probe."""
    bench.pi.guest.write("/root/probe.py", (GUEST / "probe.py").read_bytes())
    gaps_file = "/run/bench-gaps"
    bench.shell(
        f"systemd-run --quiet --unit=bench-probe --property=StandardOutput=append:{gaps_file} "
        "/usr/bin/python3 -I /root/probe.py"
    )

    def gaps() -> list[dict[str, Any]]:
        return [json.loads(line) for line in bench.shell(f"cat {gaps_file}").splitlines()]

    bench.shell("sleep 3")
    for _ in range(RESTARTS):
        before = len(gaps())
        bench.shell(f"systemctl restart {NAME}.service")
        until("the assistant after its restart", lambda before=before: len(gaps()) > before, 120)  # type: ignore[misc]
        bench.shell("sleep 2")
    restarts = [float(gap["seconds"]) for gap in gaps()]
    for number in range(1, UPDATES + 1):
        bench.release(f"1.{number}.0")
        bench.shell("systemctl restart pi-hook.service")  # asks the server at once
        bench.server.wait_for(f"1.{number}.0", {"succeeded"}, 900)
    updates = [float(gap["seconds"]) for gap in gaps() if gap["before"] != gap["after"]]
    if len(updates) != UPDATES:
        raise RuntimeError(f"{UPDATES} updates were made, but the probe has seen {gaps()}")
    figures, update, restart = bench.figures, statistics.median(updates), statistics.median(restarts)
    figures.add("downtime_restart", round(restart, 3), "s", beside=f"median of {_list(restarts)}")
    figures.add("downtime_update", round(update, 3), "s", beside=f"median of {_list(updates)}")
    figures.add("downtime_update_of_restart", round(update / restart, 2), "ratio", beside="wanted: at most 1.2")


def _list(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in sorted(values))


def _certificate(folder: Path) -> tuple[ssl.SSLContext, bytes]:
    """A context of a server at the address that the virtual Pi knows, and the authority to trust: itself."""
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=bench"]
    make += ["-addext", f"subjectAltName=IP:{SERVER_ADDRESS}"]
    run([*make, "-keyout", folder / "key", "-out", folder / "cert"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context, (folder / "cert").read_bytes()


def _hash(certificate: bytes) -> str:
    """The name under which OpenSSL looks for an authority."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(certificate)
        file.flush()
        return run(["openssl", "x509", "-hash", "-noout", "-in", file.name]).strip()


def main() -> int:
    """Measure everything; the exit status."""
    figures = Figures()
    with tempfile.TemporaryDirectory(prefix="bench-device-") as name:
        folder = Path(name)
        context, authority = _certificate(folder)
        with Stack(folder / "stack", port=free_port(), heartbeat_seconds=HEARTBEAT_SECONDS) as stack:
            disk = disk_with_agent(stack, PROJECT / ".cache", print)
            settings = first_boot_settings(stack, NAME, idle_required_seconds=1, soak_seconds=5)
            with (
                CountingProxy(stack.port, context) as proxy,
                VirtualPi(disk, folder / "pi", proxy.port, settings) as pi,
            ):
                bench = Bench(stack, pi, proxy, ServerView(stack, NAME), figures)
                bench.release("1.0.0")
                pi.boot()
                bench.server.wait_for("1.0.0", {"succeeded"}, 900)
                check_status_line(bench)
                measure_exposure(bench)
                measure_memory(bench)
                measure_rest(bench)
                measure_gpiozero(bench)
                measure_tls(bench, authority)
                measure_downtime(bench)
                # The daemon that has just brought one update to its end.
                figures.add("daemon_pss_after_an_update", bench.memory(bench.agent()), "MB", limit=19)
    figures.write(PROJECT / "build" / "bench" / "device.json")
    return figures.status


if __name__ == "__main__":
    sys.exit(main())
