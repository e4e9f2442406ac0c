"""What has to be true after a cut. Each check returns what is wrong, as sentences; none is a device that is well."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from demo.vpi.guest import GuestError
from tests.powercut.rig import Rig

FINAL = frozenset({"succeeded", "rolled_back", "failed"})
_LEFT_OUT = re.compile(r"^missing .*/usr/share/(doc|man|locale|info)(/|$)")
"""dpkg leaves them out in the virtual Pi (`excluded_paths` of its recipe)."""
_TORN_BYTE_CODE = """\
import marshal, pathlib, sys
for path in (p for folder in sys.argv[1:] for p in pathlib.Path(folder).rglob("*.pyc")):
    try:
        marshal.loads(path.read_bytes()[16:])
    except Exception as error:
        print(path, error)
"""


def alive(rig: Rig) -> list[str]:
    """The assistant runs one of the two releases and answers with it, and that release is complete on the disk."""
    running, answered = rig.device.running(), rig.answered_version()
    wrong = []
    if running not in {rig.payload.old, rig.payload.new} or answered != running:
        wrong.append(f"the process of {running or 'nothing'} runs and answers {answered or 'nothing'}")
    return wrong + _whole(rig)


def _whole(rig: Rig) -> list[str]:
    """``current`` names a release whose files are all what its packages hold, and whose byte code can be loaded."""
    name = rig.payload.name
    current = rig.device.current()
    wrong = []
    if current.rpartition("/")[2] not in {rig.payload.old, rig.payload.new}:
        wrong.append(f"current names {current or 'nothing'}")
    layers = f"$(dpkg-query -S {current} {current}/deps/. 2>/dev/null | sed 's/: .*//; s/, /\\n/g' | sort -u)"
    verified = rig.pi.guest.try_run(f"dpkg --verify {name} {layers}", timeout=300)
    differing = [line for line in verified.out.splitlines() if not _LEFT_OUT.search(line)]
    if differing or verified.err:
        wrong.append(f"files differ from their packages: {_short(' '.join(differing) or verified.err)}")
    torn = rig.pi.guest.try_run(f"python3 - {current}/ {current}/deps/", timeout=300, stdin=_TORN_BYTE_CODE.encode())
    if torn.out.strip() or torn.status != 0:
        wrong.append(f"byte code is torn: {_short(torn.out or torn.err)}")
    return wrong


def clean(rig: Rig) -> list[str]:
    """dpkg has nothing to complain of, and no file of the agent's was found unusable."""
    wrong = []
    if audit := rig.pi.guest.run("dpkg --audit").strip():
        wrong.append(f"dpkg --audit: {_short(audit)}")
    unusable = rig.pi.guest.run("find /var/lib/pi-hook -name '*.unusable' -size +0").split()
    if unusable:
        wrong.append(f"the agent could not use {', '.join(unusable)}")
    return wrong


def quiet(rig: Rig) -> list[str]:
    """No program of the agent crashed since the boot."""
    logged = rig.pi.guest.run("journalctl --boot --no-pager --output=cat -u 'pi-hook*'")
    return (
        [f"a trace in the agent's log: {_short(logged[logged.index('Traceback') :])}"] if "Traceback" in logged else []
    )


def true_outcome(rig: Rig, status: str) -> list[str]:
    """The outcome at the server is what is the case on the device."""
    old, new = rig.payload.old, rig.payload.new
    wanted = {"succeeded": new, "rolled_back": old}.get(status)
    if wanted is None:
        progress = rig.server.progress(new) or {}
        return [f"the outcome is {status}: {progress.get('detail')}"]
    wrong = []
    found = {
        "running": rig.device.running(),
        "answering": rig.answered_version(),
        "active": rig.device.current().rpartition("/")[2],
    }
    wrong += [f"{status}, but {what} is {is_}" for what, is_ in found.items() if is_ != wanted]
    if rig.device.installed() != f"{new} install ok installed":
        wrong.append(f"{status}, but dpkg says {rig.device.installed()}")
    return wrong


def one_true_story(before: list[dict[str, Any]], events: list[dict[str, Any]]) -> list[str]:
    """The server's record: what was there before the cut is there; no number twice, missing or backwards."""
    wrong = []
    if events[: len(before)] != before:
        wrong.append("what the server knew before the cut has changed")
    told = [event for event in events if event["sequence"] is not None]
    numbers = [event["sequence"] for event in told]
    if not told:
        return [*wrong, "the device has told nothing"]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        wrong.append(f"the sequence numbers are {numbers}")
    if refused := [f"{e['sequence']} {e['status']}: {e['verdict']}" for e in told if e["verdict"] != "applied"]:
        wrong.append(f"moves that the server did not take: {', '.join(refused)}")
    if [event["status"] in FINAL for event in told] != [False] * (len(told) - 1) + [True]:
        wrong.append(f"the statuses are {[event['status'] for event in told]}")
    return wrong


def mended(rig: Rig) -> str:
    """What the boot had to mend, in a word or two; empty where nothing."""
    logged = rig.pi.guest.run("journalctl --boot --no-pager --output=cat -u pi-hook-recover.service")
    found = [
        word
        for word, pattern in (("dpkg", r"dpkg was interrupted"), ("current", r"`current` named no complete"))
        if re.search(pattern, logged)
    ]
    return "+".join(found)


def guarded(what: str, wrong: list[str], check: Callable[..., list[str]], *arguments: Any) -> None:
    """Add what a check finds; a guest that does not answer is a finding too.

    The device goes on with its update meanwhile; a check that a restart fell into is done again: what is wrong stays.
    """
    for pause in (5, 20, 0):
        try:
            found = check(*arguments)
        except GuestError as error:
            found = [str(error)]
        if not found:
            return
        time.sleep(pause)
    wrong += [f"{what}: {sentence}" for sentence in found]


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= 300 else f"{words[:300]} …"
