"""The command ``pi-hook``. Messages for people on standard error, answers on standard output."""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pi_hook import __version__
from pi_hook.errors import EXIT_GATE_FAILED, EXIT_NOT_NOW, EXIT_OK, NoDaemonError, PiHookError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from pi_hook.doctor import Finding

_RUN = Path("/run/pi-hook")
_WHAT = "it was used just now (without this); it is busy and must not be interrupted; every busy period is over"
_STATE = Path("/var/lib/pi-hook")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status. Those that differ from 0 and 1 are in ``pi_hook.errors``."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    # The daemon goes without the parser, which would stay in its memory: half a megabyte.
    options = None if given == ["daemon"] else parser().parse_args(given)
    command: Callable[[Any], int] = _daemon if options is None else options.run
    try:
        return command(options)
    except PiHookError as error:
        print(f"pi-hook: {error}", file=sys.stderr)
        return EXIT_GATE_FAILED if command is _gate else error.exit_status
    except BrokenPipeError:
        return EXIT_NOT_NOW
    except Exception:
        if command is not _gate:
            raise
        # Python's own status for an uncaught exception is 1, which a gate must not mean by it.
        logging.getLogger(__name__).exception("the gate failed")
        return EXIT_GATE_FAILED


def parser() -> argparse.ArgumentParser:
    """Of the command line; its commands are listed nowhere else."""
    import argparse  # noqa: PLC0415  # see above

    made = argparse.ArgumentParser(prog="pi-hook", description="Updates of the voice assistant, at good moments.")
    made.add_argument("--version", action="version", version=f"pi-hook {__version__}")
    made.add_argument("--socket", type=Path, default=_RUN / "control.sock", help=argparse.SUPPRESS)
    made.add_argument("--state", type=Path, default=_STATE, help=argparse.SUPPRESS)
    commands = made.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int], words: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=words, description=words)
        added.set_defaults(run=run)
        return added

    command("daemon", _daemon, "run the daemon (systemd does)")
    status = command("status", _status, "how the device and its update stand")
    status.add_argument("--json", action="store_true", help="for programs")
    explaining = command("explain", _explain, "what would the gate say?")
    from pi_hook.explain import add_options  # noqa: PLC0415  # the daemon does not need it

    add_options(explaining)
    examining = command("doctor", _doctor, "look at everything an update needs, and say what mends it")
    examining.add_argument("--json", action="store_true", help="for programs")
    command("enroll", _enroll, "register this device now; the daemon does so by itself")
    activity = command("activity", _activity, "tell the daemon that somebody uses the assistant")
    activity.add_argument("what", nargs="?", choices=["used", "busy", "free"], default="used", help=_WHAT)
    activity.add_argument("--seconds", type=float, help="with busy: for how long (stays in the foreground until then)")
    activity.add_argument("--why", default="", help="with busy: why")
    command("gate", _gate, "may unattended work start now? exit status 0 yes, 1 not now, 255 the gate failed")
    command("hold", _hold, "install nothing until `pi-hook release`")
    command("release", _release, "end a hold of `pi-hook hold`")
    install = command("install", _install, "install the offered release now, whatever the time of day (root only)")
    install.add_argument("--now", action="store_true", required=True, help="without this it is done by itself")
    command("rollback", _rollback, "go back to the release before, without the network (root only)")
    command("rotate-token", _rotate_token, "exchange this device's token at the server for a new one (root only)")
    checking = command("check-image", _check_image, "look whether an image holds what only one device may have")
    checking.add_argument("root", nargs="?", type=Path, default=Path("/"), help="where it is unpacked; / without it")
    checking.add_argument("--allow-enrollment-token", action="store_true", help="in an image that nobody else gets")
    checking.add_argument("--json", action="store_true", help="for programs")
    worker = command("worker", _worker, "do one step of an update (systemd units do)")
    steps = ["refresh", "download", "install", "reinstall", "lists", "system", "recover"]
    worker.add_argument("step", choices=steps, help="which")
    return made


