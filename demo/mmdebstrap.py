"""Making Debian systems with mmdebstrap, from the mirror that this machine uses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from demo.shell import CommandError, run

ATTEMPTS = 3
SECONDS = 1200.0


def mmdebstrap(
    options: Sequence[str],
    suite: str,
    target: Path,
    *,
    say: Callable[[str], None] = lambda _: None,
    env: Mapping[str, str] | None = None,
    program: str = "mmdebstrap",
) -> None:
    """Make ``suite`` in ``target`` (a folder or a .tar) as root, again where it fails.

    Raises ``CommandError`` when it has failed three times.

    Debian's mirror has moments in which its lists and its pool do not match; ``say`` is told of each.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            run([program, "--mode=root", *options, suite, target], root=True, env=env, timeout=SECONDS)
        except CommandError as error:
            run(["rm", "-rf", "--one-file-system", target], root=True)
            if attempt == ATTEMPTS:
                raise
            say(f"mmdebstrap failed, trying again ({str(error).splitlines()[-1]})")
        else:
            return