def _daemon(_options: argparse.Namespace | None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    from pi_hook.assemble import real_daemon  # noqa: PLC0415  # other commands stay quick

    daemon = real_daemon()
    try:
        daemon.begin()
        daemon.run()
    finally:
        daemon.close()
    return EXIT_OK


def _status(options: argparse.Namespace) -> int:
    from pi_hook.status import in_words  # noqa: PLC0415  # other commands stay quick

    try:
        status = _ask(options, "status")["status"]
    except NoDaemonError as error:
        status = {"note": str(error), **_status_from_files(options.state)}
    print(json.dumps(status, indent=2) if options.json else in_words(status))
    return EXIT_OK


def _status_from_files(folder: Path) -> dict[str, Any]:
    from pi_hook.state import read_memory  # noqa: PLC0415  # other commands stay quick
    from pi_hook.status import memory_status, system_status  # noqa: PLC0415
    from pi_hook.system_memory import read_system  # noqa: PLC0415

    memory = read_memory(folder / "state.json")
    system = read_system(folder / "system.json")
    if memory is None:
        return {"state": f"{folder / 'state.json'} is missing or cannot be read (root only)"}
    return {**memory_status(memory), "system": None if system is None else system_status(system)}


def _explain(options: argparse.Namespace) -> int:
    from pi_hook.explain import explain  # noqa: PLC0415  # other commands stay quick

    answer = explain(options, Path(options.config) if options.config else None)
    words = answer.pop("words")
    print(json.dumps(answer) if options.json else words)
    return EXIT_OK


def _doctor(options: argparse.Namespace) -> int:
    from pi_hook import doctor_agent  # noqa: PLC0415  # other commands stay quick

    return _found(doctor_agent.look_at_all(doctor_agent.real(options.socket, options.state)), as_json=options.json)


def _check_image(options: argparse.Namespace) -> int:
    from pi_hook import image  # noqa: PLC0415  # other commands stay quick
    from pi_hook.files import Root  # noqa: PLC0415

    if not (options.root / "etc").is_dir():
        raise PiHookError(f"{options.root} is no unpacked image: it has no folder etc")
    try:
        findings = list(image.examine(Root(options.root.resolve()), allow_token=options.allow_enrollment_token))
    except OSError as error:
        raise PiHookError(f"{error.filename}: {error.strerror}; looking at an image is for root: use sudo") from error
    return _found(findings, as_json=options.json)


def _found(findings: list[Finding], *, as_json: bool) -> int:
    from pi_hook import doctor  # noqa: PLC0415  # other commands stay quick

    answer = doctor.as_json(findings)
    print(json.dumps(answer, indent=2) if as_json else doctor.in_words(findings))
    return EXIT_OK if answer["ok"] else EXIT_NOT_NOW


def _enroll(options: argparse.Namespace) -> int:
    from pi_hook.enroll import enroll_now  # noqa: PLC0415  # other commands stay quick

    print(enroll_now(options.state))
    return EXIT_OK


def _activity(options: argparse.Namespace) -> int:
    from pi_hook.talk import ask, connected  # noqa: PLC0415  # other commands stay quick

    with connected(options.socket) as channel:
        if options.what == "used":
            ask(channel, "activity")
        elif options.what == "free":
            ask(channel, "free", everyone=True)
        else:
            ask(channel, "busy", why=options.why, **({} if options.seconds is None else {"seconds": options.seconds}))
            # The busy period ends with this connection.
            time.sleep(options.seconds if options.seconds is not None else _FOREVER)
    return EXIT_OK


_FOREVER = 7200.0
"""Seconds: the daemon ends a busy period then anyway."""


def _gate(options: argparse.Namespace) -> int:
    from pi_hook.config import configured  # noqa: PLC0415  # other commands stay quick

    try:
        gate = _ask(options, "gate")["gate"]
    except NoDaemonError:
        if configured():
            raise
        # Installed but never set up: there is no assistant to disturb, and security upgrades must not wait for one.
        print("this device has no settings of pi-hook, so nothing is held back")
        return EXIT_OK
    print(gate["words"])
    return EXIT_OK if gate["decision"] == "install" else EXIT_NOT_NOW


def _hold(options: argparse.Namespace) -> int:
    _ask(options, "hold")
    print("held: nothing is installed until `pi-hook release`")
    return EXIT_OK


def _release(options: argparse.Namespace) -> int:
    held = _ask(options, "release")["held"]
    print("still held by the operator" if held else "released")
    return EXIT_OK


def _install(options: argparse.Namespace) -> int:
    from pi_hook.follow import override  # noqa: PLC0415  # other commands stay quick

    return override(options.socket, "install", "succeeded", _say, now=True)


def _rollback(options: argparse.Namespace) -> int:
    from pi_hook.follow import override  # noqa: PLC0415  # other commands stay quick

    status = override(options.socket, "rollback", "rolled_back", _say)
    _say("a newer release may still be offered; `pi-hook hold` keeps this one until `pi-hook release`")
    return status


def _rotate_token(options: argparse.Namespace) -> int:
    _ask(options, "rotate_token")
    _say("the token is exchanged with the next exchange, in a moment if the server can be asked")
    return EXIT_OK


def _say(words: str) -> None:
    print(words, flush=True)


def _worker(options: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if options.step == "recover":
        from pi_hook import recovery  # noqa: PLC0415  # the steps need python-apt, the daemon must not

        return recovery.main()
    from pi_hook import worker  # noqa: PLC0415  # as above

    return worker.main([options.step])


def _ask(options: argparse.Namespace, command: str) -> dict[str, Any]:
    from pi_hook.talk import ask, connected  # noqa: PLC0415  # other commands stay quick

    with connected(options.socket) as channel:
        return ask(channel, command)
